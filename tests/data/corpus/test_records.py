"""What is read from .jsonl, .csv and .parquet files, and what is refused or skipped."""

import csv
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from albert.data.corpus import records
from albert.data.corpus.documents import MAX_DOCUMENT_CHARACTERS, read_documents
from albert.data.corpus.files import Reading, Tally, find_files
from albert.data.corpus.storage import write_whole
from albert.errors import DataError

SKIPPING = Reading(skip_bad=True)
CHOSEN = Reading(is_chosen=True)


def documents_of(path: Path | str, **options: object) -> list[list[str]]:
    return list(read_documents(find_files([path]), **options))


def write_table(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=100)
    return path


def test_record_is_a_document_whatever_blank_lines_it_holds(tmp_path: Path) -> None:
    texts = ["a\n\nb", "", "ü \r\n", "\n\n"]
    content = "\n".join(json.dumps({"id": 1, "text": text}) for text in texts).encode() + b"\n\n"
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(content))
    write_table(tmp_path / "c.parquet", id=[1, 2, 3, 4], text=texts)
    tally = Tally()
    assert documents_of(tmp_path, tally=tally) == [["a", "b"], ["ü"]] * 3
    assert tally.bytes_read == sum(file.stat().st_size for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
)
def test_column_of_any_kind_of_string_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    path = write_table(tmp_path / "a.parquet", body=pa.array(["a\nb", "ü"]).cast(kind), text=[1, 2])
    assert documents_of(path, reading=Reading(column="body")) == [["a", "b"], ["ü"]]


def test_list_of_strings_is_a_document_of_these_lines(tmp_path: Path) -> None:
    lines = [["a ", "", "b\nc"], ["ü"], []]
    write_table(tmp_path / "a.parquet", text=lines)
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"text": value}) for value in lines))
    assert documents_of(tmp_path) == [["a", "b", "c"], ["ü"]] * 2
    fixed = write_table(tmp_path / "c.parquet", text=pa.array([["a", "b"]], pa.list_(pa.string(), 2)))
    assert documents_of(fixed) == [["a", "b"]]


def test_table_of_many_batches_and_groups_is_read_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "BATCH_BYTES", 500)
    texts = [f"document {i}" for i in range(1234)]
    path = write_table(tmp_path / "a.parquet", text=texts, other=["x" * 99] * 1234)
    tally = Tally()
    assert documents_of(path, tally=tally) == [[text] for text in texts]
    assert tally.bytes_read == path.stat().st_size


@pytest.mark.parametrize(
    ("record", "kind", "message"),
    [
        ("{'text': 1}", "that are not JSON objects", "expected a JSON object, found bad JSON"),
        ("[1]", "that are not JSON objects", "expected a JSON object, found list"),
        ("[" * 100_000, "that are not JSON objects", "expected a JSON object, found bad JSON"),
        ("1" * 5000, "that are not JSON objects", "expected a JSON object, found bad JSON"),
        (
            '{"body": "x", "id": 3}',
            "without the field 'text'",
            "the record lacks the field 'text'; its fields: 'body', 'id'; name .*--column NAME",
        ),
        ('{"text": 1}', "whose field 'text' is not text", "field 'text' is int; expected a string"),
        ('{"text": ["a", 1]}', "whose field 'text' is not text", "field 'text' is int; expected a string"),
        ('{"text": "\\ud800"}', "that are not UTF-8", "not text: surrogates not allowed; fix .*replace"),
        (json.dumps({"text": "x" * (2 << 20)}), "with a line longer than 1 MiB", "one endless line"),
    ],
)
def test_bad_record_is_named_by_line_or_skipped(tmp_path: Path, record: str, kind: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n' + record + '\n{"text": "also fine"}')
    with pytest.raises(DataError, match=f"a.jsonl:2: {message}.*--skip-bad"):
        documents_of(tmp_path, reading=CHOSEN)
    tally = Tally()
    assert documents_of(tmp_path, reading=SKIPPING, tally=tally) == [["fine"], ["also fine"]]
    assert tally.skipped == {f"records {kind}": 1}
    assert tally.first_places == {f"records {kind}": f"{tmp_path}/a.jsonl:2"}


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([b"fine", b"na\xefve"], "that are not UTF-8", "not text: invalid continuation byte"),
        ([["fine"], ["a", None]], "whose field 'text' is not text", "field 'text' is null"),
    ],
)
def test_bad_row_is_named_or_skipped(tmp_path: Path, values: list[object], kind: str, message: str) -> None:
    path = write_table(tmp_path / "a.parquet", text=values)
    with pytest.raises(DataError, match=f"a.parquet:row 2: {message}.*--skip-bad"):
        documents_of(path, reading=CHOSEN)
    tally = Tally()
    assert documents_of(path, reading=SKIPPING, tally=tally) == [["fine"]]
    assert tally.skipped == {f"records {kind}": 1}


def test_rows_without_text_are_skipped_and_counted_in_every_form(tmp_path: Path) -> None:
    texts = ["fine", None, " \n ", "also fine"]
    write_table(tmp_path / "a.parquet", text=texts)
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    (tmp_path / "c.csv").write_text('id,text\n1,fine\n2,\n3," \n "\n4,also fine\n')
    for name, first in (("a.parquet", "row 2"), ("b.jsonl", "2"), ("c.csv", "3")):
        tally = Tally()
        assert documents_of(tmp_path / name, tally=tally) == [["fine"], ["also fine"]]
        assert tally.skipped == {"rows without text": 2}
        assert tally.first_places == {"rows without text": f"{tmp_path}/{name}:{first}"}


def test_columns_are_parts_of_one_document_in_the_order_given(tmp_path: Path) -> None:
    rows = [("a", "b\nc"), ("", "d"), ("e", "")]
    write_table(tmp_path / "a.parquet", body=[body for _, body in rows], title=[title for title, _ in rows])
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"title": t, "body": b}) for t, b in rows))
    with (tmp_path / "c.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("body", "title"), *((body, title) for title, body in rows)])
    (tmp_path / "d.tsv").write_text("title\tbody\na\tb\n")
    reading = Reading(column="title, body")
    assert documents_of(tmp_path, reading=reading) == [["a", "b", "c"], ["d"], ["e"]] * 3 + [["a", "b"]]


def test_one_column_may_have_a_comma_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"what, how",what,how\n1,2,3\n')
    assert documents_of(tmp_path, reading=Reading(column="what, how")) == [["1"]]
    assert documents_of(tmp_path, reading=Reading(column="how,what")) == [["3", "2"]]


def test_string_column_that_holds_other_bytes_is_read_row_by_row(tmp_path: Path) -> None:
    stored = pa.array([b"fine", b"na\xefve", b"\xff\xfe"])
    column = pa.StringArray.from_buffers(3, *stored.buffers()[1:])
    path = write_table(tmp_path / "a.parquet", text=column)
    with pytest.raises(DataError, match=r"a.parquet:row 2: not text: .*; fix the record$"):
        documents_of(path)
    replaced = documents_of(path, reading=Reading(errors="replace"))
    assert replaced == [["fine"], ["na\ufffdve"], ["\ufffd\ufffd"]]


def test_nul_in_a_record_is_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one\\u0000 two"}')
    tally = Tally()
    assert documents_of(tmp_path, tally=tally) == [["one two"]]
    assert tally.skipped == {"NUL bytes": 1}


@pytest.mark.parametrize("reading", [Reading(), SKIPPING])
def test_table_without_the_column_is_refused(tmp_path: Path, reading: Reading) -> None:
    path = write_table(tmp_path / "a.parquet", body=["x"], id=[1])
    with pytest.raises(DataError, match=r"no column 'text'; its columns: 'body', 'id'; .*--column"):
        documents_of(path, reading=reading)
    with pytest.raises(DataError, match=r"a.parquet: column 'id' holds int64; expected strings"):
        documents_of(path, reading=Reading(column="id", skip_bad=reading.skip_bad))


@pytest.mark.parametrize("damage", ["cut", "flipped", "name", "no such format", "empty"])
def test_damaged_table_is_refused(tmp_path: Path, damage: str) -> None:
    path = write_table(tmp_path / "a.parquet", text=[f"{i * i} squared" for i in range(9000)])
    whole = path.read_bytes()
    half = len(whole) // 2
    damaged = {
        "cut": whole[:-20],
        "flipped": whole[:half] + bytes(255 - x for x in whole[half : half + 3000]) + whole[half + 3000 :],
        "name": whole.replace(b"text", b"\xfe\xfftt"),
        "no such format": b"just a text\n" * 100,
        "empty": b"",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=r"a.parquet: damaged Parquet file, noticed after row \d+ \("):
        documents_of(path)


def test_table_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "BATCH_BYTES", 500)
    path = write_table(tmp_path / "a.parquet", text=["some text"] * 1000)
    documents = read_documents([str(path)])
    next(documents)
    write_whole(path, path.read_bytes())
    with pytest.raises(DataError, match=r"a.parquet: changed while it was read"):
        list(documents)


def test_table_in_a_bucket_is_read_like_one_on_disk(s3_bucket: str, tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", text=[f"document {i}" for i in range(1000)])
    write_whole(f"{s3_bucket}/a.parquet", path.read_bytes())
    assert documents_of(f"{s3_bucket}/*.parquet") == documents_of(path)


def test_huge_record_is_cut_into_documents(tmp_path: Path) -> None:
    lines = 100_000
    path = write_table(tmp_path / "a.parquet", text=["\n".join(["x" * 99] * lines), "short"])
    tally = Tally()
    documents = documents_of(path, tally=tally)
    assert sum(map(len, documents)) == lines + 1
    assert documents[-1] == ["short"]
    assert max(sum(map(len, document)) for document in documents) <= MAX_DOCUMENT_CHARACTERS + 99
    assert tally.cuts == len(documents) - 2 > 5


def test_memory_is_bounded_by_a_batch_not_by_the_table(tmp_path: Path) -> None:
    """A row group with 300 MB of text is read by a separate process, whose peak memory is measured."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=7)) for _ in range(5000)]
    documents = [" ".join(draw.choices(words, k=500)) for _ in range(1000)]
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    pq.write_table(pa.table({"text": documents}), small, use_dictionary=False)
    pq.write_table(pa.table({"text": documents * 75}), large, use_dictionary=False)
    code = (
        "import resource, sys\n"
        "from albert.data.corpus.documents import read_documents\n"
        "total = sum(len(line) for document in read_documents(sys.argv[1:]) for line in document)\n"
        "print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = {}
    for path in (small, large):
        shown = subprocess.check_output([sys.executable, "-c", code, str(path)], text=True)
        characters, peaks[path] = map(int, shown.split())
    assert characters == 75 * sum(map(len, documents))
    assert peaks[large] - peaks[small] < 60 << 10  # KiB
