"""Examples in the original's TFRecord files: a writer, and another source of the stream of `examples`.

Stands on `tfrecord` (files) and `masked_records` (what a record holds). The source is deterministic and can
be entered anywhere, like `masked_text`: an epoch takes the files in a random order, a window of a few at a
time, and the records of a window in a random order. Whoever reads the stream only hops from record to record;
the jobs it hands out say at which bytes records start, and any process can read them.

Letters: R records.
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
"""About 100,000 records of length 512; a larger file is a window of its own."""

_BLOCK_RECORDS = 256  # read at once
_FILE_ORDER = 0
_RECORD_ORDER = 1

_END_BYTES = 4096  # of either end of a file, for the fingerprint
_SUFFIXES = (".tfrecord", ".tfrecords", ".tf_record")


class TfrecordWriter:
    """Writes batches as the original's records, dealt out to files in turn, for use in a `with` block.

    The files take their names when the block ends well; otherwise nothing is left of them.
    """

    def __init__(self, paths: Sequence[Path], *, max_seq_length: int, max_predictions: int) -> None:
        """Takes how many pieces and predictions a record has room for."""
        self._records = RecordWriter(paths)
        self._max_seq_length, self._max_predictions = max_seq_length, max_predictions

    def __enter__(self) -> Self:
        self._records.__enter__()
        return self

    def add(self, batch: PretrainingBatch) -> None:
        """Writes the sequences of a batch.

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
    """All that is needed to read a block of records; small and picklable."""

    files: IntArray
    """(R,) which of the source's files each record lies in."""
    starts: IntArray
    """(R,) the byte at which it starts there."""


@dataclass(kw_only=True)
class TfrecordExamples:
    """The examples of some TFRecord files, in random order: of the files, and within a few of them."""

    paths: Sequence[Path]
    """The files."""
    vocab_size: int
    """Pieces of the model's vocabulary; a record with others is refused."""
    max_seq_length: int
    """Pieces the model can take; a longer record is refused."""
    seed: int = 0
    """Of all draws."""
    _sizes: list[int] = field(init=False, repr=False)
    _counts: dict[int, int] = field(default_factory=dict, init=False, repr=False)
    _open: dict[int, RecordFile] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}; expected 0 or more")
        self._sizes = [_size(path) for path in self.paths]
        if not any(self._sizes):
            raise DataError(f"{', '.join(map(str, self.paths))}: no record in it; make more examples")

    def windows(self, epoch: int, first: int = 0) -> Iterator["RecordsWindow"]:
        """Yields the windows of an epoch from number `first` on; files are not read before asked for."""
        order = self.random(_FILE_ORDER, epoch).permutation(len(self.paths)).tolist()
        window: list[int] = []
        number = 0
        for place, file in enumerate(order):
            window.append(file)
            following = order[place + 1 : place + 2]
            num_bytes = sum(self._sizes[other] for other in [*window, *following])
            if not following or len(window) == WINDOW_FILES or num_bytes > WINDOW_BYTES:
                if number >= first:
                    yield RecordsWindow(source=self, files=tuple(window), place=(epoch, number))
                window, number = [], number + 1

    def make(self, job: RecordsJob) -> PretrainingBatch:
        """Reads the records of a job.

        Raises:
            DataError: A record is damaged, or is no example of this vocabulary and length.
        """
        return self._batch([*zip(job.files.tolist(), job.starts.tolist(), strict=True)])

    def in_order(self) -> Iterator[PretrainingBatch]:
        """Yields all records once in the order of the files, some at a time.

        Raises:
            DataError: As `make`.
        """
        for file in range(len(self.paths)):
            starts = self.find_starts(file).tolist()
            for begin in range(0, len(starts), _BLOCK_RECORDS):
                yield self._batch([(file, start) for start in starts[begin : begin + _BLOCK_RECORDS]])

    def estimate_per_epoch(self) -> int:
        """Returns about how many records there are, judging by the first ones of a file."""
        first = next(number for number, size in enumerate(self._sizes) if size)
        return round(sum(self._sizes) / self._file(first).mean_record_bytes())

    def random(self, *place: int) -> np.random.Generator:
        """Returns the generator of a place in the stream; Philox is cheap to key."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=place)))

    def count(self, file: int) -> int:
        """Returns the number of records in a file, which is hopped through once."""
        if file not in self._counts:
            self.find_starts(file)
        return self._counts[file]

    def find_starts(self, file: int) -> IntArray:
        """Returns the bytes at which the records of a file start."""
        starts = self._file(file).find_starts()
        self._counts[file] = len(starts)
        return starts

    @property
    def fingerprint(self) -> str:
        """Digest of the names, the sizes and both ends of all files, to notice other ones."""
        digest = hashlib.sha256()
        for path, size in zip(self.paths, self._sizes, strict=True):
            with path.open("rb") as file:
                ends = file.read(_END_BYTES)
                file.seek(max(0, size - _END_BYTES))
                ends += file.read(_END_BYTES)
            digest.update(f"{path.name} {size} {hashlib.sha256(ends).hexdigest()}\n".encode())
        return digest.hexdigest()

    def _file(self, number: int) -> RecordFile:
        """Returns a file, mapped; those of one window stay so."""
        if number not in self._open:
            if len(self._open) == WINDOW_FILES:
                self._open.clear()
            self._open[number] = RecordFile(self.paths[number])
        return self._open[number]

    def _batch(self, records: Sequence[tuple[int, int]]) -> PretrainingBatch:
        """Returns the records at some (file, byte)."""
        messages = [self._file(file).read(start) for file, start in records]
        try:
            return parse_records(messages, vocab_size=self.vocab_size, max_seq_length=self.max_seq_length)
        except ValueError as error:
            if len(records) == 1:
                raise DataError(f"{self._file(records[0][0]).place(records[0][1])}: {error}") from error
            for record in records:  # one of them is to blame
                self._batch([record])
            raise


@dataclass(kw_only=True)
class RecordsWindow:
    """The records of a few files in a random order."""

    source: TfrecordExamples
    """Whose they are."""
    files: tuple[int, ...]
    """Which of its files."""
    place: tuple[int, int]
    """Epoch, and number of the window in it."""

    def __len__(self) -> int:
        """Returns the number of records."""
        return sum(map(self.source.count, self.files))

    def job(self, begin: int, end: int) -> RecordsJob:
        """Returns what it takes to read the records `begin` to `end` (exclusive) of the window."""
        return RecordsJob(files=self._order.files[begin:end], starts=self._order.starts[begin:end])

    @cached_property
    def _order(self) -> RecordsJob:
        """All records in their order."""
        starts = [self.source.find_starts(file) for file in self.files]
        order = self.source.random(_RECORD_ORDER, *self.place).permutation(sum(map(len, starts)))
        files = np.repeat(self.files, [len(part) for part in starts])
        return RecordsJob(files=files[order], starts=np.concatenate(starts)[order])


def find_record_files(paths: Iterable[str | Path]) -> list[Path]:
    """Returns the TFRecord files that `paths` name: files, whatever their names, and folders of them.

    Raises:
        DataError: A path does not exist, or a folder holds none.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; expected TFRecord files")
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        if not files:
            raise DataError(f"{path}: no TFRecord file in it ({', '.join(_SUFFIXES)})")
        found += files
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
