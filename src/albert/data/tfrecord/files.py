"""TFRecord files, read and written without TensorFlow.

A file is a series of records: length (8 bytes), its checksum (4), a message, its checksum (4). Files are
mapped, and sizes in them are compared with the size of the file before they are used. `messages` reads what
is inside.
Source: record_writer.cc of TensorFlow 1.15.

Letters: B records.
"""

import mmap
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import google_crc32c
import numpy as np
import numpy.typing as npt

from albert.data.batches import IntArray
from albert.errors import DataError

_LENGTH_BYTES = 8
_CHECKSUM_BYTES = 4
_HEADER_BYTES = _LENGTH_BYTES + _CHECKSUM_BYTES

_FETCH = "fetch the file or make it again"
_TEMPORARY = ".partial"


class RecordFile:
    """A mapped TFRecord file; records are identified by the byte at which they start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                # An empty file has no records, but cannot be mapped.
                empty = not os.fstat(file.fileno()).st_size
                self._map: mmap.mmap | bytes = (
                    b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                )
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        """Pickle the path only, so that another process maps the file itself."""
        return type(self), (self.path,)

    @property
    def is_empty(self) -> bool:
        """Whether the file has no record."""
        return not len(self._map)

    def find_starts(self) -> IntArray:
        """Return (B,) the bytes at which records start, by following the lengths.

        Raises:
            DataError: The file is truncated, damaged, compressed, or not a TFRecord file.
        """
        return np.frombuffer(array("q", self._walk()), np.int64)

    def mean_record_bytes(self, *, of_first: int = 100) -> float:
        """Return the mean size of the first records in the file, at least 1.

        Raises:
            DataError: As `find_starts`, for these records.
        """
        starts = [*islice(self._walk(), of_first + 1)]
        if len(starts) > of_first:
            return starts[-1] / of_first
        return max(1, len(self._map) / max(1, len(starts)))

    def read(self, start: int) -> bytes:
        """Return the message of the record at byte `start`, whose checksum is verified.

        Raises:
            DataError: The record is damaged.
        """
        begin = start + _HEADER_BYTES
        end = begin + self._message_bytes(start)
        message = self._map[begin:end]
        if masked_crc32c(message) != int.from_bytes(self._map[end : end + _CHECKSUM_BYTES], "little"):
            raise DataError(
                f"{self.place(start)}: damaged: the checksum of its {end - begin:,} bytes is wrong; {_FETCH}"
            )
        return message

    def place(self, start: int) -> str:
        """Return the place of a record for error messages."""
        return f"{self.path}: record at byte {start:,}"

    def _walk(self) -> Iterator[int]:
        """Yield the bytes at which records start."""
        position = 0
        while position < len(self._map):
            num_bytes = self._message_bytes(position)
            yield position
            position += _HEADER_BYTES + num_bytes + _CHECKSUM_BYTES

    def _message_bytes(self, start: int) -> int:
        """Return the length of the message of the record at byte `start`, if it can be right."""
        header = self._map[start : start + _HEADER_BYTES]
        if not start and (compression := _compression(header)) and not _is_header(header):
            raise DataError(
                f"{self.path}: {compression}-compressed; expected a plain TFRecord file: decompress it first"
            )
        if len(header) < _HEADER_BYTES:
            raise DataError(
                f"{self.place(start)}: truncated: {len(header)} bytes are left, a header has "
                f"{_HEADER_BYTES}; {_FETCH}"
            )
        if not _is_header(header):
            found = "damaged" if start else "not a TFRecord file, or damaged"
            raise DataError(f"{self.place(start)}: {found}: the checksum of its length is wrong; {_FETCH}")
        num_bytes = int.from_bytes(header[:_LENGTH_BYTES], "little")
        left = len(self._map) - start - _HEADER_BYTES
        if num_bytes + _CHECKSUM_BYTES > left:
            raise DataError(
                f"{self.place(start)}: truncated: it has {num_bytes:,} bytes and a checksum, "
                f"{left:,} bytes are left; {_FETCH}"
            )
        return num_bytes


class RecordWriter:
    """A writer of messages, which go to TFRecord files in turn; for a `with` block.

    The files get their names when the block succeeds; otherwise nothing is left of them.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        assert paths, "records need a file"
        self._paths = list(paths)
        self._files: list[BinaryIO] = []
        self._written = 0

    def __enter__(self) -> Self:
        """Open all files under temporary names."""
        try:
            for path in self._paths:
                self._files.append(_temporary(path).open("wb"))
        except OSError as error:
            self._discard()
            raise self._failure(error) from error
        return self

    def add(self, messages: Sequence[bytes]) -> None:
        """Write messages, the first one to the next file.

        Raises:
            DataError: A file cannot be written, as on a full disk.
        """
        frames = [frame(message) for message in messages]
        try:
            for turn in range(min(len(self._files), len(frames))):
                file = self._files[(self._written + turn) % len(self._files)]
                file.write(b"".join(frames[turn :: len(self._files)]))
        except OSError as error:
            raise self._failure(error) from error
        self._written += len(frames)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Sync and rename the files; remove them if the block failed.

        Raises:
            DataError: A file cannot be written completely.
        """
        if kind is not None:
            self._discard()
            return
        try:
            for file in self._files:
                file.flush()
                os.fsync(file.fileno())
                file.close()
            for path in self._paths:
                _temporary(path).replace(path)
        except OSError as failure:
            self._discard()
            raise self._failure(failure) from failure

    def _discard(self) -> None:
        for file in self._files:
            with suppress(OSError):  # what is in the buffer may not fit on the disk
                file.close()
        for path in self._paths:
            _temporary(path).unlink(missing_ok=True)

    def _failure(self, error: OSError) -> DataError:
        place = self._paths[0] if len(self._paths) == 1 else self._paths[0].parent
        return DataError(
            f"{place}: cannot be written ({error.strerror or error}); free space or choose another --output"
        )


def masked_crc32c(data: bytes | npt.NDArray[np.uint8]) -> int:
    """Return the CRC32C of `data`, masked as TFRecord files store it."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(message: bytes) -> bytes:
    """Return a message as a record of a file."""
    length = len(message).to_bytes(_LENGTH_BYTES, "little")
    return b"".join([length, _checksum(length), message, _checksum(message)])


def _checksum(data: bytes) -> bytes:
    return masked_crc32c(data).to_bytes(_CHECKSUM_BYTES, "little")


def is_record_file(path: Path) -> bool:
    """Whether a file starts as TFRecord files do, whatever its name."""
    try:
        with path.open("rb") as file:
            return _is_header(file.read(_HEADER_BYTES))
    except OSError:
        return False


def _is_header(header: bytes) -> bool:
    """Whether 12 bytes are a length and its checksum."""
    return header[_LENGTH_BYTES:] == _checksum(header[:_LENGTH_BYTES])


def _compression(start: bytes) -> str:
    """Return how a file that starts like this is compressed; empty if it is not, or in an unknown way."""
    if start[:2] == b"\x1f\x8b":
        return "gzip"
    # A zlib stream starts with method 8, and its first two bytes are a multiple of 31.
    if len(start) > 1 and start[0] & 15 == 8 and not int.from_bytes(start[:2]) % 31:
        return "zlib"
    return ""


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + _TEMPORARY)
