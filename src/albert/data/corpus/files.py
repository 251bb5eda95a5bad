"""The files of a corpus and their lines, read many at a time.

Memory is bounded by one block and one line, whatever the size of a file; the price is that a line of text
may have 1 MiB at most. Compressed files go through the streams of pyarrow.
"""

import glob
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from albert import console
from albert.choices import Decoding
from albert.data.corpus.storage import (
    filesystem_of,
    is_url,
    one_line,
    open_stored,
    reaching,
    stored_bytes,
    version_of,
)
from albert.errors import DataError

TEXT_SUFFIXES = (".txt", ".txt.gz", ".txt.zst")
RECORD_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
COMMA_SUFFIXES = (".csv", ".csv.gz", ".csv.zst")
TAB_SUFFIXES = (".tsv", ".tsv.gz", ".tsv.zst")
PARQUET_SUFFIXES = (".parquet",)
SUFFIXES = (*TEXT_SUFFIXES, *RECORD_SUFFIXES, *COMMA_SUFFIXES, *TAB_SUFFIXES, *PARQUET_SUFFIXES)
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
HUB_PREFIX = "hub:"
"""Prefix of the name of a data set of the Hugging Face Hub, in place of a path."""

BLOCK_BYTES = 1 << 18
MAX_LINE_BYTES = 1 << 20
"""A longer line is neither sentence nor paragraph, and would have to be held in memory as a whole."""
MAX_RECORD_BYTES = 1 << 26
"""Limit for a line of a .jsonl file and for a cell of a table, which hold a whole document."""
MAX_NUL_SHARE = 0.1
"""A file with more NUL bytes is not text: UTF-16 without a byte-order mark, or something else."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FOREIGN_MARKS = {  # UTF-32 first: its little-endian mark starts with that of UTF-16
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the documents of a corpus are read."""

    column: str = "text"
    """Field of .jsonl records, or column of .csv, .tsv and .parquet files and Hub data sets, with the text;
    several are separated by commas."""
    errors: Decoding | Literal["surrogateescape"] = "strict"
    """What to do with bytes that are not UTF-8: stop, replace them with U+FFFD, or keep them as halves of
    surrogate pairs, for a caller that refuses these later."""
    skip_bad: bool = False
    """Whether to skip and count lines and records that cannot be used, instead of stopping."""
    is_chosen: bool = False
    """Whether the user of this command chooses the two with --errors and --skip-bad, so that messages may
    recommend them."""

    def columns_of(self, known: Container[str]) -> tuple[str, ...]:
        """Return the names of the chosen columns; one of the `known` names may have a comma in it."""
        if self.column in known:
            return (self.column,)
        return tuple(name for part in self.column.split(",") if (name := part.strip())) or (self.column,)


DEFAULT_READING = Reading()
"""The field "text"; anything that cannot be used is an error."""


@dataclass(kw_only=True)
class Tally:
    """Counts of a pass over a corpus; they rise while the corpus is read."""

    bytes_read: int = 0
    """Bytes of the files as they are stored: compressed files count compressed."""
    documents: int = 0
    """Documents read; each part of a cut document counts."""
    cuts: int = 0
    """Places where a document was cut because it was too long to hold in memory."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Number of skipped items of each kind."""
    accepted: Counter[str] = field(default_factory=Counter)
    """Number of unusual items of each kind that were read all the same."""
    first_places: dict[str, str] = field(default_factory=dict)
    """Place of the first item of each kind."""

    def skip(self, kind: str, place: str, count: int = 1) -> None:
        """Count a skipped item; `kind` is a plural: "lines that are not UTF-8"."""
        self.skipped[kind] += count
        self.first_places.setdefault(kind, place)

    def accept(self, kind: str, place: str) -> None:
        """Count an unusual item that is read; `kind` is a plural."""
        self.accepted[kind] += 1
        self.first_places.setdefault(kind, place)

    def skipped_kinds(self) -> list[str]:
        """Return each kind of skipped item with its count and first place, the most frequent first."""
        return [
            f"{kind}: {count} (first: {self.first_places[kind]})"
            for kind, count in self.skipped.most_common()
        ]


def report_skipped(tally: Tally) -> None:
    """Report what was skipped, and what was unusual, one line per kind."""
    for kind, count in tally.accepted.most_common():
        console.note(f"read {kind}: {count} (first: {tally.first_places[kind]})")
    for kind in tally.skipped_kinds():
        console.note(f"skipped {kind}")


def skip_or_refuse(kind: str, place: str, problem: str, *, reading: Reading, tally: Tally) -> None:
    """Count a line or record that cannot be used if `reading` says to skip it.

    Raises:
        DataError: It does not; the message has the place, the problem, and how to go on.
    """
    if not reading.skip_bad:
        raise DataError(f"{place}: {problem}" + ("; or skip it with --skip-bad" if reading.is_chosen else ""))
    tally.skip(kind, place)


def find_files(paths: Iterable[str | Path]) -> list[str]:
    """Return the corpus files that `paths` name: files, folders (searched recursively) and globs.

    Each may be a URL; "hub:NAME" is returned as it is. Files of one folder or glob are sorted by name;
    paths keep their order.

    Raises:
        DataError: A path does not exist, holds no corpus file, has an unknown suffix, or its storage
            cannot be reached.
        ConfigError: The protocol of a URL is unknown, or its package is not installed.
    """
    files = [file for path in paths for file in _expand(str(path))]
    if not files:
        raise DataError(f"no input path given; a corpus is {_supported()}")
    return files


def fewest_names(paths: Sequence[str]) -> list[str]:
    """Return names of the same files for a message: one glob where `paths` are what a shell made of it."""
    suffixes = {"".join(Path(path).suffixes) for path in paths}
    if len(paths) > 3 and len(suffixes) == 1:
        pattern = str(Path(paths[0]).with_name(f"*{suffixes.pop()}"))
        if sorted(glob.glob(pattern)) == sorted(paths):  # noqa: PTH207  # as `_expand_local`
            return [pattern]
    return list(paths)


def total_bytes(files: Sequence[str]) -> int | None:
    """Return the size of all `files` as they are stored; None if the size of one is unknown."""
    sizes = [None if file.startswith(HUB_PREFIX) else stored_bytes(file) for file in files]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def has_suffix(path: str | Path, suffixes: Sequence[str]) -> bool:
    """Whether the file name ends with one of `suffixes`."""
    return str(path).lower().endswith(tuple(suffixes))


def read_lines(
    path: str | Path,
    *,
    reading: Reading = DEFAULT_READING,
    tally: Tally | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[tuple[int, str]]:
    """Read the lines of one file as (line number from 1, text without line end); raises as `read_runs`."""
    for first, lines in read_runs(
        str(path), reading=reading, tally=tally or Tally(), max_line_bytes=max_line_bytes
    ):
        yield from enumerate(lines, first)


def read_runs(
    path: str, *, reading: Reading, tally: Tally, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, list[str]]]:
    """Read the lines of one file in runs, as (number of the first, from 1; texts without line ends).

    Drops a byte-order mark and NUL bytes, which no tokenizer takes. Where a run starts has no meaning.

    Raises:
        DataError: The file cannot be read or decompressed, changes meanwhile, or is not text at all; or a
            line is longer than `max_line_bytes` or not UTF-8 and is not to be skipped.
    """
    for number, offset, content in _whole_lines(path, reading, tally, max_line_bytes):
        try:
            text = content.decode("utf-8", reading.errors)
        except UnicodeDecodeError:
            runs = _decode_singly(path, number, offset, content, reading=reading, tally=tally)
        else:
            runs = iter(((number, text.split("\n")),))
        if b"\0" not in content:
            yield from runs
            continue
        _check_nuls(path, number, content)
        for first, lines in runs:
            yield first, _without_nuls(path, first, lines, tally)


def _decode_singly(
    path: str, number: int, offset: int, content: bytes, *, reading: Reading, tally: Tally
) -> Iterator[tuple[int, list[str]]]:
    """Decode line by line, since at least one line is not UTF-8."""
    for at, line in enumerate(content.split(b"\n"), start=number):
        try:
            yield at, [line.decode("utf-8")]
        except UnicodeDecodeError as error:
            problem = (
                f"not UTF-8: byte 0x{line[error.start]:02X} at offset {offset + error.start}; convert the "
                f"file (iconv -f {_likely_encoding(line)} -t UTF-8 OLD > NEW)"
            ) + (" or read it with --errors replace" if reading.is_chosen else "")
            skip_or_refuse("lines that are not UTF-8", f"{path}:{at}", problem, reading=reading, tally=tally)
        offset += len(line) + 1


def _likely_encoding(line: bytes) -> str:
    """Return the encoding that a line that is not UTF-8 most likely has, by its name for iconv.

    Chinese text is read as GB18030, where ideographs are pairs of bytes; other text as CP1252.
    """
    high = sum(byte >= 0x80 for byte in line)
    try:
        ideographs = sum("\u4e00" <= character <= "\u9fff" for character in line.decode("gb18030"))
    except UnicodeDecodeError:
        return "CP1252"
    return "GB18030" if 2 * ideographs > 0.8 * high and ideographs > 1 else "CP1252"


def _check_nuls(path: str, number: int, content: bytes) -> None:
    """Raise DataError if so many bytes are NUL that this is not text."""
    nuls = content.count(b"\0")
    if nuls > MAX_NUL_SHARE * len(content):
        line = number + content.count(b"\n", 0, content.index(b"\0"))
        raise DataError(
            f"{path}:{line}: not text: {nuls} of {len(content)} bytes are NUL; a binary file, or UTF-16 "
            "without a byte-order mark: convert it (iconv -f UTF-16LE or UTF-16BE, -t UTF-8 OLD > NEW)"
        )


def _without_nuls(path: str, first: int, lines: list[str], tally: Tally) -> list[str]:
    """Drop and count the NUL bytes of lines."""
    for number, line in enumerate(lines, first):
        if nuls := line.count("\0"):
            tally.skip("NUL bytes", f"{path}:{number}", nuls)
    return [line.replace("\0", "") for line in lines]


def _whole_lines(
    path: str, reading: Reading, tally: Tally, max_line_bytes: int
) -> Iterator[tuple[int, int, bytes]]:
    """Read whole lines, about a block of them at a time, as (number of the first, offset, content).

    A line longer than `max_line_bytes` is refused or skipped, and never held in memory.
    """
    number, offset, endless = 1, 0, False
    for chunk in _line_chunks(_read_blocks(path, tally), max_line_bytes):
        start = 0 if offset else _mark_bytes(path, chunk)
        if not offset and b"\n" not in chunk and b"\r" in chunk.rstrip(b"\r"):
            raise DataError(
                f"{path}:1: lines end in a carriage return alone; convert the file: "
                "tr '\\r' '\\n' < OLD > NEW"
            )
        end = chunk.find(b"\n")
        if not endless and (end if end >= 0 else len(chunk)) - start > max_line_bytes:
            endless = True
            problem = (
                f"one endless line, longer than {max_line_bytes >> 20} MiB; a corpus has one sentence or "
                "paragraph per line: break it into lines"
            )
            kind = f"lines longer than {max_line_bytes >> 20} MiB"
            skip_or_refuse(kind, f"{path}:{number}", problem, reading=reading, tally=tally)
        if endless and end >= 0:
            start, number, endless = end + 1, number + 1, False
        if not endless and start < len(chunk):
            yield number, offset + start, chunk[start:].removesuffix(b"\n")
            number += chunk.count(b"\n", start)
        offset += len(chunk)


def _line_chunks(blocks: Iterable[bytes], max_line_bytes: int) -> Iterator[bytes]:
    """Join and cut blocks so that each ends with a line, except within a line that is too long."""
    rest: list[bytes] = []
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if not cut:
            rest.append(block)
            if sum(map(len, rest)) <= max_line_bytes:
                continue
        yield b"".join([*rest, block[:cut]])
        rest = [block[cut:]] if cut else []
    if any(rest):
        yield b"".join(rest)


def _mark_bytes(path: str, beginning: bytes) -> int:
    """Return the length of the UTF-8 mark at the start of a file, or 0; refuse other encodings."""
    for mark, name in _FOREIGN_MARKS.items():
        if beginning.startswith(mark):
            raise DataError(
                f"{path}:1: looks like {name.upper()} (it starts with the mark {mark.hex(' ').upper()}); "
                f"expected UTF-8; convert it: iconv -f {name.upper()} -t UTF-8 OLD > NEW"
            )
    return len(_BYTE_ORDER_MARK) if beginning.startswith(_BYTE_ORDER_MARK) else 0


def _read_blocks(path: str, tally: Tally) -> Iterator[bytes]:
    """Read the decompressed bytes of a file block by block, counting the stored bytes."""
    import pyarrow as pa

    compression = next((name for suffix, name in COMPRESSIONS.items() if has_suffix(path, [suffix])), None)
    version = version_of(path)
    seen = 0
    with open_stored(path) as stored:
        try:
            stream = pa.CompressedInputStream(stored, compression) if compression else stored
            while block := stream.read(BLOCK_BYTES):
                position = stored.tell()
                tally.bytes_read += position - seen
                seen = position
                yield block
            if compression and not seen:
                raise OSError("it is empty")  # noqa: TRY301 -- even compressed nothing has a header
        except OSError as error:
            problem = f"damaged {compression} file" if compression else "cannot be read"
            raise DataError(f"{path}: {problem} ({one_line(error)}); fetch or write it again") from error
    check_unchanged(path, version)


def check_unchanged(path: str, version: str) -> None:
    """Raise DataError if a file has changed since it was opened."""
    now = version_of(path)
    if now != version:
        raise DataError(
            f"{path}: changed while it was read (before: {version}; now: {now}); run again when nothing "
            "writes to it"
        )


def _expand(path: str) -> list[str]:
    if path.startswith(HUB_PREFIX):
        return [path]
    found = _expand_url(path) if is_url(path) else _expand_local(path)
    if not found:
        raise DataError(f"{path}: no such file, folder or glob; a corpus is {_supported()}")
    for file in found:
        if not has_suffix(file, SUFFIXES):
            raise DataError(f"{file}: unknown suffix; a corpus is {_supported()}")
    return found


def _expand_local(path: str) -> list[str]:
    if Path(path).is_dir():
        found = (str(file) for file in Path(path).rglob("*") if file.is_file())
        return _corpus_files(path, found)
    # Path.glob refuses absolute patterns.
    return [path] if Path(path).exists() else sorted(glob.glob(path, recursive=True))  # noqa: PTH207


def _expand_url(url: str) -> list[str]:
    filesystem, inside = filesystem_of(url)
    with reaching(url):
        filesystem.invalidate_cache()
        if glob.has_magic(inside):
            return sorted(filesystem.unstrip_protocol(name) for name in filesystem.glob(inside))
        if filesystem.isdir(inside):
            return _corpus_files(url, map(filesystem.unstrip_protocol, filesystem.find(inside)))
        return [url] if filesystem.exists(inside) else []


def _corpus_files(folder: str, names: Iterable[str]) -> list[str]:
    """Return the corpus files among the names in a folder, sorted."""
    found = [name for name in names if has_suffix(name, SUFFIXES)]
    found = sorted(name for name in found if not name.rpartition("/")[2].startswith("."))
    if not found:
        raise DataError(f"{folder}: the folder holds no corpus file; a corpus is {_supported()}")
    return found


def _supported() -> str:
    return (
        "a file ending in .txt, .csv, .tsv or .jsonl, each also with .gz or .zst, or in .parquet; a folder, "
        "glob or URL of these; or hub:NAME"
    )
