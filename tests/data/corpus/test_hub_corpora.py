"""What `albert.data.corpus.hub_corpora` reads from data sets in the Hub's layout, and what it refuses."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from albert.data.corpus.documents import detect_splitting, read_documents
from albert.data.corpus.files import Reading, Tally, find_files, total_bytes
from albert.data.corpus.hub_corpora import parse_hub_name
from albert.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "stories"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["a\n\nb", "ü"], "id": [1, 2]}), folder / "train-0.parquet")
    pq.write_table(pa.table({"text": ["held"], "id": [3]}), folder / "test-0.parquet")
    return folder


def documents_of(source: str, **options: object) -> list[list[str]]:
    return list(read_documents(find_files([source]), **options))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hub:wiki", ("wiki", None, "train")),
        ("hub:some/wiki:20231101.en", ("some/wiki", "20231101.en", "train")),
        ("hub:some/wiki@validation", ("some/wiki", None, "validation")),
        ("hub:some/wiki:en@train[:10%]", ("some/wiki", "en", "train[:10%]")),
    ],
)
def test_name_is_parsed(source: str, expected: tuple[str, str | None, str]) -> None:
    hub = parse_hub_name(source)
    assert (hub.name, hub.config, hub.split) == expected


@pytest.mark.parametrize("source", ["hub:", "hub:@train", "hub:wiki:", "hub:wiki@", "hub::en"])
def test_name_with_a_part_missing_is_refused(source: str) -> None:
    with pytest.raises(DataError, match="expected hub:NAME, hub:NAME:CONFIG or hub:NAME@SPLIT"):
        documents_of(source)


def test_records_are_documents(folder: Path) -> None:
    tally = Tally()
    assert documents_of(f"hub:{folder}", tally=tally) == [["a", "b"], ["ü"]]
    assert tally.documents == 2
    assert documents_of(f"hub:{folder}:default@test") == [["held"]]
    assert total_bytes([f"hub:{folder}"]) is None
    assert detect_splitting([f"hub:{folder}"]) == "lines"


def test_configurations_are_distinguished(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.jsonl").write_text(json.dumps({"body": f"text of {name}"}) + "\n")
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: first\n  data_files: one/*.jsonl\n"
        "- config_name: second\n  data_files: two/*.jsonl\n---\n"
    )
    assert documents_of(f"hub:{tmp_path}:second", reading=Reading(column="body")) == [["text of two"]]
    with pytest.raises(DataError, match=r"cannot be read at all: .*first.*second"):
        documents_of(f"hub:{tmp_path}")


def test_record_without_text_is_skipped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "fine", "id": 1}\n{"id": 2}\n')
    tally = Tally()
    assert documents_of(f"hub:{tmp_path}", tally=tally) == [["fine"]]
    assert tally.skipped == {"rows without text": 1}
    assert tally.first_places == {"rows without text": f"hub:{tmp_path}:record 2"}


def test_columns_of_a_record_are_parts_of_one_document(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"id": 1, "title": "one", "body": ["two", "three"]}\n')
    assert documents_of(f"hub:{tmp_path}", reading=Reading(column="body,title")) == [["two", "three", "one"]]


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("@dev", r"Bad split: dev\. Available splits: \['train', 'test'\]"),
        (":french", "'french' not found"),
        ("/nowhere", "Couldn't find any data file"),
    ],
)
def test_missing_data_set_is_an_error_of_one_line(folder: Path, ending: str, message: str) -> None:
    with pytest.raises(DataError, match=f"cannot be read at all: .*{message}") as caught:
        documents_of(f"hub:{folder}{ending}")
    assert "\n" not in str(caught.value)


def test_without_the_package_for_it_a_data_set_is_an_error_that_names_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"^hub:.*: .*not installed; run: pip install 'albert-lm\[hub\]'$"):
        documents_of(f"hub:{folder}")


def test_unreachable_hub_is_an_error_of_one_line() -> None:
    with pytest.raises(
        DataError, match=r"somebody/something: cannot be read at all: .*the Hub must be reach"
    ):
        documents_of("hub:somebody/something")


def test_missing_column_is_reported_with_the_existing_ones(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'body'; its columns: 'text', 'id'; .* --column"):
        documents_of(f"hub:{folder}", reading=Reading(column="body"))


def test_damage_is_reported_with_its_place(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    tmp_path = tmp_path_factory.mktemp("json")
    (tmp_path / "train.jsonl").write_text('{"text": "fine"}\n{"text":')
    with pytest.raises(DataError, match=r"cannot be read at all: .*JSON parse error"):
        documents_of(f"hub:{tmp_path}")
    rows = [f"{i * i} squared" for i in range(9000)]
    pq.write_table(pa.table({"text": rows}), folder / "train-0.parquet", row_group_size=1000)
    whole = (folder / "train-0.parquet").read_bytes()
    half = len(whole) // 2
    damaged = whole[:half] + bytes(255 - x for x in whole[half : half + 3000]) + whole[half + 3000 :]
    (folder / "train-0.parquet").write_bytes(damaged)
    with pytest.raises(DataError, match=r"stories: cannot be read after record \d000: "):
        documents_of(f"hub:{folder}")
    assert capfd.readouterr().err == ""
