"""Segments put end to end as sequences, with masked tokens: the packed batch that the model takes.

Letters: B sequences, N packed tokens, M masked tokens; here also p ordinary tokens (without special ones),
w words.
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
    replace_tokens,
)
from albert.data.examples.segments import Segments
from albert.data.examples.settings import ExampleSettings


@dataclass(frozen=True, kw_only=True)
class WindowText:
    """The tokens of a window."""

    tokens: npt.NDArray[np.unsignedinteger[Any]]
    """All tokens of its shards, end to end; one dimension."""
    word_starts: BoolArray | None
    """Whether each of them starts a word, if that was stored with them."""


@dataclass(frozen=True, kw_only=True)
class _Words:
    """The words of B sequences, as runs of the p ordinary tokens."""

    bounds: IntArray
    """(w + 1,) word i is tokens `bounds[i]` to `bounds[i + 1]`."""
    segments: IntArray
    """(B, 3) the first words of the two segments of a sequence, and its end."""

    def tokens(self, chosen: BoolArray) -> IntArray:
        """Return the indices of the tokens of the chosen words, ascending."""
        return np.flatnonzero(chosen.repeat(np.diff(self.bounds)))

    def per_token(self, values: IntArray, tokens: IntArray) -> IntArray:
        """Return the value of the word of each of some tokens."""
        return values.repeat(np.diff(self.bounds))[tokens]


def mask_segments(
    text: WindowText,
    segments: Segments,
    vocabulary: Vocabulary,
    settings: ExampleSettings,
    random: np.random.Generator,
) -> PretrainingBatch:
    """Put segments end to end as `[CLS] A [SEP] B [SEP]` and mask some of their tokens."""
    lengths = segments.lengths  # (B, 2)
    spans = lengths + np.stack(
        [np.full(len(lengths), 2), lengths[:, 1] > 0], axis=1
    )  # (B, 2), with special tokens
    sequence_lengths = spans.sum(axis=1)  # (B, 2) -> (B,)
    sequence_starts = np.cumsum(sequence_lengths) - sequence_lengths
    segment_ends = np.cumsum(lengths.ravel())  # (B, 2) -> (2 B,)
    segment_starts = segment_ends - lengths.ravel()

    ordinals = np.arange(lengths.sum())
    sources = ordinals + (segments.begins.ravel() - segment_starts).repeat(lengths.ravel())
    labels = text.tokens[sources].astype(np.int64)  # (p,)
    targets = np.stack([sequence_starts + 1, sequence_starts + spans[:, 0]], axis=1).ravel()
    positions = ordinals + (targets - segment_starts).repeat(lengths.ravel())  # (p,) indices into N

    input_ids = np.full(sequence_lengths.sum(), vocabulary.sep_id)  # (N,)
    input_ids[sequence_starts] = vocabulary.cls_id
    input_ids[positions] = labels
    starts_word = vocabulary.words.opens(labels) if text.word_starts is None else text.word_starts[sources]
    word_starts = np.ones(len(input_ids), bool)
    word_starts[positions] = starts_word

    words = _find_words(starts_word, segment_starts, segment_ends, settings)
    masked, inputs = _mask(words, labels, sequence_lengths, vocabulary, settings, random=random)
    input_ids[positions] = inputs
    return PretrainingBatch(
        input_ids=input_ids,
        token_type_ids=np.tile([0, 1], len(lengths)).repeat(spans.ravel()),
        lengths=sequence_lengths,
        masked_positions=positions[masked],
        masked_labels=labels[masked],
        sentence_order_labels=segments.sentence_order_labels,
        word_starts=word_starts,
    )


def _find_words(
    starts_word: BoolArray, segment_starts: IntArray, segment_ends: IntArray, settings: ExampleSettings
) -> _Words:
    """Return the words, which end with their segment; in the original's style with their sequence."""
    opens = starts_word.copy() if settings.whole_words else np.ones(len(starts_word), bool)
    ends = segment_ends.reshape(-1, 2)  # (2 B,) -> (B, 2)
    if settings.style == "original":
        opens[segment_starts[::2]] = True
        middles = ends[:, 1]
    else:
        opens[segment_starts[segment_ends > segment_starts]] = True
        middles = ends[:, 0]
    bounds = np.append(np.flatnonzero(opens), len(opens))  # (p,) -> (w + 1,)
    last = np.searchsorted(bounds, ends[:, 1])
    return _Words(
        bounds=bounds,
        segments=np.column_stack([np.append(0, last[:-1]), np.searchsorted(bounds, middles), last]),
    )


def _mask(
    words: _Words,
    labels: IntArray,
    sequence_lengths: IntArray,
    vocabulary: Vocabulary,
    settings: ExampleSettings,
    *,
    random: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Return (M,) the indices of the masked tokens, ascending, and (p,) the input ids of all tokens."""
    budgets = masking_budgets(
        sequence_lengths,
        masked_lm_prob=settings.masked_lm_prob,
        cap=settings.max_predictions_per_seq or 0,
    )
    probabilities = ngram_probabilities(settings.max_ngram, favor_shorter=settings.favor_shorter_ngram)
    ngrams = choose_words(words.bounds, words.segments, budgets, probabilities=probabilities, random=random)
    masked = words.tokens(ngrams >= 0)  # (w,) -> (M,)
    inputs = labels.copy()
    inputs[masked] = replace_tokens(
        labels[masked],
        words.per_token(ngrams, masked) if settings.mask_unit == "span" else None,
        np.arange(vocabulary.size) if settings.style == "original" else vocabulary.ordinary_ids,
        vocabulary.mask_id,
        random,
    )
    if not settings.permutation:
        return masked, inputs
    others = choose_words(
        words.bounds,
        words.segments,
        budgets,
        probabilities=probabilities,
        random=random,
        taken=ngrams >= 0,
    )
    moved = words.tokens(others >= 0)
    sequences = np.repeat(np.arange(len(budgets)), np.diff(words.segments[:, [0, 2]], axis=1).ravel())
    order = permute_within(words.per_token(sequences, moved), random)
    inputs[moved] = labels[moved[order]]
    return np.sort(np.concatenate([masked, moved])), inputs
