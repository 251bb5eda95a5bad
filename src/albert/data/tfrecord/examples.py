"""Examples in the original's TFRecord files: a writer, and another source of the stream.

The source is deterministic and can start anywhere, like `masked_text`: an epoch takes the files in a random
order, a window of a few at a time, and the records of a window in a random order. The reader only finds
where records start; any worker can read a block of them. The price is that finding them visits every
record of a window before its first example.

Letters: B records of a block.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from albert.data.batches import IntArray, PretrainingBatch
from albert.data.tfrecord.files import RecordFile, RecordWriter
from albert.data.tfrecord.masked_records import parse_records, serialize_records
from albert.errors import ConfigError, DataError

WINDOW_FILES = 4
WINDOW_BYTES = 1 << 28
"""About 100,000 records of length 512; a larger file is a window by itself."""

_BLOCK_RECORDS = 256  # read at once
_FILE_ORDER = 0
_RECORD_ORDER = 1

_END_BYTES = 4096  # of each end of a file, for the fingerprint
RECORD_SUFFIXES = (".tfrecord", ".tfrecords", ".tf_record")


class TfrecordWriter:
    """A writer of batches as the original's records, which go to files in turn; for a `with` block.

    The files get their names when the block succeeds; otherwise nothing is left of them.
    """

    def __init__(self, paths: Sequence[Path], *, max_seq_length: int, max_predictions: int) -> None:
        """Take the number of tokens and predictions for which a record has room."""
        self._records = RecordWriter(paths)
        self._max_seq_length, self._max_predictions = max_seq_length, max_predictions

    def __enter__(self) -> Self:
        self._records.__enter__()
        return self

    def add(self, batch: PretrainingBatch) -> None:
        """Write the sequences of a batch.

        Raises:
            ConfigError: A sequence does not fit into a record.
            DataError: A file cannot be written, as on a full disk.
        """
        self._records.add(
            serialize_records(
                batch, max_seq_length=self._max_seq_length, max_predictions=self._max_predictions
            )
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._records.__exit__(kind, error, traceback)


class RecordsJob(NamedTuple):
    """What is needed to read a block of records; small and picklable."""

    files: IntArray
    """(B,) index of the file of each record."""
    starts: IntArray
    """(B,) byte at which the record starts."""


@dataclass(kw_only=True)
class TfrecordExamples:
    """The examples of some TFRecord files, in random order: shuffled files, shuffled within a few files."""

    paths: Sequence[Path]
    """The files."""
    vocab_size: int
    """Size of the model's vocabulary; records with larger ids are refused."""
    max_seq_length: int
    """Longest sequence, in tokens; longer records are refused."""
    seed: int = 0
    """Seed of all random draws."""
    _sizes: list[int] = field(init=False, repr=False)
    _counts: dict[int, int] = field(default_factory=dict, init=False, repr=False)
    _open: dict[int, RecordFile] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}; expected 0 or more")
        self._sizes = [_size(path) for path in self.paths]
        if not any(self._sizes):
            raise DataError(f"{', '.join(map(str, self.paths))}: no record found; make more examples")

    def windows(self, epoch: int, first: int = 0) -> Iterator["RecordsWindow"]:
        """Yield the windows of an epoch from number `first` on; files are not read yet."""
        order = self.random(_FILE_ORDER, epoch).permutation(len(self.paths)).tolist()
        window: list[int] = []
        number = 0
        for index, file in enumerate(order):
            window.append(file)
            following = order[index + 1 : index + 2]
            num_bytes = sum(self._sizes[other] for other in [*window, *following])
            if not following or len(window) == WINDOW_FILES or num_bytes > WINDOW_BYTES:
                if number >= first:
                    yield RecordsWindow(source=self, files=tuple(window), key=(epoch, number))
                window, number = [], number + 1

    def make(self, job: RecordsJob) -> PretrainingBatch:
        """Read the records of a job.

        Raises:
            DataError: A record is damaged, or is not an example of this vocabulary and length.
        """
        return self._batch([*zip(job.files.tolist(), job.starts.tolist(), strict=True)])

    def in_order(self) -> Iterator[PretrainingBatch]:
        """Yield all records once, in the order of the files, in batches.

        Raises:
            DataError: As `make`.
        """
        for file in range(len(self.paths)):
            starts = self.find_starts(file).tolist()
            for begin in range(0, len(starts), _BLOCK_RECORDS):
                yield self._batch([(file, start) for start in starts[begin : begin + _BLOCK_RECORDS]])

    def estimate_per_epoch(self) -> int:
        """Return an estimate of the number of records, from the first ones of a file."""
        first = next(number for number, size in enumerate(self._sizes) if size)
        return round(sum(self._sizes) / self._file(first).mean_record_bytes())

    def random(self, *key: int) -> np.random.Generator:
        """Return the generator of a key; Philox is cheap to create."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=key)))

    def count(self, file: int) -> int:
        """Return the number of records in a file, which are counted once."""
        if file not in self._counts:
            self.find_starts(file)
        return self._counts[file]

    def find_starts(self, file: int) -> IntArray:
        """Return the bytes at which the records of a file start."""
        starts = self._file(file).find_starts()
        self._counts[file] = len(starts)
        return starts

    @property
    def fingerprint(self) -> str:
        """Digest of names, sizes and both ends of all files, by which a resumed run notices other files."""
        digest = hashlib.sha256()
        for path, size in zip(self.paths, self._sizes, strict=True):
            with path.open("rb") as file:
                ends = file.read(_END_BYTES)
                file.seek(max(0, size - _END_BYTES))
                ends += file.read(_END_BYTES)
            digest.update(f"{path.name} {size} {hashlib.sha256(ends).hexdigest()}\n".encode())
        return digest.hexdigest()

    def _file(self, number: int) -> RecordFile:
        """Return a mapped file; the files of a window stay mapped."""
        if number not in self._open:
            if len(self._open) == WINDOW_FILES:
                self._open.clear()
            self._open[number] = RecordFile(self.paths[number])
        return self._open[number]

    def _batch(self, records: Sequence[tuple[int, int]]) -> PretrainingBatch:
        """Return the records at pairs of file and byte as a batch."""
        messages = [self._file(file).read(start) for file, start in records]
        try:
            return parse_records(messages, vocab_size=self.vocab_size, max_seq_length=self.max_seq_length)
        except ValueError as error:
            if len(records) == 1:
                raise DataError(f"{self._file(records[0][0]).place(records[0][1])}: {error}") from error
            for record in records:  # find the wrong one
                self._batch([record])
            raise


@dataclass(kw_only=True)
class RecordsWindow:
    """The records of a few files, in a random order."""

    source: TfrecordExamples
    """The source that reads the records."""
    files: tuple[int, ...]
    """Indices of its files."""
    key: tuple[int, int]
    """Epoch, and number of the window in it."""

    def __len__(self) -> int:
        """Return the number of records."""
        return sum(map(self.source.count, self.files))

    def job(self, begin: int, end: int) -> RecordsJob:
        """Return the job that reads the records `begin` to `end` (exclusive) of the window."""
        return RecordsJob(files=self._order.files[begin:end], starts=self._order.starts[begin:end])

    @cached_property
    def _order(self) -> RecordsJob:
        """All records, in the order of the window."""
        starts = [self.source.find_starts(file) for file in self.files]
        order = self.source.random(_RECORD_ORDER, *self.key).permutation(sum(map(len, starts)))
        files = np.repeat(self.files, [len(part) for part in starts])
        return RecordsJob(files=files[order], starts=np.concatenate(starts)[order])


def find_record_files(paths: Iterable[str | Path]) -> list[Path]:
    """Return the TFRecord files that `paths` name: files of any name, and folders.

    Raises:
        DataError: A path does not exist, or a folder has no such file.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; expected TFRecord files")
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in RECORD_SUFFIXES)
        if not files:
            raise DataError(f"{path}: no TFRecord file in it ({', '.join(RECORD_SUFFIXES)})")
        found += files
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
