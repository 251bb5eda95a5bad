"""Hides pieces for the masked language model: n-grams of whole words, then 80/10/10.

Stands between `segments` and `sequences`. Source: Lan et al. (2020), section 4.1, and
`create_masked_lm_predictions` of the original, with its procedure and by default two faults mended: words and
n-grams never reach across a [SEP], and a random replacement is never a special piece. All sequences of a
block are masked at once: round k handles the k-th candidate word of every sequence.

Letters: B sequences, P ordinary pieces (special ones not counted), W words of all sequences.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from albert.data.batches import BoolArray, IntArray
from albert.data.examples.settings import ExampleSettings
from albert.text.tokenizer import AlbertTokenizer
from albert.text.words import WordRule, word_rule

FloatArray = npt.NDArray[np.float64]

MASK_SHARE = 0.8
KEEP_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What example making must know of a vocabulary of V pieces."""

    size: int
    """V"""
    cls_id: int
    """[CLS]"""
    sep_id: int
    """[SEP]"""
    mask_id: int
    """[MASK]"""
    ordinary_ids: IntArray
    """Ids that may replace a piece at random: all but the special ones."""
    words: WordRule
    """Which pieces of a text open a word; the others continue the one before them."""


def vocabulary_of(tokenizer: AlbertTokenizer, settings: ExampleSettings) -> Vocabulary:
    """Returns the facts of a tokenizer's vocabulary that example making needs."""
    rule = settings.filled().word_rule
    assert rule != "auto"
    return Vocabulary(
        size=tokenizer.vocab_size,
        cls_id=tokenizer.cls_token_id,
        sep_id=tokenizer.sep_token_id,
        mask_id=tokenizer.mask_token_id,
        ordinary_ids=np.setdiff1d(np.arange(tokenizer.vocab_size), tokenizer.all_special_ids),
        words=word_rule(tokenizer, rule),
    )


def masking_budgets(lengths: IntArray, *, masked_lm_prob: float, cap: int) -> IntArray:
    """Returns (B,) how many pieces of sequences of `lengths` (special ones counted) are to be hidden.

    At least one, and at most `cap` unless that is 0; none at all where `masked_lm_prob` is 0.
    """
    if not masked_lm_prob:
        return np.zeros_like(lengths)
    budgets = np.maximum(1, np.rint(lengths * masked_lm_prob).astype(np.int64))
    return np.minimum(budgets, cap) if cap else budgets


def ngram_probabilities(max_ngram: int, *, favor_shorter: bool) -> FloatArray:
    """Returns (max_ngram,) the probability of 1, 2, ... words: ~ 1/n, or the same numbers in reverse."""
    weights = 1.0 / np.arange(1, max_ngram + 1)
    return (weights if favor_shorter else weights[::-1]) / weights.sum()


def choose_words(
    word_bounds: IntArray,
    segment_words: IntArray,
    budgets: IntArray,
    *,
    probabilities: FloatArray,
    random: np.random.Generator,
    taken: BoolArray | None = None,
) -> IntArray:
    """Chooses the words to hide in every sequence.

    Words of a sequence are candidates in random order. A candidate draws n and stands for the n-gram to
    its right, which ends with its segment; n shrinks while the n-gram exceeds what is left of the budget;
    the candidate is passed over if nothing fits or a word of the n-gram is chosen already.

    Args:
        word_bounds: (W + 1,) word w consists of ordinary pieces `word_bounds[w]` to `word_bounds[w + 1]`.
        segment_words: (B, 3) the words at which the two segments of a sequence begin, and the end.
        budgets: (B,) pieces to hide in each sequence; never exceeded.
        probabilities: (N,) of an n-gram of 1, 2, ... words.
        random: Where all draws come from.
        taken: (W,) words that must not be chosen.

    Returns:
        (W,) the first word of the n-gram with which a word was chosen; -1 for a word that was not.
    """
    num_words, max_ngram = len(word_bounds) - 1, len(probabilities)
    chosen_with = np.full(num_words + max_ngram, -1)
    covered = np.zeros(num_words + max_ngram, bool)
    if taken is not None:
        covered[:num_words] = taken
    candidates = np.arange(num_words)
    cumulative_probs = np.cumsum(probabilities)
    cumulative_probs[-1] = 1.0
    steps = np.arange(max_ngram)

    begin, middle, end = segment_words.T
    left = budgets
    alive = (left > 0) & (begin < end)
    tried = 0
    while True:
        if not alive.all():
            begin, middle, end, left = begin[alive], middle[alive], end[alive], left[alive]
        if not len(begin):
            return chosen_with[:num_words]
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
        chosen = fits & ~(fits & covered[reach]).any(axis=1, keepdims=True)
        rows, columns = np.nonzero(chosen)
        places = word[rows] + columns
        covered[places] = True
        chosen_with[places] = word[rows]
        left = left - np.where(chosen, sizes, 0).max(axis=1)
        tried += 1
        alive = (left > 0) & (begin + tried < end)


def replace_pieces(
    labels: IntArray, units: IntArray | None, others: IntArray, mask_id: int, random: np.random.Generator
) -> IntArray:
    """Returns what is shown in place of hidden pieces: [MASK] 80%, itself 10%, any other one 10%.

    Args:
        labels: (M,) the pieces.
        units: (M,) pieces of one number share their lot; None: each has its own.
        others: Ids of which a random one is drawn, for every piece by itself.
        mask_id: Of [MASK].
        random: Where all draws come from.
    """
    if units is None:
        draw = random.random(len(labels))
    else:
        distinct, unit = np.unique(units, return_inverse=True)
        draw = random.random(len(distinct))[unit]
    strangers = others[random.integers(len(others), size=len(labels))]
    shown = np.where(draw < MASK_SHARE + KEEP_SHARE, labels, strangers)
    shown[draw < MASK_SHARE] = mask_id
    return shown


def permute_within(groups: IntArray, random: np.random.Generator) -> IntArray:
    """Returns (M,) a random permutation of 0 to M - 1 that keeps each index in its group; `groups` ascend."""
    return np.lexsort((random.random(len(groups)), groups))
