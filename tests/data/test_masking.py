"""Laws of masking; the law of the chosen n-grams comes from an exact enumeration of the procedure."""

import gzip
import json
import os
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.data.masking import Vocabulary, choose_words, masking_budgets, replace_pieces, vocabulary_of
from albert.text.tokenizer import AlbertTokenizer

BoolArray = npt.NDArray[np.bool_]

VOCABULARY = Vocabulary(
    cls_id=2, sep_id=3, mask_id=4, ordinary_ids=np.arange(5, 31), opens_word=np.ones(31, bool)
)


def choose_many(
    sizes: list[int], *, middle: int, budget: int, times: int, max_ngram: int = 3, seed: int = 0
) -> BoolArray:
    """Returns (times, words) which words are hidden in equal sequences of words of the given sizes."""
    words = len(sizes)
    starts = np.arange(times) * words
    chosen = choose_words(
        np.cumsum([0, *(sizes * times)]),
        np.stack([starts, starts + middle, starts + words], axis=1),
        np.full(times, budget),
        max_ngram=max_ngram,
        random=np.random.default_rng(seed),
    )
    return chosen.reshape(times, words)


def exact_law(
    sizes: tuple[int, ...], *, middle: int, budget: int, max_ngram: int
) -> dict[frozenset[int], float]:
    """Returns the probability of every set of hidden words, by following all draws of the procedure."""
    weights = [1 / n for n in range(1, max_ngram + 1)]

    @cache
    def law(tried: frozenset[int], hidden: frozenset[int], left: int) -> dict[frozenset[int], float]:
        candidates = [word for word in range(len(sizes)) if word not in tried]
        if not left or not candidates:
            return {hidden: 1.0}
        found: Counter[frozenset[int]] = Counter()
        for word in candidates:
            end = middle if word < middle else len(sizes)
            for n, weight in enumerate(weights, start=1):
                span = list(range(word, min(word + n, end)))
                while span and sum(sizes[w] for w in span) > left:
                    span.pop()
                fresh = not hidden & set(span)
                taken = span if fresh else []
                rest = left - sum(sizes[w] for w in taken)
                share = weight / sum(weights) / len(candidates)
                for outcome, probability in law(tried | {word}, hidden | set(taken), rest).items():
                    found[outcome] += share * probability
        return found

    return law(frozenset(), frozenset(), budget)


@pytest.mark.parametrize(
    ("sizes", "middle", "budget", "max_ngram"),
    [
        ([1, 1, 1, 1, 1], 5, 3, 3),
        ([1, 2, 1, 3, 1, 1], 3, 4, 3),
        ([2, 1, 2, 1], 1, 3, 2),
        ([3, 3, 1], 3, 2, 3),
    ],
)
def test_chosen_words_follow_the_law_of_the_procedure(
    sizes: list[int], middle: int, budget: int, max_ngram: int
) -> None:
    times = 40_000
    expected = exact_law(tuple(sizes), middle=middle, budget=budget, max_ngram=max_ngram)
    assert sum(expected.values()) == pytest.approx(1)
    chosen = choose_many(sizes, middle=middle, budget=budget, times=times, max_ngram=max_ngram)
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
def test_budget_is_never_exceeded_and_met_where_words_allow(
    sizes: list[int], middle: int, budget: int, max_ngram: int
) -> None:
    middle = min(middle, len(sizes))
    chosen = choose_many(sizes, middle=middle, budget=budget, times=3, max_ngram=max_ngram)
    assert np.all(chosen @ sizes <= budget)
    ones = choose_many([1] * len(sizes), middle=middle, budget=budget, times=3, max_ngram=1)
    assert np.all(ones.sum(axis=1) == min(budget, len(sizes)))


def test_ngram_never_crosses_the_middle() -> None:
    # With budget 2 and words of one piece two hidden words are one bigram or two unigrams;
    # bigrams make neighbours far likelier than strangers, except across the border.
    chosen = choose_many([1] * 8, middle=4, budget=2, times=20_000, max_ngram=2)
    neighbours = [np.mean(chosen[:, w] & chosen[:, w + 1]) for w in range(7)]
    assert neighbours[3] < 0.5 * min(neighbours[:3] + neighbours[4:])


@given(st.lists(st.integers(3, 512), min_size=1), st.one_of(st.none(), st.integers(1, 80)))
def test_budgets_round_half_to_even_as_python(lengths: list[int], cap: int | None) -> None:
    expected = [min(cap or 512, max(1, round(length * 0.15))) for length in lengths]
    assert masking_budgets(np.array(lengths), masked_lm_prob=0.15, cap=cap).tolist() == expected


def test_shown_pieces_are_mask_kept_and_random_in_shares_of_80_10_10() -> None:
    count = 200_000
    labels = np.full(count, 7)
    shown = replace_pieces(labels, VOCABULARY, np.random.default_rng(0))
    found = np.bincount(shown, minlength=31) / count
    expected = np.zeros(31)
    expected[5:] = 0.1 / 26
    expected[7] += 0.1
    expected[4] = 0.8
    assert found[:4].tolist() == [0, 0, 0, 0]
    assert np.all(np.abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / count))


@pytest.fixture(scope="module")
def golden() -> Path:
    folder = os.environ.get("ALBERT_REFERENCE")
    if not folder:
        pytest.skip("ALBERT_REFERENCE names no folder of golden files")
    return Path(folder)


def read_records(golden: Path, name: str) -> list[dict[str, list[int]]]:
    with gzip.open(golden / "pretrain_data" / f"{name}.jsonl.gz", "rt") as file:
        records = [json.loads(line) for line in file]
    for record in records:
        for position, label in zip(record["masked_lm_positions"], record["masked_lm_labels"], strict=True):
            record["tokens"][position] = label
    return records


def runs_of(hidden: BoolArray) -> Counter[int]:
    """Returns how many runs of hidden words there are of each length."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden, [0]])))
    return Counter((edges[1::2] - edges[::2]).tolist())


@pytest.mark.reference
@pytest.mark.parametrize("name", ["base512_pred77", "base128"])
def test_hidden_words_are_distributed_as_in_the_original(golden: Path, name: str) -> None:
    vocabulary = vocabulary_of(AlbertTokenizer.from_pretrained(golden / "tokenization"))
    pieces = (golden / "tokenization" / "30k-clean.vocab").read_text("utf-8").splitlines()
    ids = {line.split("\t")[0]: number for number, line in enumerate(pieces)}
    random = np.random.default_rng(0)
    theirs, ours = [], []
    for record in read_records(golden, name):
        tokens = np.array([ids[token] for token in record["tokens"]])
        ordinary = (tokens != vocabulary.cls_id) & (tokens != vocabulary.sep_id)
        opens = vocabulary.opens_word[tokens][ordinary]
        second = np.array(record["segment_ids"])[ordinary].searchsorted(1)
        boundary = np.array(record["token_boundary"], bool)[ordinary]
        # The first piece opens a word whatever it is; of unknown text only the original knows the spelling.
        known = np.array(record["tokens"])[ordinary] != "<unk>"
        assert set(np.flatnonzero((opens != boundary) & known)) <= {0}
        if not boundary[second]:
            continue  # the original glues this word to the one before [SEP]
        opens = boundary
        hidden = np.zeros(len(tokens), bool)
        hidden[record["masked_lm_positions"]] = True
        starts = np.flatnonzero(opens)
        theirs.append(runs_of(hidden[ordinary][starts]))
        middle = starts.searchsorted(second)
        chosen = [
            choose_words(
                np.append(starts, len(opens)),
                np.array([[0, middle, len(starts)]]),
                np.array([len(record["masked_lm_positions"])]),
                max_ngram=3,
                random=random,
            )
            for _ in range(10)
        ]
        ours.append([runs_of(words) for words in chosen])
    assert len(theirs) > 300
    for length in range(1, 6):
        expected = np.array([np.mean([runs[length] for runs in many]) for many in ours])
        difference = np.array([runs[length] for runs in theirs]) - expected
        # Runs across the [SEP] exist only there; they are at most one in each record.
        tolerance = 4 * difference.std() / np.sqrt(len(theirs)) + 0.005 * expected.mean()
        assert abs(difference.mean()) < tolerance, (length, difference.mean(), expected.mean())
