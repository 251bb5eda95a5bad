"""Makes masked training examples from token shards on the fly.

The top of the data layer: `shards` -> windows of a few shards, their chunks shuffled (`segments`) -> blocks
of 256 chunks, made into examples all at once (`masking`) -> batches of any size. The stream is a pure
function of the shards, the settings and the position in the stream: every window and every block draws from
a generator of its own, keyed by seed, epoch, window and block. So it depends neither on the batch size
nor on where reading starts, and resuming needs one number. Memory holds one window of shards.

Letters: B sequences, N pieces in all, P ordinary pieces (special ones not counted).
"""

import itertools
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from albert.data.batches import NO_ORDER_LABEL, IntArray, PretrainingBatch
from albert.data.masking import Vocabulary, choose_words, masking_budgets, replace_pieces
from albert.data.segments import SPECIALS_OF_PAIR, Segments, Window, cut_pairs, open_window
from albert.data.shards import PreparedData, SplitName
from albert.errors import ConfigError, DataError

WINDOW_SHARDS = 4
BLOCK_EXAMPLES = 256

_SEGMENTATION = 0
_FIRST_BLOCK = 1


@dataclass(frozen=True, kw_only=True)
class ExampleSettings:
    """How examples are made; the defaults are the paper's, with no cap on hidden pieces."""

    max_seq_length: int = 512
    """Pieces of the longest sequence, special ones included."""
    short_seq_prob: float = 0.1
    """Share of documents that are packed into shorter sequences."""
    max_ngram: int = 3
    """Words of the longest n-gram hidden as one."""
    masked_lm_prob: float = 0.15
    """Share of the pieces of a sequence to hide."""
    max_predictions_per_seq: int | None = None
    """Pieces hidden in a sequence at most; the original took 20. None: no cap."""

    def __post_init__(self) -> None:
        if self.max_seq_length < SPECIALS_OF_PAIR + 2:
            raise ConfigError(
                f"max_seq_length is {self.max_seq_length}; expected at least {SPECIALS_OF_PAIR + 2}: "
                "three special pieces and one in each segment"
            )
        if not (0 <= self.short_seq_prob <= 1 and 0 < self.masked_lm_prob <= 1):
            raise ConfigError(
                f"short_seq_prob is {self.short_seq_prob}, masked_lm_prob {self.masked_lm_prob}; "
                "expected shares from 0 to 1, the latter above 0"
            )
        cap = self.max_predictions_per_seq
        if self.max_ngram < 1 or (cap is not None and cap < 1):
            raise ConfigError(
                f"max_ngram is {self.max_ngram}, max_predictions_per_seq {cap}; "
                "expected at least 1 of each, or no cap"
            )


class Examples:
    """The endless stream of examples of one split of prepared data."""

    def __init__(
        self,
        data: PreparedData,
        vocabulary: Vocabulary,
        settings: ExampleSettings,
        *,
        seed: int = 0,
        split: SplitName = "train",
    ) -> None:
        if seed < 0:
            raise ConfigError(f"--seed is {seed}; expected 0 or more")
        if not data.pieces(split):
            raise DataError(
                f"{data.folder}: no document in the split {split!r}; prepare more text"
                + (", or a larger share of it with --held-out" if split == "held-out" else "")
            )
        self._data, self._vocabulary, self._settings, self._split = data, vocabulary, settings, split
        self._seed = seed

    def batches(self, batch_size: int, *, start: int = 0) -> Iterator[PretrainingBatch]:
        """Yields batches without end, epoch after epoch, from example `start` of the stream on.

        Examples that are skipped cost their segmentation only.
        """
        epochs = itertools.count()
        return rebatch(self._blocks(epochs, start=start), batch_size)

    def one_pass(
        self, batch_size: int, *, limit: int | None = None, epoch: int = 0
    ) -> Iterator[PretrainingBatch]:
        """Yields the examples of one epoch, the first `limit` of them; the last batch may be smaller.

        For evaluation: equal calls give equal examples.
        """
        return rebatch(_first_examples(self._blocks([epoch], start=0), limit), batch_size)

    def estimate_per_epoch(self) -> int:
        """Returns about how many examples an epoch has, judging by its first window."""
        window = self._open_window(0, 0, self._windows(0)[0])
        share = len(window.pieces) / self._data.pieces(self._split)
        return round(len(window.first_sentences) / share)

    def _blocks(self, epochs: Iterable[int], *, start: int) -> Iterator[PretrainingBatch]:
        """Yields the blocks of some epochs from example `start` on."""
        for epoch in epochs:
            for index, shards in enumerate(self._windows(epoch)):
                start = yield from self._window_blocks(epoch, index, shards, start=start)

    def _window_blocks(
        self, epoch: int, index: int, shards: IntArray, *, start: int
    ) -> Generator[PretrainingBatch, None, int]:
        """Yields the blocks of a window from example `start` on; returns how many are still to be skipped.

        A generator of its own, so that a window is gone before the next one is opened.
        """
        window = self._open_window(epoch, index, shards)
        chunks = len(window.first_sentences)
        if start >= chunks:
            return start - chunks
        for begin in range(start - start % BLOCK_EXAMPLES, chunks, BLOCK_EXAMPLES):
            random = self._random(epoch, index, _FIRST_BLOCK + begin // BLOCK_EXAMPLES)
            block = self._make_block(window, begin, random)
            yield block.take(max(0, start - begin), len(block))
        return 0

    def _windows(self, epoch: int) -> list[IntArray]:
        """Returns the shards of each window of an epoch."""
        order = self._random(epoch).permutation(len(self._data.shards[self._split]))
        return np.split(order, range(WINDOW_SHARDS, len(order), WINDOW_SHARDS))

    def _open_window(self, epoch: int, index: int, shards: IntArray) -> Window:
        return open_window(
            (self._data.read_shard(self._split, int(shard)) for shard in shards),
            num_pieces=sum(self._data.shards[self._split][shard].pieces for shard in shards),
            max_seq_length=self._settings.max_seq_length,
            short_seq_prob=self._settings.short_seq_prob,
            random=self._random(epoch, index, _SEGMENTATION),
        )

    def _make_block(self, window: Window, begin: int, random: np.random.Generator) -> PretrainingBatch:
        segments = cut_pairs(
            window,
            begin,
            begin + BLOCK_EXAMPLES,
            max_seq_length=self._settings.max_seq_length,
            random=random,
        )
        return mask_segments(
            window, segments, vocabulary=self._vocabulary, settings=self._settings, random=random
        )

    def _random(self, *place: int) -> np.random.Generator:
        """Returns the generator of a place in the stream; Philox is cheap to key."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self._seed, spawn_key=place)))


def mask_segments(
    window: Window,
    segments: Segments,
    *,
    vocabulary: Vocabulary,
    settings: ExampleSettings,
    random: np.random.Generator,
) -> PretrainingBatch:
    """Lays segments end to end as `[CLS] A [SEP] B [SEP]` and hides pieces of them."""
    lengths, has_pair = segments.lengths, segments.sentence_order_labels != NO_ORDER_LABEL
    spans = lengths + np.stack([np.full(len(lengths), 2), has_pair], axis=1)  # with special pieces
    sequence_lengths = spans.sum(axis=1)
    sequence_starts = np.cumsum(sequence_lengths) - sequence_lengths
    segment_ends = np.cumsum(lengths.ravel())
    segment_starts = segment_ends - lengths.ravel()

    ordinals = np.arange(lengths.sum())
    shift = (segments.begins.ravel() - segment_starts).repeat(lengths.ravel())
    labels = window.pieces[ordinals + shift].astype(np.int64)  # (P,)
    targets = np.stack([sequence_starts + 1, sequence_starts + spans[:, 0]], axis=1).ravel()
    positions = ordinals + (targets - segment_starts).repeat(lengths.ravel())  # (P,) in the N

    input_ids = np.full(sequence_lengths.sum(), vocabulary.sep_id)
    input_ids[sequence_starts] = vocabulary.cls_id
    input_ids[positions] = labels

    opens = vocabulary.opens_word[labels]
    opens[segment_starts[lengths.ravel() > 0]] = True  # no word reaches across a [SEP]
    hidden = _hidden_pieces(opens, segment_ends, sequence_lengths, settings, random)
    input_ids[positions[hidden]] = replace_pieces(labels[hidden], vocabulary, random)
    return PretrainingBatch(
        input_ids=input_ids,
        token_type_ids=np.tile([0, 1], len(lengths)).repeat(spans.ravel()),
        lengths=sequence_lengths,
        masked_positions=positions[hidden],
        masked_labels=labels[hidden],
        sentence_order_labels=segments.sentence_order_labels,
    )


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


def _hidden_pieces(
    opens: np.ndarray[tuple[int], np.dtype[np.bool_]],
    segment_ends: IntArray,
    sequence_lengths: IntArray,
    settings: ExampleSettings,
    random: np.random.Generator,
) -> IntArray:
    """Returns which of the P ordinary pieces are to be hidden, ascending."""
    word_bounds = np.append(np.flatnonzero(opens), len(opens))
    word_ends = np.searchsorted(word_bounds, segment_ends).reshape(-1, 2)
    words = choose_words(
        word_bounds,
        np.column_stack([np.append(0, word_ends[:-1, 1]), word_ends]),
        masking_budgets(
            sequence_lengths,
            masked_lm_prob=settings.masked_lm_prob,
            cap=settings.max_predictions_per_seq,
        ),
        max_ngram=settings.max_ngram,
        random=random,
    )
    return np.flatnonzero(words.repeat(np.diff(word_bounds)))


def _first_examples(blocks: Iterable[PretrainingBatch], limit: int | None) -> Iterator[PretrainingBatch]:
    for block in blocks:
        if limit is None:
            yield block
            continue
        yield block.take(0, min(limit, len(block)))
        limit -= min(limit, len(block))
        if not limit:
            return
