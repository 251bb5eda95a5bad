"""Texts with what the teacher made of them, and their order in training.

Letters: B texts, N tokens of all of them, H the teacher's hidden size, D size of its vectors, K classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert.distillation.cache import Cache, Shard
from albert.tasks.features import ranges

SHARDS_AT_ONCE = 16
"""Shards among whose texts an epoch is shuffled; all of them are mapped into memory, none is read whole."""


@dataclass(frozen=True, slots=True)
class DistillationBatch:
    """Some texts, end to end, and the teacher's outputs for them."""

    input_ids: NDArray[np.int64]
    """The student's tokens, (N,)."""
    token_type_ids: NDArray[np.int64]
    """0 up to the first [SEP], 1 after it, (N,)."""
    lengths: NDArray[np.int64]
    """Tokens of each text, (B,)."""
    outputs: Mapping[str, NDArray[np.float16]]
    """The teacher's, by name: a row a text, (B, ...), or a token, (N, ...)."""

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.lengths)

    def take(self, begin: int, end: int) -> "DistillationBatch":
        """Return the texts `begin` to `end` (exclusive)."""
        ends = self.lengths.cumsum()
        first, last = (int(ends[i - 1]) if i else 0 for i in (begin, end))
        tokens = slice(first, last)
        return DistillationBatch(
            self.input_ids[tokens],
            self.token_type_ids[tokens],
            self.lengths[begin:end],
            {
                name: rows[tokens if len(rows) == len(self.input_ids) else slice(begin, end)]
                for name, rows in self.outputs.items()
            },
        )


def take_texts(
    shards: Sequence[Shard], outputs: Sequence[str], places: NDArray[np.int64]
) -> DistillationBatch:
    """Return some texts, the shortest first.

    Args:
        shards: Where they are.
        outputs: Names of the teacher's outputs that are taken.
        places: Shard and number there of each text, (B, 2).
    """
    lengths = np.array([shards[shard].lengths[text] for shard, text in places], np.int64)
    order = np.argsort(lengths, kind="stable")  # Neighbours of one length attend together.
    places, lengths = places[order], lengths[order]
    starts = np.array([shards[shard].starts[text] for shard, text in places], np.int64)

    def tokens(name: str) -> NDArray[Any]:
        rows = (
            shards[shard].arrays[name][start : start + length]
            for (shard, _), start, length in zip(places, starts, lengths, strict=True)
        )
        return np.concatenate([*rows])

    def texts(name: str) -> NDArray[Any]:
        return np.stack([shards[shard].arrays[name][text] for shard, text in places])

    taken = {name: tokens(name) if shards[0].is_by_token(name) else texts(name) for name in outputs}
    return DistillationBatch(
        tokens("input_ids").astype(np.int64), tokens("token_type_ids").astype(np.int64), lengths, taken
    )


def shuffled_batches(cache: Cache, size: int, *, seed: int, start: int) -> Iterator[DistillationBatch]:
    """Yield batches of `size` texts to learn from without end, every epoch in a new order.

    The order of an epoch depends only on `seed` and its number; the first `start` texts are skipped. A batch
    may hold the end of one epoch and the beginning of the next. Shards come in random order, and texts are
    shuffled among those of `SHARDS_AT_ONCE`, so memory does not grow with their number.
    """
    shards = cache.train
    epoch, skip = divmod(start, cache.num_texts)
    waiting = np.zeros((0, 2), np.int64)
    while True:
        for places in _windows(shards, np.random.default_rng((seed, epoch))):
            taken = min(skip, len(places))
            skip -= taken
            waiting = np.concatenate([waiting, places[taken:]])
            while len(waiting) >= size:
                yield take_texts(shards, cache.outputs, waiting[:size])
                waiting = waiting[size:]
        epoch += 1


def _windows(shards: Sequence[Shard], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield shard and number there of the texts of an epoch, (B, 2), a window at a time."""
    order = rng.permutation(len(shards))
    for first in range(0, len(order), SHARDS_AT_ONCE):
        window = order[first : first + SHARDS_AT_ONCE]
        for number in set(range(len(shards))) - {*window}:
            shards[number].close()  # A process may have a thousand files open.
        counts = np.array([len(shards[shard]) for shard in window])
        numbers = ranges(np.zeros_like(counts), counts)
        yield rng.permutation(np.stack([np.repeat(window, counts), numbers], axis=1))


def held_out_batches(cache: Cache, size: int) -> Iterator[DistillationBatch]:
    """Yield the texts that are held out, in their order, in batches of `size` texts, the last one smaller."""
    shards = cache.held_out
    counts = np.array([len(shard) for shard in shards])
    numbers = ranges(np.zeros_like(counts), counts)
    places = np.stack([np.repeat(np.arange(len(shards)), counts), numbers], axis=1)
    for first in range(0, len(places), size):
        yield take_texts(shards, cache.outputs, places[first : first + size])
