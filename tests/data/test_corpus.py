"""What `albert.data.corpus` takes for documents and sentences, and what it refuses."""

import gzip
import json
from pathlib import Path

import pytest

from albert.data import corpus
from albert.data.corpus import detect_splitting, read_documents
from albert.data.files import Tally
from albert.errors import DataError

PARAGRAPH = "The fox ran. It was late, e.g. after nine! Was it?"


def test_blank_lines_and_file_ends_end_a_document(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_bytes(b"\n a \r\nb\r\n \t \r\n\n\nc")
    (tmp_path / "2.txt").write_text("d\n")
    tally = Tally()
    documents = list(read_documents([tmp_path], splitting="lines", tally=tally))
    assert documents == [["a", "b"], ["c"], ["d"]]
    assert (tally.documents, tally.cuts) == (3, 0)


def test_paragraphs_are_split_into_sentences(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PARAGRAPH)
    assert list(read_documents([tmp_path], splitting="sentences")) == [
        ["The fox ran.", "It was late, e.g. after nine!", "Was it?"]
    ]


def test_record_is_a_document_whatever_blank_lines_it_holds(tmp_path: Path) -> None:
    records = [{"text": "a\n\nb"}, {"text": "", "id": 1}, {"id": 2, "text": "ü"}]
    content = "\n".join(map(json.dumps, records)).encode() + b"\n\n"
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(content))
    documents = list(read_documents([tmp_path], splitting="lines"))
    assert documents == [["a", "b"], ["ü"]] * 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [("The fox ran.", "lines"), (PARAGRAPH, "sentences"), ("# Fox\n" * 5 + PARAGRAPH, "sentences")],
)
def test_meaning_of_lines_is_detected_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, expected: str
) -> None:
    (tmp_path / "a.txt").write_text(f"{line}\n\n" * 20)
    assert detect_splitting([tmp_path / "a.txt"]) == expected
    other = {"lines": "sentences", "sentences": "lines"}[expected]
    assert f"--splitting {other} overrides" in capsys.readouterr().err
    automatic = list(read_documents([tmp_path]))
    assert automatic == list(read_documents([tmp_path], splitting=expected))


def test_too_long_document_is_cut_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MAX_DOCUMENT_CHARACTERS", 30)
    lines = [f"sentence {i}" for i in range(20)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    tally = Tally()
    documents = list(read_documents([tmp_path], splitting="lines", tally=tally))
    assert [line for document in documents for line in document] == lines
    assert max(map(len, documents)) == 4
    assert tally.documents == tally.cuts + 1 == len(documents)


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n", b"\xef\xbb\xbf"])
def test_empty_corpus_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"a.txt: the corpus is empty: expected text"):
        list(read_documents([tmp_path], splitting="lines"))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{'text': 1}", "a.jsonl:2: expected a JSON object, found bad JSON"),
        ("[1]", "a.jsonl:2: expected a JSON object, found list"),
        ('{"body": "x", "id": 3}', "a.jsonl:2: the record lacks the field 'text'; its fields: 'body', 'id'"),
        ('{"text": null}', "a.jsonl:2: field 'text' is NoneType; expected a string"),
        ('{"text": "\\ud800"}', "a.jsonl:2: not text: surrogates not allowed"),
        ("[" * 100_000, "a.jsonl:2: expected a JSON object, found bad JSON"),
        (json.dumps({"text": "x" * (2 << 20)}), "a.jsonl:2: one endless line"),
    ],
)
def test_bad_record_is_named_by_line(tmp_path: Path, record: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n' + record)
    with pytest.raises(DataError, match=message):
        list(read_documents([tmp_path], splitting="lines"))
