"""Laws of masking; the distribution of n-grams comes from an exact enumeration of the procedure."""

from collections import Counter
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.data.examples.masking import (
    choose_words,
    masking_budgets,
    ngram_probabilities,
    permute_within,
    replace_tokens,
)

BoolArray = npt.NDArray[np.bool_]


def choose_many(
    sizes: list[int],
    *,
    middle: int,
    budget: int,
    times: int,
    max_ngram: int = 3,
    favor_shorter: bool = True,
    taken: list[int] | None = None,
) -> npt.NDArray[np.int64]:
    """Return (times, words) the first word of each chosen word's n-gram, or -1, in equal sequences."""
    words = len(sizes)
    starts = np.arange(times) * words
    chosen = choose_words(
        np.cumsum([0, *(sizes * times)]),
        np.stack([starts, starts + middle, starts + words], axis=1),
        np.full(times, budget),
        probabilities=ngram_probabilities(max_ngram, favor_shorter=favor_shorter),
        random=np.random.default_rng(0),
        taken=None if taken is None else np.tile(np.isin(np.arange(words), taken), times),
    ).reshape(times, words)
    return np.where(chosen < 0, chosen, chosen - starts[:, None])


def exact_law(
    sizes: tuple[int, ...], *, middle: int, budget: int, max_ngram: int, favor_shorter: bool
) -> dict[frozenset[int], float]:
    """Return the probability of every set of masked words, by following all draws of the procedure."""
    weights = [1 / n for n in range(1, max_ngram + 1)]
    weights = weights if favor_shorter else weights[::-1]

    @cache
    def law(tried: frozenset[int], masked: frozenset[int], left: int) -> dict[frozenset[int], float]:
        candidates = [word for word in range(len(sizes)) if word not in tried]
        if not left or not candidates:
            return {masked: 1.0}
        found: Counter[frozenset[int]] = Counter()
        for word in candidates:
            end = middle if word < middle else len(sizes)
            for n, weight in enumerate(weights, start=1):
                span = list(range(word, min(word + n, end)))
                while span and sum(sizes[w] for w in span) > left:
                    span.pop()
                fresh = not masked & set(span)
                taken = span if fresh else []
                rest = left - sum(sizes[w] for w in taken)
                share = weight / sum(weights) / len(candidates)
                for outcome, probability in law(tried | {word}, masked | set(taken), rest).items():
                    found[outcome] += share * probability
        return found

    return law(frozenset(), frozenset(), budget)


@pytest.mark.parametrize(
    ("sizes", "middle", "budget", "max_ngram", "favor_shorter"),
    [
        ([1, 1, 1, 1, 1], 5, 3, 3, True),
        ([1, 2, 1, 3, 1, 1], 3, 4, 3, True),
        ([1, 2, 1, 3, 1, 1], 3, 4, 3, False),
        ([2, 1, 2, 1], 1, 3, 2, True),
        ([3, 3, 1], 3, 2, 3, True),
    ],
)
def test_chosen_words_follow_the_law_of_the_procedure(
    *, sizes: list[int], middle: int, budget: int, max_ngram: int, favor_shorter: bool
) -> None:
    times = 40_000
    options = {"middle": middle, "budget": budget, "max_ngram": max_ngram, "favor_shorter": favor_shorter}
    expected = exact_law(tuple(sizes), **options)
    assert sum(expected.values()) == pytest.approx(1)
    chosen = choose_many(sizes, times=times, **options) >= 0
    found = Counter(frozenset(np.flatnonzero(row).tolist()) for row in chosen)
    assert set(found) <= set(expected)
    for outcome, probability in expected.items():
        sigma = np.sqrt(max(0, probability * (1 - probability)) / times)
        assert abs(found[outcome] / times - probability) <= 4 * sigma + 1e-12, outcome


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=40),
    st.integers(0, 40),
    st.integers(1, 30),
    st.integers(1, 4),
)
def test_budget_is_never_exceeded_and_used_up_if_words_allow(
    sizes: list[int], middle: int, budget: int, max_ngram: int
) -> None:
    middle = min(middle, len(sizes))
    chosen = choose_many(sizes, middle=middle, budget=budget, times=3, max_ngram=max_ngram) >= 0
    assert np.all(chosen @ sizes <= budget)
    ones = choose_many([1] * len(sizes), middle=middle, budget=budget, times=3, max_ngram=1) >= 0
    assert np.all(ones.sum(axis=1) == min(budget, len(sizes)))


def test_ngram_never_crosses_the_middle() -> None:
    # With budget 2 and words of one token two masked words are one bigram or two unigrams;
    # bigrams make neighbours far likelier than distant words, except across the border.
    chosen = choose_many([1] * 8, middle=4, budget=2, times=20_000, max_ngram=2) >= 0
    neighbours = [np.mean(chosen[:, w] & chosen[:, w + 1]) for w in range(7)]
    assert neighbours[3] < 0.5 * min(neighbours[:3] + neighbours[4:])


def test_words_of_an_ngram_carry_its_first_word() -> None:
    chosen = choose_many([1] * 6, middle=6, budget=3, times=500, max_ngram=3)
    for row in chosen:
        for first in set(row[row >= 0].tolist()):
            assert row[first] == first
            run = np.flatnonzero(row == first)
            assert run.tolist() == list(range(first, first + len(run)))


def test_taken_words_are_not_chosen() -> None:
    chosen = choose_many([1] * 6, middle=6, budget=6, times=2000, max_ngram=3, taken=[1, 4])
    assert np.all(chosen[:, [1, 4]] < 0)
    assert np.all(np.any(chosen[:, [0, 2, 3, 5]] >= 0, axis=0))


@given(st.lists(st.integers(3, 512), min_size=1), st.integers(0, 80))
def test_budgets_round_half_to_even_as_python(lengths: list[int], cap: int) -> None:
    expected = [min(cap or 512, max(1, round(length * 0.15))) for length in lengths]
    assert masking_budgets(np.array(lengths), masked_lm_prob=0.15, cap=cap).tolist() == expected


def test_nothing_is_masked_if_the_share_is_zero() -> None:
    assert masking_budgets(np.array([10, 512]), masked_lm_prob=0.0, cap=20).tolist() == [0, 0]


@pytest.mark.parametrize("pieces_per_unit", [None, 4])
def test_masked_tokens_become_mask_themselves_and_random_ones_in_shares_of_80_10_10(
    pieces_per_unit: int | None,
) -> None:
    count, mask = 200_000, 4
    labels = np.full(count, 7)
    units = None if pieces_per_unit is None else np.arange(count) // pieces_per_unit * 3
    shown = replace_tokens(labels, units, np.arange(5, 31), mask, np.random.default_rng(0))
    found = np.bincount(shown, minlength=31) / count
    expected = np.zeros(31)
    expected[5:] = 0.1 / 26
    expected[7] += 0.1
    expected[mask] = 0.8
    assert found[:4].tolist() == [0, 0, 0, 0]
    sigma = np.sqrt(expected * (1 - expected) / count * (pieces_per_unit or 1))
    assert np.all(np.abs(found - expected) <= 4 * sigma)


def test_tokens_of_a_group_get_one_decision() -> None:
    units = np.repeat(np.arange(3000), 5)
    shown = replace_tokens(np.full(15_000, 7), units, np.arange(8, 9), 4, np.random.default_rng(0))
    assert np.all(shown.reshape(-1, 5) == shown.reshape(-1, 5)[:, :1])
    assert set(shown.tolist()) == {4, 7, 8}


@given(st.lists(st.integers(0, 5), max_size=30))
def test_permutation_stays_within_its_groups(sizes: list[int]) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    order = permute_within(groups, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(len(groups)))
    assert np.array_equal(groups[order], groups)


def test_permutation_is_uniform() -> None:
    groups = np.repeat(np.arange(6000), 3)
    order = permute_within(groups, np.random.default_rng(0)).reshape(-1, 3) % 3
    counts = np.array(list(Counter(map(tuple, order.tolist())).values()))
    assert len(counts) == 6
    assert np.all(np.abs(counts - 1000) < 4 * np.sqrt(6000 / 6 * 5 / 6))
