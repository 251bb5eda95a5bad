"""What `albert.data.corpus.documents` reads as documents and sentences, and what it refuses."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.data.corpus import documents as corpus
from albert.data.corpus.documents import detect_splitting, read_documents, sentence_splitter
from albert.data.corpus.files import Reading, Tally, find_files
from albert.errors import DataError

PARAGRAPH = "The fox ran. It was late, e.g. after nine! Was it?"


def documents_of(folder: Path, **options: object) -> list[list[str]]:
    return list(read_documents(find_files([folder]), **options))


def test_blank_lines_and_file_ends_end_a_document(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_bytes(b"\n a \r\nb\r\n \t \r\n\n\nc")
    (tmp_path / "2.txt").write_text("d\n")
    tally = Tally()
    assert documents_of(tmp_path, tally=tally) == [["a", "b"], ["c"], ["d"]]
    assert (tally.documents, tally.cuts) == (3, 0)
    assert tally.bytes_read == sum(file.stat().st_size for file in tmp_path.iterdir())


def test_paragraphs_are_split_into_sentences() -> None:
    split = pickle.loads(pickle.dumps(sentence_splitter("sentences", "en")))
    assert split([PARAGRAPH, "Yes."]) == ["The fox ran.", "It was late, e.g. after nine!", "Was it?", "Yes."]
    keep = pickle.loads(pickle.dumps(sentence_splitter("lines", "en")))
    assert keep([PARAGRAPH, "Yes."]) == [PARAGRAPH, "Yes."]


@pytest.mark.parametrize(
    ("line", "expected"),
    [("The fox ran.", "lines"), (PARAGRAPH, "sentences"), ("# Fox\n" * 5 + PARAGRAPH, "sentences")],
)
def test_meaning_of_lines_is_detected_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, expected: str
) -> None:
    (tmp_path / "a.txt").write_text(f"{line}\n\n" * 20)
    assert detect_splitting([str(tmp_path / "a.txt")]) == expected
    other = {"lines": "sentences", "sentences": "lines"}[expected]
    assert f"--splitting {other} overrides" in capsys.readouterr().err


def test_too_long_document_is_cut_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MAX_DOCUMENT_CHARACTERS", 30)
    lines = [f"sentence {i}" for i in range(20)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    tally = Tally()
    documents = documents_of(tmp_path, tally=tally)
    assert [line for document in documents for line in document] == lines
    assert max(map(len, documents)) == 4
    assert tally.documents == tally.cuts + 1 == len(documents)


@given(
    lines=st.lists(st.sampled_from(["", "", "a", "bcd", "efghij"]), max_size=60),
    run_lines=st.integers(1, 20),
    limit=st.integers(1, 20),
)
def test_documents_do_not_depend_on_how_many_lines_come_at_a_time(
    lines: list[str], run_lines: int, limit: int
) -> None:
    runs = [lines[start : start + run_lines] for start in range(0, len(lines), run_lines)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "MAX_DOCUMENT_CHARACTERS", limit)
        tallies = [Tally(), Tally()]
        singly = list(corpus._group([[line] for line in lines], tallies[0]))
        assert list(corpus._group(runs, tallies[1])) == singly
    assert tallies[0] == tallies[1]
    assert [line for document in singly for line in document] == [line for line in lines if line]


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n", b"\xef\xbb\xbf"])
def test_empty_corpus_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"a.txt: the corpus is empty: expected text"):
        documents_of(tmp_path)


def test_corpus_without_anything_usable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n{}\n")
    with pytest.raises(
        DataError,
        match=r"the corpus is empty: .*; skipped records without the field 'text': 2 \(first: .*a.jsonl:1\)",
    ):
        documents_of(tmp_path, reading=Reading(skip_bad=True))


def test_a_skipped_line_does_not_end_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\nna\xefve\ntwo\n\nthree\n")
    assert documents_of(tmp_path, reading=Reading(skip_bad=True)) == [["one", "two"], ["three"]]
