"""Masked examples made from token shards, window by window: one source of the stream of `examples`.

An epoch takes the shards in a random order, a window of a few at a time, packs their sentences into chunks,
and shuffles these (`segments`); blocks of chunks become examples all at once (`sequences`). Every window and
every block draws from generators of its own, keyed by seed, epoch, window and block, so that a block is a
pure function of its place. Segmentation needs only where sentences end and is done once, by whoever
reads the stream; the jobs it hands out are small, and any process can make them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from albert.data.batches import PretrainingBatch
from albert.data.examples.masking import Vocabulary
from albert.data.examples.segments import Segments, Window, make_segments, open_window
from albert.data.examples.sequences import WindowText, mask_segments
from albert.data.examples.settings import ExampleSettings
from albert.data.shards.folder import PreparedData, SplitName
from albert.errors import ConfigError, DataError

WINDOW_SHARDS = 6

_SHARD_ORDER = 0
_PACKING = 1
_SEGMENTS = 2
_MASKS = 3

_Shards = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class BlockJob:
    """All that is needed to make the examples of a block."""

    shards: _Shards
    """The shards of its window, in their order there."""
    segments: Segments
    """What each example consists of."""
    place: tuple[int, int, int]
    """Pass over the text, window, and first example in the window; keys the random numbers."""


@dataclass(kw_only=True)
class MaskedText:
    """Examples of one split of prepared data."""

    data: PreparedData
    """Token shards."""
    vocabulary: Vocabulary
    """Facts of the vocabulary that made them."""
    settings: ExampleSettings = field(default_factory=ExampleSettings)
    """How examples are made."""
    seed: int = 0
    """Of all draws."""
    split: SplitName = "train"
    """Which documents."""
    _text: tuple[_Shards, WindowText] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.settings = self.settings.filled()
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}; expected 0 or more")
        if not self.data.pieces(self.split):
            raise DataError(
                f"{self.data.folder}: no document in the split {self.split!r}; prepare more text"
                + (", or a larger share of it with --held-out" if self.split == "held-out" else "")
            )

    def windows(self, epoch: int, first: int = 0) -> Iterator["MaskedWindow"]:
        """Yields the windows of an epoch in order, from number `first` on, each packed when asked for."""
        passing = epoch % self.settings.dupe_factor if self.settings.dupe_factor else epoch
        order = self.random(_SHARD_ORDER, passing).permutation(len(self.data.shards[self.split]))
        begins = range(0, len(order), WINDOW_SHARDS)
        for number in range(first, len(begins)):
            shards = tuple(order[begins[number] : begins[number] + WINDOW_SHARDS].tolist())
            window = open_window(
                (self.data.read_shard(self.split, shard) for shard in shards),
                self.settings,
                self.random(_PACKING, passing, number),
            )
            yield MaskedWindow(source=self, window=window, shards=shards, place=(passing, number))

    def make(self, job: BlockJob) -> PretrainingBatch:
        """Makes the examples of a block; keeps the text of its window for the next one."""
        if self._text is None or self._text[0] != job.shards:
            self._text = None  # let go of it before the next is read
            self._text = job.shards, self._read(job.shards)
        return mask_segments(
            self._text[1], job.segments, self.vocabulary, self.settings, self.random(_MASKS, *job.place)
        )

    def estimate_per_epoch(self) -> int:
        """Returns about how many examples an epoch has, judging by its first window."""
        window = next(self.windows(0))
        share = window.pieces / self.data.pieces(self.split)
        return round(len(window) / share)

    def random(self, *place: int) -> np.random.Generator:
        """Returns the generator of a place in the stream; Philox is cheap to key."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=place)))

    def _read(self, shards: _Shards) -> WindowText:
        """Copies the shards one after the other, letting go of each before the next is mapped."""
        infos = self.data.shards[self.split]
        pieces, word_starts, filled = None, None, 0
        total = sum(infos[number].pieces for number in shards)
        for number in shards:
            shard = self.data.read_shard(self.split, number)
            if pieces is None:
                pieces = np.empty(total, shard.pieces.dtype)
                word_starts = None if shard.word_starts is None else np.empty(total, bool)
            there = slice(filled, filled + len(shard.pieces))
            pieces[there] = shard.pieces
            if word_starts is not None:
                word_starts[there] = shard.word_starts
            filled = there.stop
        assert pieces is not None
        return WindowText(pieces=pieces, word_starts=word_starts)


@dataclass(frozen=True, kw_only=True)
class MaskedWindow:
    """The examples of a few shards, packed but not yet made."""

    source: MaskedText
    """Whose they are."""
    window: Window
    """Their chunks."""
    shards: _Shards
    """Where their pieces lie."""
    place: tuple[int, int]
    """Pass over the text, and number of the window in it."""

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self.window.chunks)

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return int(self.window.sentence_bounds[-1])

    def job(self, begin: int, end: int) -> BlockJob:
        """Returns what it takes to make the examples `begin` to `end` (exclusive), which are a block."""
        place = (*self.place, begin)
        random = self.source.random(_SEGMENTS, *place)
        segments = make_segments(self.window, slice(begin, end), self.source.settings, random)
        return BlockJob(shards=self.shards, segments=segments, place=place)
