"""What `albert.data.corpus.files` finds and reads, and what it refuses."""

import gzip
import re
import shutil
import subprocess
import tempfile
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.data.corpus import files
from albert.data.corpus.files import (
    BLOCK_BYTES,
    MAX_LINE_BYTES,
    Reading,
    Tally,
    find_files,
    read_lines,
    report_skipped,
    total_bytes,
)
from albert.errors import DataError

SKIPPING = Reading(skip_bad=True)


def lines_of(path: Path, **options: object) -> list[str]:
    return [line for _, line in read_lines(path, **options)]


def write_zst(path: Path, content: bytes) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(content)


def test_folder_is_searched_recursively_and_sorted(tmp_path: Path) -> None:
    for name in ("b.txt", "a.jsonl", "deep/c.txt.gz", "README.md", ".hidden.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [str(Path(file).relative_to(tmp_path)) for file in find_files([tmp_path])]
    assert names == ["a.jsonl", "b.txt", "deep/c.txt.gz"]


def test_glob_is_expanded_and_sorted(tmp_path: Path) -> None:
    for name in ("2.txt", "1.txt", "3.jsonl"):
        (tmp_path / name).write_text("x")
    assert [Path(file).name for file in find_files([f"{tmp_path}/*.txt"])] == ["1.txt", "2.txt"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.txt", "no such file, folder or glob; a corpus is a file ending in .txt, .csv, .tsv"),
        ("table.docx", "unknown suffix; a corpus is a file ending in .txt"),
        ("empty", "the folder holds no corpus file"),
    ],
)
def test_path_that_is_not_a_corpus_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "table.docx").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        find_files([tmp_path / name])


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="no input path given"):
        find_files([])


def test_compressed_files_hold_the_same_lines_as_plain_ones(tmp_path: Path) -> None:
    text = "".join(f"línea {i} 日本語\n" for i in range(50_000)).encode()
    (tmp_path / "a.txt").write_bytes(text)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text[:1000]) + gzip.compress(text[1000:]))
    write_zst(tmp_path / "a.txt.zst", text)
    expected = text.decode().splitlines()
    for name in ("a.txt", "a.txt.gz", "a.txt.zst"):
        tally = Tally()
        assert lines_of(tmp_path / name, tally=tally) == expected
        assert tally.bytes_read == (tmp_path / name).stat().st_size


def test_last_line_needs_no_line_end_and_the_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\n\ntwo")
    assert list(read_lines(tmp_path / "a.txt")) == [
        (1, "one"),
        (2, ""),
        (3, "two"),
    ]


def test_bytes_that_are_not_utf8_are_named_by_line_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"\xef\xbb\xbffine\nna\xefve\n")
    with pytest.raises(
        DataError,
        match=r"latin1.txt:2: not UTF-8: byte 0xEF at offset 10; .*iconv -f CP1252 -t UTF-8 OLD > NEW\)$",
    ):
        lines_of(path)
    assert path.read_bytes()[10] == 0xEF
    assert lines_of(path, reading=Reading(errors="replace")) == ["fine", "na\ufffdve"]


@pytest.mark.skipif(shutil.which("iconv") is None, reason="iconv is not installed")
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("schöne Grüße aus Köln – für dich", "cp1252"),
        ("今天的天气非常好，我们去公园。", "gb18030"),
        ("one line\nÜber", "utf-16"),
        ("one line\nÜber", "utf-32"),
    ],
)
def test_the_advice_for_another_encoding_makes_the_file_readable(
    tmp_path: Path, text: str, encoding: str
) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError) as error:
        lines_of(path)
    found = re.search(r"iconv -f (\S+) -t UTF-8 OLD > NEW", str(error.value))
    assert found is not None
    done = subprocess.run(["iconv", "-f", found[1], "-t", "UTF-8", path], capture_output=True, check=True)
    (tmp_path / "new.txt").write_bytes(done.stdout)
    assert lines_of(tmp_path / "new.txt") == text.split("\n")


def test_flags_are_recommended_only_where_a_command_has_them(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"na\xefve\n")
    with pytest.raises(DataError) as error:
        lines_of(path)
    assert "--" not in str(error.value)
    with pytest.raises(DataError, match=r"or read it with --errors replace; or skip it with --skip-bad$"):
        lines_of(path, reading=Reading(is_chosen=True))


@pytest.mark.parametrize("count", [3, 1 << 20])
def test_lines_of_old_macs_are_named_and_the_advice_converts_them(tmp_path: Path, count: int) -> None:
    path, converted = tmp_path / "a.txt", tmp_path / "new.txt"
    path.write_bytes(b"one\r" * count)
    with pytest.raises(DataError, match=r"a.txt:1: lines end in a carriage return alone; .*: tr '") as error:
        lines_of(path)
    advice = str(error.value).split("convert the file: ")[1]
    command = advice.replace("OLD", str(path)).replace("NEW", str(converted))
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert lines_of(converted)[:2] == ["one", "one"]
    assert lines_of_bytes(tmp_path, b"one\r\ntwo\r\n") == ["one\r", "two\r"]
    assert lines_of_bytes(tmp_path, b"one\r") == ["one\r"]


def lines_of_bytes(folder: Path, content: bytes) -> list[str]:
    (folder / "b.txt").write_bytes(content)
    return lines_of(folder / "b.txt")


def test_endless_line_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"short\n" + b"x" * (3 << 20))
    with pytest.raises(DataError, match=r"a.txt:2: one endless line, longer than 1 MiB; .*break it"):
        lines_of(tmp_path / "a.txt")


@pytest.mark.parametrize("where", ["first", "inside", "last", "twice"])
def test_endless_line_is_skipped_without_being_held_in_memory(tmp_path: Path, where: str) -> None:
    endless = b"x" * (200 << 20)
    content = {
        "first": endless + b"\nfine\nalso fine\n",
        "inside": b"fine\n" + endless + b"\nalso fine",
        "last": b"fine\nalso fine\n" + endless,
        "twice": b"fine\n" + endless[: 2 << 20] + b"\n" + endless[: 3 << 20] + b"\nalso fine\n",
    }[where]
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content, compresslevel=1))
    del endless, content
    tally = Tally()
    tracemalloc.start()
    found = list(read_lines(tmp_path / "a.txt.gz", reading=SKIPPING, tally=tally))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line for _, line in found] == ["fine", "also fine"]
    first, second = {"first": (2, 3), "inside": (1, 3), "last": (1, 2), "twice": (1, 4)}[where]
    assert [number for number, _ in found] == [first, second]
    assert tally.skipped == {"lines longer than 1 MiB": 2 if where == "twice" else 1}
    assert peak_bytes < 8 << 20


def test_line_of_the_longest_length_is_read_in_whatever_block_it_starts(tmp_path: Path) -> None:
    for before in (0, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES // 2):
        lines = ["y" * before, "x" * MAX_LINE_BYTES, "z"]
        (tmp_path / "a.txt").write_text("\n".join(lines))
        assert lines_of(tmp_path / "a.txt") == lines


@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n\0", codec="utf-8"), max_size=9), max_size=30),
    block_bytes=st.integers(1, 40),
)
def test_lines_do_not_depend_on_blocks(lines: list[str], block_bytes: int) -> None:
    content = "".join(f"{line}\n" for line in ["begin", *lines]).encode()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", block_bytes)
        path = Path(folder) / "a.txt"
        path.write_bytes(content)
        assert list(read_lines(path, max_line_bytes=40)) == list(enumerate(["begin", *lines], start=1))


def test_lines_that_are_not_utf8_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("gut\nna\xefve\nfünf\n".encode("latin-1") + "größer\n".encode())
    tally = Tally()
    found = list(read_lines(tmp_path / "a.txt", reading=SKIPPING, tally=tally))
    assert found == [(1, "gut"), (4, "größer")]
    assert tally.skipped == {"lines that are not UTF-8": 2}


def test_place_of_a_bad_byte_is_right_far_into_a_file(tmp_path: Path) -> None:
    content = "Zeile für Zeile\n".encode() * 50_000 + b"\xff\n"
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=f"a.txt:50001: not UTF-8: byte 0xFF at offset {len(content) - 2};"):
        lines_of(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-16", "looks like UTF-16 .*: iconv -f UTF-16 -t UTF-8 OLD > NEW"),
        ("utf-32", "looks like UTF-32 .*: iconv -f UTF-32 -t UTF-8 OLD > NEW"),
        ("utf-16-le", r"not text: 116 of 232 bytes are NUL; a binary file, or UTF-16"),
        ("utf-16-be", "not text: 117 of 233 bytes are NUL"),
    ],
)
@pytest.mark.parametrize("reading", [Reading(), SKIPPING, Reading(errors="replace")])
def test_other_unicode_is_named(tmp_path: Path, encoding: str, message: str, reading: Reading) -> None:
    (tmp_path / "a.txt").write_bytes(("Not so fast.\n" * 9).encode(encoding))
    with pytest.raises(DataError, match=f"a.txt:1: {message}"):
        lines_of(tmp_path / "a.txt", reading=reading)


def test_single_nul_bytes_are_dropped_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_bytes(b"a line of text\nanother\0 line\0 of text\n")
    tally = Tally()
    assert lines_of(tmp_path / "a.txt", tally=tally) == ["a line of text", "another line of text"]
    report_skipped(tally)
    assert f"skipped NUL bytes: 2 (first: {tmp_path}/a.txt:2)" in capsys.readouterr().err


def test_binary_part_of_a_file_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a line\n" * 100 + b"\0" * 4096 + b"\na line\n")
    with pytest.raises(DataError, match=r"a.txt:101: not text: 4096 of 4803 bytes are NUL"):
        lines_of(tmp_path / "a.txt", reading=SKIPPING)


def test_skipped_items_are_reported_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    report_skipped(tally)
    assert capsys.readouterr().err == ""
    for kind, place in (("bad records", "a:1"), ("long lines", "a:2"), ("bad records", "b:7")):
        tally.skip(kind, place)
    report_skipped(tally)
    assert capsys.readouterr().err.splitlines() == [
        "skipped bad records: 2 (first: a:1)",
        "skipped long lines: 1 (first: a:2)",
    ]


@pytest.mark.parametrize("change", ["longer", "as long", "gone"])
def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\n" * 100_000)
    lines = read_lines(path)
    next(lines)
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + (b"three\n" if change == "longer" else b""))
    message = "no such file" if change == "gone" else "changed while it was read .*nothing writes to it"
    with pytest.raises(DataError, match=f"a.txt: {message}"):
        list(lines)


def test_size_is_unknown_as_soon_as_one_is(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_bytes(b"12345")
    names = find_files([tmp_path, "hub:somebody/something"])
    assert names[-1] == "hub:somebody/something"
    assert total_bytes(names[:-1]) == 10
    assert total_bytes(names) is None


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "no such format", "empty"])
def test_damaged_compressed_file_is_refused(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"a.txt.{suffix}"
    text = "".join(f"{i * i}\n" for i in range(9000)).encode()
    if suffix == "gz":
        path.write_bytes(gzip.compress(text))
    else:
        write_zst(path, text)
    whole = path.read_bytes()
    flipped = whole[:4] + bytes(255 - x for x in whole[4:24]) + whole[24:]
    damaged = {"cut": whole[:-20], "flipped": flipped, "no such format": text, "empty": b""}
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=f"a.txt.{suffix}: damaged"):
        lines_of(path)
