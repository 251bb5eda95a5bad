"""Entities as conlleval counts them: worked examples, equivalent tagging schemes, laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from albert.errors import DataError
from albert.metrics.entities import (
    entity_spans,
    score_entities,
    score_entities_by_type,
    score_spans,
    score_spans_by_type,
)

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
PAIRS = st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8)
SENTENCES = st.lists(PAIRS, min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB1", "I-PER I-PER B-PER O I-LOC"),
        ("IOB2", "B-PER I-PER B-PER O B-LOC"),
        ("IOE1", "I-PER E-PER I-PER O I-LOC"),
        ("IOE2", "I-PER E-PER E-PER O E-LOC"),
        ("BIOES", "B-PER E-PER S-PER O S-LOC"),
        ("BILOU", "B-PER L-PER U-PER O U-LOC"),
        ("BMES", "B-PER E-PER S-PER O S-LOC"),
    ],
)
def test_equivalent_tagging_schemes_give_the_same_entities(scheme: str, tags: str) -> None:
    assert entity_spans(tags.split()) == [("PER", 0, 2), ("PER", 2, 3), ("LOC", 4, 5)], scheme


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O I-PER I-PER O", [("PER", 1, 3)]),
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
        ("I-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("B-PER M-PER M-PER E-PER E-PER", [("PER", 0, 4), ("PER", 4, 5)]),
        ("S-PER I-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B I O B", [("", 0, 2), ("", 3, 4)]),
        ("B-PER.NAM I-PER.NAM B-GPE-X", [("PER.NAM", 0, 2), ("GPE-X", 2, 3)]),
        ("", []),
    ],
)
def test_a_continuation_without_a_start_starts_an_entity(
    tags: str, expected: list[tuple[str, int, int]]
) -> None:
    assert entity_spans(tags.split()) == expected


def test_scores_are_those_conlleval_gives_for_a_worked_example() -> None:
    gold = ["B-PER I-PER O B-LOC", "B-ORG I-ORG I-ORG O", "O B-LOC B-PER O"]
    predicted = ["B-PER I-PER O B-ORG", "B-ORG I-ORG O O", "O I-LOC I-PER O"]
    sides = [line.split() for line in gold], [line.split() for line in predicted]
    # 3 of 5 gold and 5 predicted entities agree.
    assert score_entities(*sides) == pytest.approx({"precision": 0.6, "recall": 0.6, "f1": 0.6})
    assert score_entities_by_type(*sides) == {
        "LOC": pytest.approx({"precision": 1.0, "recall": 0.5, "f1": 2 / 3}),
        "ORG": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
        "PER": {"precision": 1.0, "recall": 1.0, "f1": 1.0},
    }


@given(SENTENCES)
def test_scores_equal_those_of_scikit_learn_over_all_candidate_spans(
    sentences: list[list[tuple[str, str]]],
) -> None:
    gold, predicted = sides_of(sentences)
    found = [
        {(number, *span) for number, tags in enumerate(side) for span in entity_spans(tags)}
        for side in (gold, predicted)
    ]
    candidates = sorted(found[0] | found[1])
    if not candidates:
        return
    precision, recall, f1, _ = precision_recall_fscore_support(
        [span in found[0] for span in candidates],
        [span in found[1] for span in candidates],
        average="binary",
        zero_division=0.0,
    )
    assert score_entities(gold, predicted) == pytest.approx(
        {"precision": precision, "recall": recall, "f1": f1}
    )


@given(SENTENCES)
def test_a_perfect_prediction_scores_one(sentences: list[list[tuple[str, str]]]) -> None:
    gold, _ = sides_of(sentences)
    some = float(any(entity_spans(tags) for tags in gold))
    assert score_entities(gold, gold) == {"precision": some, "recall": some, "f1": some}


@given(SENTENCES)
def test_the_order_of_sentences_changes_nothing(sentences: list[list[tuple[str, str]]]) -> None:
    assert score_entities_by_type(*sides_of(sentences)) == score_entities_by_type(*sides_of(sentences[::-1]))


@given(SENTENCES)
def test_swapping_gold_and_predicted_swaps_precision_and_recall(
    sentences: list[list[tuple[str, str]]],
) -> None:
    gold, predicted = sides_of(sentences)
    scores, swapped = score_entities(gold, predicted), score_entities(predicted, gold)
    assert scores["f1"] == swapped["f1"]
    assert scores["precision"] == swapped["recall"]


@given(PAIRS)
def test_spans_are_in_order_apart_and_cover_every_tag_but_o(pairs: list[tuple[str, str]]) -> None:
    tags = [tag for tag, _ in pairs]
    spans = entity_spans(tags)
    covered = [place for _, begin, end in spans for place in range(begin, end)]
    assert covered == [place for place, tag in enumerate(tags) if tag != "O"]


def test_span_sets_score_micro_macro_and_by_type() -> None:
    gold = [{"name": {(9, 12)}, "company": {(0, 4), (5, 8)}}, {}]
    predicted = [{"name": {(9, 12)}, "company": {(0, 4)}}, {"scene": [(0, 2), (0, 2)]}]
    assert score_spans(gold, predicted) == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "f1_macro": (1 + 2 / 3 + 0) / 3}
    )
    by_type = score_spans_by_type(gold, predicted)
    assert {kind: scores["f1"] for kind, scores in by_type.items()} == pytest.approx(
        {"company": 2 / 3, "name": 1.0, "scene": 0.0}
    )


@pytest.mark.parametrize("tag", ["PER", "X-PER", "B-", "b-PER", ""])
def test_an_unknown_tag_is_named_with_its_place(tag: str) -> None:
    with pytest.raises(DataError, match=f"tag '{tag}' at place 1"):
        entity_spans(["O", tag])


def test_tags_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(DataError, match="2 gold sentences and 1 predicted"):
        score_entities([["O"], ["O"]], [["O"]])
    with pytest.raises(DataError, match="sentence 1 has 2 gold tags and 1 predicted"):
        score_entities([["O"], ["O", "O"]], [["O"], ["O"]])
    with pytest.raises(DataError, match="nothing to score"):
        score_spans([], [])


def sides_of(sentences: list[list[tuple[str, str]]]) -> tuple[list[list[str]], list[list[str]]]:
    return (
        [[gold for gold, _ in pairs] for pairs in sentences],
        [[predicted for _, predicted in pairs] for pairs in sentences],
    )
