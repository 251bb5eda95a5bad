"""The choice of masked tokens: n-grams of whole words, then 80/10/10.

Source: Lan et al. (2020), section 4.1, and `create_masked_lm_predictions` of the original. The procedure is
the same; two faults are fixed by default: words and n-grams never reach across a [SEP], and a random
replacement is never a special token. All sequences of a block are masked at once: round k handles the k-th
candidate word of every sequence. That takes as many rounds as the sequence with the most candidates needs,
but no Python code per token.

Letters: B sequences, M masked tokens; here also p ordinary tokens (without special ones), w words.
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
    """What the making of examples needs to know of a vocabulary."""

    size: int
    """V"""
    cls_id: int
    """[CLS]"""
    sep_id: int
    """[SEP]"""
    mask_id: int
    """[MASK]"""
    ordinary_ids: IntArray
    """Ids that may replace a token at random: all but the special ones."""
    words: WordRule
    """Which tokens of a text start a word; the others continue the word before them."""


def vocabulary_of(tokenizer: AlbertTokenizer, settings: ExampleSettings) -> Vocabulary:
    """Return what the making of examples needs to know of a tokenizer's vocabulary."""
    rule = settings.filled().word_rule
    assert rule != "auto"
    return Vocabulary(
        size=len(tokenizer),
        cls_id=tokenizer.cls_token_id,
        sep_id=tokenizer.sep_token_id,
        mask_id=tokenizer.mask_token_id,
        ordinary_ids=np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids),
        words=word_rule(tokenizer, rule),
    )


def masking_budgets(lengths: IntArray, *, masked_lm_prob: float, cap: int) -> IntArray:
    """Return (B,) the number of tokens to mask in sequences of `lengths`, special tokens included.

    At least one, and at most `cap` unless that is 0; none at all if `masked_lm_prob` is 0.
    """
    if not masked_lm_prob:
        return np.zeros_like(lengths)
    budgets = np.maximum(1, np.rint(lengths * masked_lm_prob).astype(np.int64))
    return np.minimum(budgets, cap) if cap else budgets


def ngram_probabilities(max_ngram: int, *, favor_shorter: bool) -> FloatArray:
    """Return (max_ngram,) the probabilities of 1, 2, ... words: ~ 1/n, or the same numbers in reverse."""
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
    """Choose the words to mask in every sequence.

    The words of a sequence are candidates in random order. A candidate draws n and stands for the n-gram
    that starts with it, which ends with its segment at the latest. n shrinks while the n-gram exceeds what
    is left of the budget. A candidate is skipped if nothing fits, or if a word of the n-gram is already
    chosen.

    Args:
        word_bounds: (w + 1,) word i consists of ordinary tokens `word_bounds[i]` to `word_bounds[i + 1]`.
        segment_words: (B, 3) the first words of the two segments of a sequence, and its end.
        budgets: (B,) tokens to mask in each sequence; never exceeded.
        probabilities: (max_ngram,) of n-grams of 1, 2, ... words.
        random: Source of all draws.
        taken: (w,) words that must not be chosen.

    Returns:
        (w,) the first word of the n-gram with which a word was chosen; -1 for a word that was not.
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

    begin, middle, end = segment_words.T  # (B, 3) -> three of (B,)
    left = budgets
    alive = (left > 0) & (begin < end)
    tried = 0
    while True:
        if not alive.all():
            begin, middle, end, left = begin[alive], middle[alive], end[alive], left[alive]
        if not len(begin):
            return chosen_with[:num_words]
        draw_word, draw_length = random.random((2, len(begin)))  # of the sequences that are still alive
        slot = begin + tried
        drawn = slot + (draw_word * (end - slot)).astype(np.int64)
        word = candidates[drawn]
        candidates[drawn] = candidates[slot]  # one step of a Fisher-Yates shuffle

        room = np.where(word < middle, middle, end) - word
        ngram = np.minimum(room, 1 + np.searchsorted(cumulative_probs, draw_length, side="right"))
        reach = word[:, None] + steps  # (B, max_ngram)
        sizes = word_bounds[np.minimum(reach + 1, num_words)] - word_bounds[word][:, None]
        fits = (steps < ngram[:, None]) & (sizes <= left[:, None])  # (B, max_ngram)
        chosen = fits & ~(fits & covered[reach]).any(axis=1, keepdims=True)  # (B, max_ngram)
        rows, columns = np.nonzero(chosen)
        chosen_words = word[rows] + columns
        covered[chosen_words] = True
        chosen_with[chosen_words] = word[rows]
        left = left - np.where(chosen, sizes, 0).max(axis=1)  # (B, max_ngram) -> (B,)
        tried += 1
        alive = (left > 0) & (begin + tried < end)


def replace_tokens(
    labels: IntArray, units: IntArray | None, others: IntArray, mask_id: int, random: np.random.Generator
) -> IntArray:
    """Return (M,) the input ids of masked tokens: [MASK] 80%, the token itself 10%, any other one 10%.

    Args:
        labels: (M,) the masked tokens.
        units: (M,) tokens with one group id get one decision; None: every token gets its own.
        others: Ids from which a random replacement is drawn, for each token by itself.
        mask_id: Id of [MASK].
        random: Source of all draws.
    """
    if units is None:
        draw = random.random(len(labels))
    else:
        distinct, unit = np.unique(units, return_inverse=True)
        draw = random.random(len(distinct))[unit]
    replacements = others[random.integers(len(others), size=len(labels))]  # (M,)
    inputs = np.where(draw < MASK_SHARE + KEEP_SHARE, labels, replacements)
    inputs[draw < MASK_SHARE] = mask_id
    return inputs


def permute_within(groups: IntArray, random: np.random.Generator) -> IntArray:
    """Return a random permutation of indices that keeps each index in its group; `groups` must ascend."""
    return np.lexsort((random.random(len(groups)), groups))
