"""Masked examples made from token shards, window by window: one of the sources of the stream.

An epoch takes the shards in a random order, a window of six at a time, packs their sentences into chunks
and shuffles the chunks (`segments`); a block of chunks becomes examples all at once (`sequences`). Windows
and blocks have random generators of their own, keyed by seed, epoch, window and block, so that a block
depends on its key only. The reader packs sentences (it needs only boundaries); any worker can mask a block.
The price is that examples are shuffled within six shards, not over the whole corpus.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from albert.choices import SplitName
from albert.data.batches import PretrainingBatch
from albert.data.examples.masking import Vocabulary
from albert.data.examples.segments import Segments, Window, make_segments, open_window
from albert.data.examples.sequences import WindowText, mask_segments
from albert.data.examples.settings import ExampleSettings
from albert.data.shards.folder import PreparedData
from albert.errors import ConfigError, DataError

WINDOW_SHARDS = 6

_SHARD_ORDER = 0
_PACKING = 1
_SEGMENTS = 2
_MASKS = 3

_Shards = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class BlockJob:
    """What is needed to make the examples of a block."""

    shards: _Shards
    """The shards of the window, in the window's order."""
    segments: Segments
    """The segments of each example."""
    key: tuple[int, int, int]
    """Pass over the text, window, and first example in the window; the key of the random numbers."""


@dataclass(kw_only=True)
class MaskedText:
    """Examples of one split of prepared data."""

    data: PreparedData
    """Token shards."""
    vocabulary: Vocabulary
    """The vocabulary that made them."""
    settings: ExampleSettings = field(default_factory=ExampleSettings)
    """How examples are made."""
    seed: int = 0
    """Seed of all random draws."""
    split: SplitName = "train"
    """Which documents."""
    _text: tuple[_Shards, WindowText] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.settings = self.settings.filled()
        if self.seed < 0:
            raise ConfigError(f"--seed is {self.seed}; expected 0 or more")
        if not self.data.tokens(self.split):
            raise DataError(
                f"{self.data.folder}: no document in the split {self.split!r}; prepare more text"
                + (", or a larger share of it with --held-out" if self.split == "held-out" else "")
            )

    def windows(self, epoch: int, first: int = 0) -> Iterator["MaskedWindow"]:
        """Yield the windows of an epoch in order, from number `first` on; each is packed as it is reached."""
        passing = epoch % self.settings.dupe_factor if self.settings.dupe_factor else epoch
        order = self.random(_SHARD_ORDER, passing).permutation(len(self.data.shards[self.split]))
        begins = range(0, len(order), WINDOW_SHARDS)  # shards -> windows of six
        for number in range(first, len(begins)):
            shards = tuple(order[begins[number] : begins[number] + WINDOW_SHARDS].tolist())
            window = open_window(
                (self.data.read_shard(self.split, shard) for shard in shards),
                self.settings,
                self.random(_PACKING, passing, number),
            )
            yield MaskedWindow(source=self, window=window, shards=shards, key=(passing, number))

    def make(self, job: BlockJob) -> PretrainingBatch:
        """Make the examples of a block, and keep the text of its window for the next one."""
        if self._text is None or self._text[0] != job.shards:
            self._text = None  # free it before the next one is read
            self._text = job.shards, self._read(job.shards)
        return mask_segments(
            self._text[1], job.segments, self.vocabulary, self.settings, self.random(_MASKS, *job.key)
        )

    def estimate_per_epoch(self) -> int:
        """Return an estimate of the examples in an epoch, from its first window."""
        window = next(self.windows(0))
        share = window.tokens / self.data.tokens(self.split)
        return round(len(window) / share)

    def random(self, *key: int) -> np.random.Generator:
        """Return the generator of a key; Philox is cheap to create."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=key)))

    def _read(self, shards: _Shards) -> WindowText:
        """Copy the shards one after the other; each is unmapped before the next is mapped."""
        infos = self.data.shards[self.split]
        tokens, word_starts, filled = None, None, 0
        total = sum(infos[number].pieces for number in shards)
        for number in shards:
            shard = self.data.read_shard(self.split, number)
            if tokens is None:
                tokens = np.empty(total, shard.tokens.dtype)  # (tokens of all shards,)
                word_starts = None if shard.word_starts is None else np.empty(total, bool)
            target = slice(filled, filled + len(shard.tokens))
            tokens[target] = shard.tokens
            if word_starts is not None:
                word_starts[target] = shard.word_starts
            filled = target.stop
        assert tokens is not None
        return WindowText(tokens=tokens, word_starts=word_starts)


@dataclass(frozen=True, kw_only=True)
class MaskedWindow:
    """The examples of a few shards, packed but not yet made."""

    source: MaskedText
    """The source that makes the examples."""
    window: Window
    """The chunks of the examples."""
    shards: _Shards
    """The shards with their tokens."""
    key: tuple[int, int]
    """Pass over the text, and number of the window in it."""

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.window.chunks)

    @property
    def tokens(self) -> int:
        """Tokens of the window."""
        return int(self.window.sentence_bounds[-1])

    def job(self, begin: int, end: int) -> BlockJob:
        """Return the job that makes the examples `begin` to `end` (exclusive), which are a block."""
        key = (*self.key, begin)
        random = self.source.random(_SEGMENTS, *key)
        segments = make_segments(self.window, slice(begin, end), self.source.settings, random)
        return BlockJob(shards=self.shards, segments=segments, key=key)
