"""The stream of training examples: the same for any batch size and any number of workers and ranks.

A source (`masked_text`: token shards; `tfrecord.examples`: the original's files) has windows of examples,
and any block of a window can be made by itself. The stream is all blocks of all epochs, one after the
other. So example i depends on the source and on i only, not on the batch size, on where reading starts, or
on which process makes it, and resuming needs one number. The price is that examples are made in blocks of
256: a reader that starts in the middle of a block makes all of it.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from albert.data.batches import PretrainingBatch
from albert.data.workers import map_in_order

BLOCK_EXAMPLES = 256

_Ranges = list[tuple[int, int]]


class ExampleWindow(Protocol):
    """A part of an epoch whose examples are made from the same text."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def job(self, begin: int, end: int) -> Any:
        """Return what is needed to make a block, the examples `begin` to `end`; small and picklable."""


class ExampleSource(Protocol):
    """Where examples come from; picklable, so that other processes can make them."""

    def windows(self, epoch: int, first: int = 0) -> Iterator[ExampleWindow]:
        """Yield the windows of an epoch from number `first` on; an epoch has at least one."""

    def make(self, job: Any) -> PretrainingBatch:
        """Make the examples of a job."""

    def estimate_per_epoch(self) -> int:
        """Return an estimate of the examples in an epoch."""


@dataclass(frozen=True, kw_only=True)
class StreamPosition:
    """A window and the number of examples before it, so that a reader can start there without counting."""

    examples: int = 0
    """Examples of the stream before the window."""
    epoch: int = 0
    """Epoch of the window."""
    window: int = 0
    """Number of the window in its epoch."""


@dataclass(frozen=True, kw_only=True)
class RankSlice:
    """The examples of each global batch that one rank computes; rank 0 has the first ones."""

    rank: int = 0
    """Number of this rank."""
    ranks: int = 1
    """Number of ranks."""
    batch: int = 1
    """Size of the global batch; if `ranks` does not divide it, slices differ by one example."""

    def ranges(self, begin: int, end: int) -> _Ranges:
        """Return the ranges of examples `begin` to `end` that belong to the rank, none of them before 0."""
        begin = max(0, begin)
        if self.ranks == 1:
            return [(begin, end)] if begin < end else []
        first, last = (self.batch * rank // self.ranks for rank in (self.rank, self.rank + 1))
        starts = range(begin - begin % self.batch, end, self.batch)
        ranges = [(max(begin, start + first), min(end, start + last)) for start in starts]
        return [(low, high) for low, high in ranges if low < high]


class Examples:
    """The endless stream of examples of a source."""

    def __init__(self, source: ExampleSource, *, workers: int = 0) -> None:
        """Take a source, and the number of processes that make examples ahead; 0: this one makes them."""
        self._source, self._workers = source, workers
        self._known: list[StreamPosition] = []

    def batches(
        self,
        batch_size: int,
        *,
        start: int = 0,
        rank_slice: RankSlice = RankSlice(),
        position: StreamPosition = StreamPosition(),
    ) -> Iterator[PretrainingBatch]:
        """Yield batches without end, epoch after epoch, from example `start` of the stream on.

        The `position` must not be after `start`. Examples between the two are segmented but not made, those
        before the position cost nothing. Global batches of the `rank_slice` are counted from `start`.
        """
        jobs = self._jobs(
            itertools.count(position.epoch), start=start, rank_slice=rank_slice, position=position
        )
        return rebatch(self._make(jobs), batch_size)

    def position_before(self, example: int) -> StreamPosition:
        """Return the last known window that starts at an example or before it."""
        known = [position for position in self._known if position.examples <= example]
        return max(known, key=lambda position: position.examples, default=StreamPosition())

    def one_pass(
        self,
        batch_size: int,
        *,
        limit: int | None = None,
        epoch: int = 0,
        rank_slice: RankSlice = RankSlice(),
    ) -> Iterator[PretrainingBatch]:
        """Yield the examples of one epoch, the first `limit` of them; the last batch may be smaller.

        For evaluation: equal calls give equal examples.
        """
        position = StreamPosition(epoch=epoch)
        jobs = self._jobs([epoch], start=0, rank_slice=rank_slice, position=position, limit=limit)
        return rebatch(self._make(jobs), batch_size)

    def estimate_per_epoch(self) -> int:
        """Return an estimate of the examples in an epoch."""
        return self._source.estimate_per_epoch()

    def _jobs(
        self,
        epochs: Iterable[int],
        *,
        start: int,
        rank_slice: RankSlice,
        position: StreamPosition,
        limit: int | None = None,
    ) -> Iterator[tuple[Any, _Ranges]]:
        """Yield the job of each block that has examples of the rank, and which of the block these are."""
        done = position.examples - start  # examples before the window, counted from `start`; may be negative
        for epoch in epochs:
            first_window = position.window if epoch == position.epoch else 0
            for number, window in enumerate(self._source.windows(epoch, first_window), start=first_window):
                self._known.append(StreamPosition(examples=done + start, epoch=epoch, window=number))
                first_block = max(0, -done) // BLOCK_EXAMPLES * BLOCK_EXAMPLES
                for begin in range(first_block, len(window), BLOCK_EXAMPLES):
                    first, end = done + begin, min(begin + BLOCK_EXAMPLES, len(window))
                    last = done + end if limit is None else min(limit, done + end)
                    if ranges := rank_slice.ranges(first, last):
                        yield window.job(begin, end), [(a - first, b - first) for a, b in ranges]
                done += len(window)
                if limit is not None and done >= limit:
                    return

    def _make(self, jobs: Iterator[tuple[Any, _Ranges]]) -> Iterator[PretrainingBatch]:
        """Make the examples of jobs, in their order."""
        if self._workers:
            yield from map_in_order(partial(_same, self._source), _make_ranges, jobs, workers=self._workers)
            return
        for job in jobs:
            yield _make_ranges(self._source, job)


def rebatch(blocks: Iterable[PretrainingBatch], batch_size: int) -> Iterator[PretrainingBatch]:
    """Yield the sequences of `blocks` in batches of `batch_size`; the last may be smaller."""
    waiting: list[PretrainingBatch] = []
    missing = batch_size
    for block in blocks:
        begin = 0
        while begin < len(block):
            end = min(len(block), begin + missing)
            waiting.append(block.take(begin, end))
            missing -= end - begin
            begin = end
            if not missing:
                yield PretrainingBatch.join(waiting)
                waiting, missing = [], batch_size
    if waiting:
        yield PretrainingBatch.join(waiting)


def _make_ranges(source: ExampleSource, job: tuple[Any, Sequence[tuple[int, int]]]) -> PretrainingBatch:
    """Make a block and keep some ranges of it."""
    block = source.make(job[0])
    return PretrainingBatch.join([block.take(begin, end) for begin, end in job[1]])


def _same(source: ExampleSource) -> ExampleSource:
    """Return the source that was sent to another process."""
    return source
