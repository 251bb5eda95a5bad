"""The stream of training examples: the same for any batch size, any number of workers and of ranks.

The top of the data layer. A source (`masked_text`: token shards; `tfrecord_examples`: the original's files)
has windows of examples, of which any block can be made by itself. The stream is all blocks of all
epochs, one behind the other. So example i is a function of the source and i alone: it depends neither on
the batch size, nor on where reading starts, nor on who makes it, and resuming needs one number.
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
    """Examples that lie together."""

    def __len__(self) -> int:
        """Returns the number of examples."""

    def job(self, begin: int, end: int) -> Any:
        """Returns what it takes to make a block, the examples `begin` to `end`; small and picklable."""


class ExampleSource(Protocol):
    """Where examples come from; picklable, so that other processes can make them."""

    def windows(self, epoch: int, first: int = 0) -> Iterator[ExampleWindow]:
        """Yields the windows of an epoch from number `first` on; an epoch has one at least."""

    def make(self, job: Any) -> PretrainingBatch:
        """Makes the examples of a job."""

    def estimate_per_epoch(self) -> int:
        """Returns about how many examples an epoch has."""


@dataclass(frozen=True, kw_only=True)
class StreamPosition:
    """A window and what lies before it, so that a reader need not count its way there."""

    examples: int = 0
    """Examples of the stream before the window."""
    epoch: int = 0
    """Its epoch."""
    window: int = 0
    """Its number in the epoch."""


@dataclass(frozen=True, kw_only=True)
class RankSlice:
    """Which examples of the stream a rank reads: one part of every batch, the ranks' parts in their order."""

    rank: int = 0
    """Who reads."""
    ranks: int = 1
    """How many there are."""
    batch: int = 1
    """Examples of a batch of all ranks; where ranks do not divide it, parts differ by one."""

    def ranges(self, begin: int, end: int) -> _Ranges:
        """Returns the rank's ranges among examples `begin` to `end`, none of them before 0."""
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
        """Takes a source, and the number of processes that make examples ahead; 0: this one, when asked."""
        self._source, self._workers = source, workers
        self._marks: list[StreamPosition] = []

    def batches(
        self,
        batch_size: int,
        *,
        start: int = 0,
        share: RankSlice = RankSlice(),
        mark: StreamPosition = StreamPosition(),
    ) -> Iterator[PretrainingBatch]:
        """Yields batches without end, epoch after epoch, from example `start` of the stream on.

        Examples between the `mark`, which lies not behind `start`, and `start` cost their segmentation
        only, those before the mark nothing. The `share` is counted from `start`.
        """
        jobs = self._jobs(itertools.count(mark.epoch), start=start, share=share, mark=mark)
        return rebatch(self._make(jobs), batch_size)

    def position_before(self, example: int) -> StreamPosition:
        """Returns the last window known to begin not behind an example; one that was read lies near it."""
        known = [mark for mark in self._marks if mark.examples <= example]
        return max(known, key=lambda mark: mark.examples, default=StreamPosition())

    def one_pass(
        self, batch_size: int, *, limit: int | None = None, epoch: int = 0, share: RankSlice = RankSlice()
    ) -> Iterator[PretrainingBatch]:
        """Yields the examples of one epoch, the first `limit` of them; the last batch may be smaller.

        For evaluation: equal calls give equal examples.
        """
        jobs = self._jobs([epoch], start=0, share=share, mark=StreamPosition(epoch=epoch), limit=limit)
        return rebatch(self._make(jobs), batch_size)

    def estimate_per_epoch(self) -> int:
        """Returns about how many examples an epoch has."""
        return self._source.estimate_per_epoch()

    def _jobs(
        self,
        epochs: Iterable[int],
        *,
        start: int,
        share: RankSlice,
        mark: StreamPosition,
        limit: int | None = None,
    ) -> Iterator[tuple[Any, _Ranges]]:
        """Yields the jobs of the blocks of which the share wants examples, and which of each it wants."""
        position = mark.examples - start  # of the window, counted from the first example that is wanted
        for epoch in epochs:
            first_window = mark.window if epoch == mark.epoch else 0
            for number, window in enumerate(self._source.windows(epoch, first_window), start=first_window):
                self._marks.append(StreamPosition(examples=position + start, epoch=epoch, window=number))
                for begin in range(
                    max(0, -position) // BLOCK_EXAMPLES * BLOCK_EXAMPLES, len(window), BLOCK_EXAMPLES
                ):
                    first, end = position + begin, min(begin + BLOCK_EXAMPLES, len(window))
                    last = position + end if limit is None else min(limit, position + end)
                    if ranges := share.ranges(first, last):
                        yield window.job(begin, end), [(a - first, b - first) for a, b in ranges]
                position += len(window)
                if limit is not None and position >= limit:
                    return

    def _make(self, jobs: Iterator[tuple[Any, _Ranges]]) -> Iterator[PretrainingBatch]:
        """Makes the wanted examples of jobs, in their order."""
        if self._workers:
            yield from map_in_order(partial(_same, self._source), _make_wanted, jobs, workers=self._workers)
            return
        for job in jobs:
            yield _make_wanted(self._source, job)


def rebatch(blocks: Iterable[PretrainingBatch], batch_size: int) -> Iterator[PretrainingBatch]:
    """Yields the sequences of `blocks` in batches of `batch_size`; the last may be smaller."""
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


def _make_wanted(source: ExampleSource, job: tuple[Any, Sequence[tuple[int, int]]]) -> PretrainingBatch:
    """Makes a block and keeps what is wanted of it."""
    block = source.make(job[0])
    return PretrainingBatch.join([block.take(begin, end) for begin, end in job[1]])


def _same(source: ExampleSource) -> ExampleSource:
    """Returns a source that came along to another process."""
    return source
