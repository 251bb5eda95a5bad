"""Lays segments end to end as sequences and hides pieces of them: the packed record the model takes.

Stands between `segments` with `masking` and the stream of `examples`.

Letters: B sequences, N pieces in all, P ordinary pieces (special ones not counted), M hidden ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert.data.batches import BoolArray, IntArray, PretrainingBatch
from albert.data.examples.masking import (
    Vocabulary,
    choose_words,
    masking_budgets,
    ngram_probabilities,
    permute_within,
    replace_pieces,
)
from albert.data.examples.segments import Segments
from albert.data.examples.settings import ExampleSettings


@dataclass(frozen=True, kw_only=True)
class WindowText:
    """The pieces of a window."""

    pieces: npt.NDArray[np.unsignedinteger[Any]]
    """(N,) all pieces of its shards, end to end."""
    word_starts: BoolArray | None
    """(N,) which of them open a word, where that was stored with them."""


@dataclass(frozen=True, kw_only=True)
class _Words:
    """The words of B sequences, as runs of the P ordinary pieces."""

    bounds: IntArray
    """(W + 1,) word w is pieces `bounds[w]` to `bounds[w + 1]`."""
    segments: IntArray
    """(B, 3) the words at which the two segments of a sequence begin, and the end."""

    def pieces(self, chosen: BoolArray) -> IntArray:
        """Returns the pieces of the chosen words, ascending."""
        return np.flatnonzero(chosen.repeat(np.diff(self.bounds)))

    def per_piece(self, values: IntArray, pieces: IntArray) -> IntArray:
        """Returns the value that a word has, for some pieces."""
        return values.repeat(np.diff(self.bounds))[pieces]


def mask_segments(
    text: WindowText,
    segments: Segments,
    vocabulary: Vocabulary,
    settings: ExampleSettings,
    random: np.random.Generator,
) -> PretrainingBatch:
    """Lays segments end to end as `[CLS] A [SEP] B [SEP]` and hides pieces of them."""
    lengths = segments.lengths
    spans = lengths + np.stack([np.full(len(lengths), 2), lengths[:, 1] > 0], axis=1)  # with special pieces
    sequence_lengths = spans.sum(axis=1)
    sequence_starts = np.cumsum(sequence_lengths) - sequence_lengths
    segment_ends = np.cumsum(lengths.ravel())
    segment_starts = segment_ends - lengths.ravel()

    ordinals = np.arange(lengths.sum())
    sources = ordinals + (segments.begins.ravel() - segment_starts).repeat(lengths.ravel())
    labels = text.pieces[sources].astype(np.int64)  # (P,)
    targets = np.stack([sequence_starts + 1, sequence_starts + spans[:, 0]], axis=1).ravel()
    positions = ordinals + (targets - segment_starts).repeat(lengths.ravel())  # (P,) in the N

    input_ids = np.full(sequence_lengths.sum(), vocabulary.sep_id)
    input_ids[sequence_starts] = vocabulary.cls_id
    input_ids[positions] = labels
    may_open = vocabulary.words.opens(labels) if text.word_starts is None else text.word_starts[sources]
    word_starts = np.ones(len(input_ids), bool)
    word_starts[positions] = may_open

    words = _find_words(may_open, segment_starts, segment_ends, settings)
    hidden, told = _hide(words, labels, sequence_lengths, vocabulary, settings, random=random)
    input_ids[positions] = told
    return PretrainingBatch(
        input_ids=input_ids,
        token_type_ids=np.tile([0, 1], len(lengths)).repeat(spans.ravel()),
        lengths=sequence_lengths,
        masked_positions=positions[hidden],
        masked_labels=labels[hidden],
        sentence_order_labels=segments.sentence_order_labels,
        word_starts=word_starts,
    )


def _find_words(
    may_open: BoolArray, segment_starts: IntArray, segment_ends: IntArray, settings: ExampleSettings
) -> _Words:
    """Returns the words that are hidden whole; they end with their segment, or in the original with both."""
    opens = may_open.copy() if settings.whole_words else np.ones(len(may_open), bool)
    ends = segment_ends.reshape(-1, 2)
    if settings.style == "original":
        opens[segment_starts[::2]] = True
        middles = ends[:, 1]
    else:
        opens[segment_starts[segment_ends > segment_starts]] = True
        middles = ends[:, 0]
    bounds = np.append(np.flatnonzero(opens), len(opens))
    last = np.searchsorted(bounds, ends[:, 1])
    return _Words(
        bounds=bounds,
        segments=np.column_stack([np.append(0, last[:-1]), np.searchsorted(bounds, middles), last]),
    )


def _hide(
    words: _Words,
    labels: IntArray,
    sequence_lengths: IntArray,
    vocabulary: Vocabulary,
    settings: ExampleSettings,
    *,
    random: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Returns which of the P ordinary pieces are to be told, ascending, and what is shown of all of them."""
    budgets = masking_budgets(
        sequence_lengths,
        masked_lm_prob=settings.masked_lm_prob,
        cap=settings.max_predictions_per_seq or 0,
    )
    probabilities = ngram_probabilities(settings.max_ngram, favor_shorter=settings.favor_shorter_ngram)
    ngrams = choose_words(words.bounds, words.segments, budgets, probabilities=probabilities, random=random)
    hidden = words.pieces(ngrams >= 0)
    shown = labels.copy()
    shown[hidden] = replace_pieces(
        labels[hidden],
        words.per_piece(ngrams, hidden) if settings.mask_unit == "span" else None,
        np.arange(vocabulary.size) if settings.style == "original" else vocabulary.ordinary_ids,
        vocabulary.mask_id,
        random,
    )
    if not settings.permutation:
        return hidden, shown
    others = choose_words(
        words.bounds,
        words.segments,
        budgets,
        probabilities=probabilities,
        random=random,
        taken=ngrams >= 0,
    )
    moved = words.pieces(others >= 0)
    sequences = np.repeat(np.arange(len(budgets)), np.diff(words.segments[:, [0, 2]], axis=1).ravel())
    order = permute_within(words.per_piece(sequences, moved), random)
    shown[moved] = labels[moved[order]]
    return np.sort(np.concatenate([hidden, moved])), shown
