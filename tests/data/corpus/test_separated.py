"""Rows of .csv and .tsv files as documents: quotation, encodings, line ends, what is refused or skipped."""

import csv
import gzip
import io
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albert.data.corpus.documents import read_documents
from albert.data.corpus.files import Reading, Tally, find_files
from albert.data.corpus.separated import split_rows
from albert.errors import DataError

SKIPPING = Reading(skip_bad=True)
CHOSEN = Reading(is_chosen=True)
TICKETS = b'id,text,who\r\n1,"Broken, again.\r\nPlease help.",A\r\n\r\n2,"He said ""no"".",B\r\n'
DOCUMENTS = [["Broken, again.", "Please help."], ['He said "no".']]


def documents_of(path: Path | str, **options: object) -> list[list[str]]:
    return list(read_documents(find_files([path]), **options))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_cell_in_quotation_marks_may_hold_commas_quotes_and_line_ends(tmp_path: Path, mark: bytes) -> None:
    path, tally = write(tmp_path / "t.csv", mark + TICKETS), Tally()
    assert documents_of(path, tally=tally) == DOCUMENTS
    assert tally.bytes_read == path.stat().st_size
    assert not tally.skipped


def test_compressed_tables_are_read_like_plain_ones(tmp_path: Path) -> None:
    write(tmp_path / "a.csv.gz", gzip.compress(TICKETS))
    with pa.CompressedOutputStream(str(tmp_path / "b.csv.zst"), "zstd") as file:
        file.write(TICKETS)
    write(tmp_path / "c.tsv.gz", gzip.compress(b'text\tn\na "quote\t1\n'))
    assert documents_of(tmp_path) == [*DOCUMENTS, *DOCUMENTS, ['a "quote']]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.text("ab ,;\"'\t\nü", max_size=6), min_size=3, max_size=3), max_size=5))
def test_rows_are_those_of_the_standard_library(rows: list[list[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    lines = enumerate(buffer.getvalue().removesuffix("\n").split("\n"), start=1)
    found = list(split_rows("t.csv", lines, is_tabbed=False))
    assert [cells for _, cells in found] == rows
    assert [line for line, _ in found] == [
        1 + sum(1 + sum(cell.count("\n") for cell in row) for row in rows[:number])
        for number in range(len(rows))
    ]


def test_rows_with_another_number_of_cells_are_skipped_and_counted_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", b'id,text\n1,"one\ntwo"\n2,a, b\n3\n4,three\n')
    tally = Tally()
    assert documents_of(path, tally=tally) == [["one", "two"], ["three"]]
    kind = "rows with more or fewer than the 2 cells of the header"
    assert tally.skipped == {kind: 2}
    assert tally.first_places == {kind: f"{path}:4"}


def test_a_table_whose_rows_are_all_wrong_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", b"id\ttext\n1,one\n2,two\n")
    with pytest.raises(DataError, match=r"corpus is empty.*; skipped rows with .* 2 cells.*: 2 .*t\.tsv:2\)"):
        documents_of(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            b"id,subject,body\n1,a,b\n",
            r"t\.csv:1: no column 'text'; its columns: 'id', 'subject', 'body'; .*: --column NAME$",
        ),
        ("t.csv", b"id,texts\n1,a\n", r"no column 'text'; did you mean 'texts'\?; its columns"),
        ("t.csv", b"id;text\n1;a\n", r"'id;text'; the columns seem to be separated by semicolons: write"),
        ("t.tsv", b"id,text\n1,a\n", r"seem to be separated by commas"),
        ("t.csv", b'id,text\n1,"a\n2,b\n', r"t\.csv:2: not a row of CSV \(unexpected end of data\)"),
        ("t.csv", b'id,text\n1,"a" b\n', r"t\.csv:2: not a row of CSV .*; or skip it with --skip-bad$"),
        (
            "t.csv",
            "id,text\n1,größer\n".encode("cp1252"),
            r"t\.csv:2: not UTF-8: byte 0xF6 .*iconv -f CP1252",
        ),
        ("t.csv", "id,text\n1,größer\n".encode("utf-16"), r"t\.csv:1: looks like UTF-16 .*iconv -f UTF-16"),
        ("t.csv", b"id,text\r1,a\r2,b\r", r"t\.csv:1: lines end in a carriage return alone"),
        ("t.csv", b"id,text\r1,a\r\n2,b\n", r"t\.csv:1: (not a row of CSV|lines end in a carriage)"),
        ("t.csv", b"", r"t\.csv: the corpus is empty"),
        ("t.csv", b"id,text\n", r"t\.csv: the corpus is empty"),
    ],
)
def test_an_unusable_table_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message) as caught:
        documents_of(path, reading=CHOSEN)
    assert "\n" not in str(caught.value)


def test_a_row_that_is_not_csv_is_skipped_on_request(tmp_path: Path) -> None:
    path, tally = write(tmp_path / "t.csv", b'id,text\n1,one\n2,"a" b\n3,two\n'), Tally()
    assert documents_of(path, reading=SKIPPING, tally=tally) == [["one"], ["two"]]
    assert tally.first_places == {"rows that are not CSV": f"{path}:3"}


def test_a_skipped_row_that_is_not_utf_8_leaves_its_neighbours_whole(tmp_path: Path) -> None:
    content = b'id,text\n1,"one\nna\xefve\n"\n2,two\n\xef,three\n'
    path, tally = write(tmp_path / "t.csv", content), Tally()
    assert documents_of(path, reading=SKIPPING, tally=tally) == [["two"], ["three"]]
    assert tally.skipped == {"records that are not UTF-8": 1}
    assert tally.first_places == {"records that are not UTF-8": f"{path}:2"}
    replaced = documents_of(path, reading=Reading(errors="replace", skip_bad=True))
    assert replaced == [["one", "na\ufffdve"], ["two"], ["three"]]


def test_a_cell_may_hold_a_long_document(tmp_path: Path) -> None:
    line = "x" * 99
    content = f'id,text\n1,"{(line + chr(10)) * 5000}"\n'.encode()
    assert documents_of(write(tmp_path / "t.csv", content)) == [[line] * 5000]


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """A table with 60 MB of text is read by a separate process, whose peak memory is measured."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=7)) for _ in range(5000)]
    rows = "".join(f'{i},"{" ".join(draw.choices(words, k=500))}"\n' for i in range(500))
    small = write(tmp_path / "small.csv", b"id,text\n" + rows.encode())
    large = write(tmp_path / "large.csv", b"id,text\n" + rows.encode() * 30)
    code = (
        "import resource, sys\n"
        "from albert.data.corpus.documents import read_documents\n"
        "total = sum(1 for document in read_documents(sys.argv[1:]))\n"
        "print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = {}
    for path, count in ((small, 500), (large, 15_000)):
        shown = subprocess.check_output([sys.executable, "-c", code, str(path)], text=True)
        documents, peaks[path] = map(int, shown.split())
        assert documents == count
    assert peaks[large] - peaks[small] < 20 << 10  # KiB
