"""Finds the files of a corpus and reads their lines, a block at a time.

Stands below `corpus`, which makes documents of the lines. Memory is bounded by one block and one line,
whatever the size of a file. Compressed files go through the streams of pyarrow.
"""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from albert.errors import DataError

Decoding = Literal["strict", "replace"]

TEXT_SUFFIXES = (".txt", ".txt.gz", ".txt.zst")
RECORD_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
SUFFIXES = (*TEXT_SUFFIXES, *RECORD_SUFFIXES)
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}

BLOCK_BYTES = 1 << 18
MAX_LINE_BYTES = 1 << 20
"""A longer line of text is no sentence and no paragraph; it would have to be held in memory whole."""
MAX_RECORD_BYTES = 1 << 26
"""A line of a .jsonl file holds a whole document, so it may be longer."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(kw_only=True)
class Tally:
    """What a pass over a corpus has met so far; counts rise while the corpus is read."""

    bytes_read: int = 0
    """Bytes of the files as they are stored, so compressed ones count compressed."""
    documents: int = 0
    """Documents read, the parts of a cut one each counted."""
    cuts: int = 0
    """Places where a document was cut because it was too long to hold in memory."""


def find_files(paths: Iterable[str | Path]) -> list[Path]:
    """Returns the corpus files that `paths` name: files, folders (searched in depth) and globs.

    Files of one folder or glob come sorted by name; paths keep their order.

    Raises:
        DataError: A path does not exist, holds no corpus file, or has an unknown suffix.
    """
    files = [file for path in paths for file in _expand(str(path))]
    if not files:
        raise DataError(f"no input path given; a corpus is {_supported()}")
    return files


def total_bytes(files: Sequence[Path]) -> int:
    """Returns the bytes of all `files` as they are stored."""
    return sum(file.stat().st_size for file in files)


def has_suffix(path: Path, suffixes: Sequence[str]) -> bool:
    """Returns whether the file name ends with one of `suffixes`."""
    return path.name.lower().endswith(tuple(suffixes))


def read_lines(
    path: Path, *, errors: Decoding, tally: Tally, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, str]]:
    """Reads the lines of one file as (line number from 1, text without its end); drops a byte-order mark.

    Raises:
        DataError: The file cannot be read or decompressed, a line is longer than `max_line_bytes`, or
            it is not UTF-8 and `errors` is "strict".
    """
    offset = 0
    for number, line in enumerate(_split_lines(_read_blocks(path, tally), max_line_bytes), start=1):
        if len(line) > max_line_bytes:
            raise DataError(
                f"{path}:{number}: one endless line, longer than {max_line_bytes >> 20} MiB; "
                "a corpus has one sentence or paragraph a line: break it into lines"
            )
        text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        try:
            yield number, text.decode("utf-8", errors)
        except UnicodeDecodeError as error:
            at = offset + len(line) - len(text) + error.start
            raise DataError(
                f"{path}:{number}: not UTF-8: byte 0x{text[error.start]:02X} at offset {at}; convert the "
                "file (iconv -t utf-8); vocab and prepare can also read on with --errors replace"
            ) from error
        offset += len(line) + 1


def _expand(path: str) -> list[Path]:
    if Path(path).is_dir():
        found = sorted(
            file
            for file in Path(path).rglob("*")
            if file.is_file() and has_suffix(file, SUFFIXES) and not file.name.startswith(".")
        )
        if not found:
            raise DataError(f"{path}: the folder holds no corpus file; a corpus is {_supported()}")
        return found
    # Path.glob refuses absolute patterns.
    matches = glob.glob(path, recursive=True)  # noqa: PTH207
    found = [Path(path)] if Path(path).exists() else sorted(map(Path, matches))
    if not found:
        raise DataError(f"{path}: no such file, folder or glob; a corpus is {_supported()}")
    for file in found:
        if not has_suffix(file, SUFFIXES):
            raise DataError(f"{file}: unknown suffix; a corpus is {_supported()}")
    return found


def _supported() -> str:
    return f"a file ending in {', '.join(SUFFIXES)}, or a folder or glob of these"


def _read_blocks(path: Path, tally: Tally) -> Iterator[bytes]:
    """Reads the decompressed bytes of a file block by block, counting the stored bytes."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    seen = 0
    try:
        with pa.OSFile(str(path)) as stored:
            stream = pa.CompressedInputStream(stored, compression) if compression else stored
            while block := stream.read(BLOCK_BYTES):
                position = stored.tell()
                tally.bytes_read += position - seen
                seen = position
                yield block
    except OSError as error:
        problem = f"damaged {compression} file" if compression else "cannot be read"
        raise DataError(f"{path}: {problem} ({error}); fetch or write it again") from error


def _split_lines(blocks: Iterable[bytes], max_line_bytes: int) -> Iterator[bytes]:
    """Splits at line feeds; stops early, inside the line, where one exceeds `max_line_bytes`."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > max_line_bytes:
            break
    if rest:
        yield rest
