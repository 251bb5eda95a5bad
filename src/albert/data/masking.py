"""Hides pieces for the masked language model: n-grams of whole words, then 80/10/10.

Stands between `segments` and `examples`. Source: Lan et al. (2020), section 4.1, and
`create_masked_lm_predictions` of the original, with its procedure and two faults mended: words and n-grams
never reach across a [SEP], and a random replacement is never a special piece. All sequences of a block
are masked at once: round k handles the k-th candidate word of every sequence.

Letters: B sequences, P ordinary pieces (special ones not counted), W words of all sequences.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from albert.data.batches import IntArray
from albert.text.tokenizer import AlbertTokenizer

BoolArray = npt.NDArray[np.bool_]

MASK_SHARE = 0.8
KEEP_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What example making must know of a vocabulary of V pieces."""

    cls_id: int
    """[CLS]"""
    sep_id: int
    """[SEP]"""
    mask_id: int
    """[MASK]"""
    ordinary_ids: IntArray
    """Ids that may replace a piece at random: all but the special ones."""
    opens_word: BoolArray
    """(V,) whether a piece opens a word; others continue the one before them."""


def vocabulary_of(tokenizer: AlbertTokenizer) -> Vocabulary:
    """Returns the facts of a tokenizer's vocabulary that example making needs."""
    return Vocabulary(
        cls_id=tokenizer.cls_token_id,
        sep_id=tokenizer.sep_token_id,
        mask_id=tokenizer.mask_token_id,
        ordinary_ids=np.setdiff1d(np.arange(tokenizer.vocab_size), tokenizer.all_special_ids),
        opens_word=np.asarray(tokenizer.word_start_table, bool),
    )


def masking_budgets(lengths: IntArray, *, masked_lm_prob: float, cap: int | None) -> IntArray:
    """Returns (B,) how many pieces of sequences of `lengths` (special ones counted) are to be hidden."""
    budgets = np.maximum(1, np.rint(lengths * masked_lm_prob).astype(np.int64))
    return budgets if cap is None else np.minimum(budgets, cap)


def choose_words(
    word_bounds: IntArray,
    segment_words: IntArray,
    budgets: IntArray,
    *,
    max_ngram: int,
    random: np.random.Generator,
) -> BoolArray:
    """Chooses the words to hide in every sequence.

    Words of a sequence are candidates in random order. A candidate draws n with probability ~ 1/n and
    stands for the n-gram to its right, which ends with its segment; n shrinks while the n-gram
    exceeds what is left of the budget; the candidate is passed over if nothing fits or a word of the
    n-gram is hidden already.

    Args:
        word_bounds: (W + 1,) word w consists of ordinary pieces `word_bounds[w]` to `word_bounds[w + 1]`.
        segment_words: (B, 3) the words at which the two segments of a sequence begin, and the end.
        budgets: (B,) pieces to hide in each sequence; never exceeded.
        max_ngram: Words of the longest n-gram.
        random: Where all draws come from.

    Returns:
        (W,) whether a word is hidden.
    """
    num_words = len(word_bounds) - 1
    hidden = np.zeros(num_words + max_ngram, bool)
    candidates = np.arange(num_words)
    cumulative_probs = np.cumsum(1.0 / np.arange(1, max_ngram + 1))
    cumulative_probs /= cumulative_probs[-1]
    steps = np.arange(max_ngram)

    begin, middle, end = segment_words.T
    left = budgets
    alive = (left > 0) & (begin < end)
    tried = 0
    while True:
        if not alive.all():
            begin, middle, end, left = begin[alive], middle[alive], end[alive], left[alive]
        if not len(begin):
            return hidden[:num_words]
        draw_word, draw_length = random.random((2, len(begin)))
        slot = begin + tried
        drawn = slot + (draw_word * (end - slot)).astype(np.int64)
        word = candidates[drawn]
        candidates[drawn] = candidates[slot]  # one step of a Fisher-Yates shuffle

        room = np.where(word < middle, middle, end) - word
        ngram = np.minimum(room, 1 + np.searchsorted(cumulative_probs, draw_length, side="right"))
        reach = word[:, None] + steps  # (B, max_ngram)
        sizes = word_bounds[np.minimum(reach + 1, num_words)] - word_bounds[word][:, None]
        fits = (steps < ngram[:, None]) & (sizes <= left[:, None])
        chosen = fits & ~(fits & hidden[reach]).any(axis=1, keepdims=True)
        hidden[reach[chosen]] = True
        left = left - np.where(chosen, sizes, 0).max(axis=1)
        tried += 1
        alive = (left > 0) & (begin + tried < end)


def replace_pieces(labels: IntArray, vocabulary: Vocabulary, random: np.random.Generator) -> IntArray:
    """Returns what is shown in place of `labels`: [MASK] 80%, the piece itself 10%, any ordinary one 10%."""
    draw = random.random(len(labels))
    others = vocabulary.ordinary_ids[random.integers(len(vocabulary.ordinary_ids), size=len(labels))]
    shown = np.where(draw < MASK_SHARE + KEEP_SHARE, labels, others)
    shown[draw < MASK_SHARE] = vocabulary.mask_id
    return shown
