"""What `albert.data.files` finds and reads, and what it refuses."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from albert.data.files import Tally, find_files, read_lines
from albert.errors import DataError


def lines_of(path: Path, **options: object) -> list[str]:
    return [line for _, line in read_lines(path, **{"errors": "strict", "tally": Tally(), **options})]


def write_zst(path: Path, content: bytes) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(content)


def test_folder_is_searched_in_depth_and_sorted(tmp_path: Path) -> None:
    for name in ("b.txt", "a.jsonl", "deep/c.txt.gz", "README.md", ".hidden.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [str(file.relative_to(tmp_path)) for file in find_files([tmp_path])]
    assert names == ["a.jsonl", "b.txt", "deep/c.txt.gz"]


def test_glob_is_expanded_and_sorted(tmp_path: Path) -> None:
    for name in ("2.txt", "1.txt", "3.jsonl"):
        (tmp_path / name).write_text("x")
    assert [file.name for file in find_files([f"{tmp_path}/*.txt"])] == ["1.txt", "2.txt"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.txt", "no such file, folder or glob; a corpus is a file ending in .txt, .txt.gz"),
        ("table.docx", "unknown suffix; a corpus is a file ending in .txt"),
        ("empty", "the folder holds no corpus file"),
    ],
)
def test_path_that_is_no_corpus_is_refused(tmp_path: Path, name: str, message: str) -> None:
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
    assert list(read_lines(tmp_path / "a.txt", errors="strict", tally=Tally())) == [
        (1, "one"),
        (2, ""),
        (3, "two"),
    ]


def test_bytes_that_are_not_utf8_are_named_by_line_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"\xef\xbb\xbffine\nna\xefve\n")
    with pytest.raises(
        DataError, match=r"latin1.txt:2: not UTF-8: byte 0xEF at offset 10; .*--errors replace"
    ):
        lines_of(path)
    assert path.read_bytes()[10] == 0xEF
    assert lines_of(path, errors="replace") == ["fine", "na\ufffdve"]


def test_endless_line_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"short\n" + b"x" * (3 << 20))
    with pytest.raises(DataError, match=r"a.txt:2: one endless line, longer than 1 MiB; .*break it"):
        lines_of(tmp_path / "a.txt")


@pytest.mark.parametrize("suffix", ["gz", "zst"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "no such format"])
def test_damaged_compressed_file_is_refused(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"a.txt.{suffix}"
    text = "".join(f"{i * i}\n" for i in range(9000)).encode()
    if suffix == "gz":
        path.write_bytes(gzip.compress(text))
    else:
        write_zst(path, text)
    whole = path.read_bytes()
    flipped = whole[:4] + bytes(255 - x for x in whole[4:24]) + whole[24:]
    damaged = {"cut": whole[:-20], "flipped": flipped, "no such format": text}
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=f"a.txt.{suffix}: damaged"):
        lines_of(path)
