"""SQuAD's scores against the original's reports, published predictions, and by laws."""

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.errors import DataError
from albert.metrics.answers import (
    exact_match,
    f1_overlap,
    find_best_threshold,
    normalize_answer,
    score_answers_v1,
    score_answers_v2,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "squad"
CASES = json.loads((GOLDEN / "answer_scores.json").read_text(encoding="utf-8"))
PAIRS = [json.loads(line) for line in (GOLDEN / "metric_pairs.jsonl").read_bytes().splitlines()]
# Two units in the last place from the sum in the order of the questions, which gives all the other numbers.
OTHERWISE_SUMMED = ("v2.0__nlnet_(single_model)_(Microsoft_Research_Asia).json", "HasAns_f1")

WORDS = st.sampled_from(["the", "a", "cat", "dog.", "!", "Cat"])
TEXTS = st.lists(WORDS, max_size=4).map(" ".join)
ODDS = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])
QUESTIONS = st.lists(st.tuples(st.lists(TEXTS, max_size=3), TEXTS, ODDS), min_size=1, max_size=8)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair['prediction']}|{pair['gold']}")
def test_a_pair_of_answers_scores_as_in_the_original(pair: dict[str, object]) -> None:
    gold, predicted = str(pair["gold"]), str(pair["prediction"])
    assert [normalize_answer(predicted), normalize_answer(gold)] == pair["norm_v1"] == pair["norm_v2"]
    assert exact_match(gold, predicted) == pair["em_v1"] == pair["em_v2"]
    assert f1_overlap(gold, predicted) == pair["f1_v2"]
    assert f1_overlap(gold, predicted, empty_matches=False) == pair["f1_v1"]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("decode_v1")])
def test_reports_of_squad1_equal_the_original_s(name: str) -> None:
    scores = score_answers_v1(CASES["v1_gold"], CASES[name]["predictions"])
    assert {key: scores[key] for key in ("exact_match", "f1")} == CASES[name]["eval"]
    assert scores["missing"] == 0


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("decode_v2")])
def test_reports_of_both_passes_of_squad2_equal_the_original_s(name: str) -> None:
    report = CASES[name]["eval"]
    first, second = (
        score_answers_v2(
            CASES["v2_gold"],
            report[f"{order}_pass_predictions"],
            null_odds=CASES[name]["null_odds"],
            threshold=report["na_prob_thresh"],
        )
        for order in ("first", "second")
    )
    assert {key: first[key] for key in report["first_pass_with_best"]} == report["first_pass_with_best"]
    assert report["final"].pop("null_score_diff_threshold") == first["best_f1_thresh"]
    assert {key: second[key] for key in report["final"]} == report["final"]


@pytest.mark.reference
def test_scores_of_published_predictions_equal_the_official_ones() -> None:
    folder = os.environ.get("ALBERT_REFERENCE_SQUAD")
    if not folder:
        pytest.skip("ALBERT_REFERENCE_SQUAD names no folder of SQuAD predictions with their official scores")
    expected_scores = json.loads((Path(folder) / "expected_scores.json").read_text(encoding="utf-8"))
    assert len(expected_scores) == 9
    for name, expected in expected_scores.items():
        gold = read_gold(Path(folder) / expected.pop("dataset"))
        predictions = json.loads((Path(folder) / "predictions" / name).read_text(encoding="utf-8"))
        if "HasAns_total" in expected:
            scores = score_answers_v2(gold, predictions)
        else:
            scores = score_answers_v1(gold, predictions)
            scores["exact"] = scores["exact_match"]
        for key, number in expected.items():
            tolerance = 2 * math.ulp(number) if (name, key) == OTHERWISE_SUMMED else 0.0
            assert abs(scores[key] - number) <= tolerance, (name, key)


def read_gold(path: Path) -> dict[str, list[str]]:
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    questions = [qa for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    return {qa["id"]: [answer["text"] for answer in qa["answers"]] for qa in questions}


@given(QUESTIONS)
def test_squad2_totals_are_the_weighted_means_of_their_parts(
    questions: list[tuple[list[str], str, float]],
) -> None:
    gold, predictions, odds = by_id(questions)
    scores = score_answers_v2(gold, predictions, null_odds=odds, threshold=0.5)
    for key in ("exact", "f1"):
        parts = sum(
            scores.get(f"{part}_{key}", 0.0) * scores.get(f"{part}_total", 0) for part in ("HasAns", "NoAns")
        )
        assert scores[key] * scores["total"] == pytest.approx(parts)


@given(QUESTIONS)
def test_a_threshold_equals_predicting_nothing_above_it(
    questions: list[tuple[list[str], str, float]],
) -> None:
    gold, predictions, odds = by_id(questions)
    emptied = {question: "" if odds[question] > 0.5 else text for question, text in predictions.items()}
    # If all gold answers are empty once normalised, evaluate-v2.0 accepts "" but not "no answer".
    gold = {q: [a for a in answers if normalize_answer(a)] for q, answers in gold.items()}
    scores = score_answers_v2(gold, predictions, null_odds=odds, threshold=0.5)
    assert {key: scores[key] for key in ("exact", "f1")} == {
        key: value for key, value in score_answers_v2(gold, emptied).items() if key in ("exact", "f1")
    }


@given(st.lists(st.tuples(st.lists(TEXTS, max_size=3), TEXTS), min_size=1, max_size=8))
def test_the_best_threshold_gives_the_best_score_of_all_thresholds(
    questions: list[tuple[list[str], str]],
) -> None:
    # All odds differ, and no prediction is only punctuation, which the search counts as an answer.
    rows = [
        (gold, text, 0.25 * (i + 1)) for i, (gold, text) in enumerate(questions) if normalize_answer(text)
    ]
    if not rows:
        return
    gold, predictions, odds = by_id(rows)
    gold = {q: [a for a in answers if normalize_answer(a)] for q, answers in gold.items()}
    best = score_answers_v2(gold, predictions, null_odds=odds)
    for key in ("exact", "f1"):
        at_each = [
            score_answers_v2(gold, predictions, null_odds=odds, threshold=threshold)[key]
            for threshold in (0.0, *odds.values())
        ]
        assert best[f"best_{key}"] == pytest.approx(max(at_each))
        found = score_answers_v2(gold, predictions, null_odds=odds, threshold=best[f"best_{key}_thresh"])
        assert found[key] == pytest.approx(max(at_each))


@given(QUESTIONS)
def test_scores_do_not_depend_on_predictions_for_other_questions(
    questions: list[tuple[list[str], str, float]],
) -> None:
    gold, predictions, odds = by_id(questions)
    alone = score_answers_v2(gold, predictions, null_odds=odds)
    more = {"other": "x", **predictions}
    assert score_answers_v2(gold, more, null_odds={"other": 0.3, **odds}) == alone


@given(TEXTS, TEXTS)
def test_f1_is_symmetric_and_one_for_equal_texts(one: str, other: str) -> None:
    assert f1_overlap(one, other) == f1_overlap(other, one)
    assert f1_overlap(one, one) == exact_match(one, one) == 1.0


def test_a_missing_answer_scores_zero_in_squad1() -> None:
    scores = score_answers_v1({"q1": ["the cat", "cats"], "q2": ["dog"]}, {"q1": "Cats."})
    assert scores == {"exact_match": 50.0, "f1": 50.0, "total": 2, "missing": 1}


def test_a_missing_answer_is_not_counted_or_scores_zero_in_squad2() -> None:
    gold, predictions = {"q1": ["cat"], "q2": ["dog"], "n1": []}, {"q1": "cat", "q3": "x"}
    left_out = score_answers_v2(gold, predictions)
    assert left_out == {
        **{"exact": 100.0, "f1": 100.0, "total": 1},
        **{"HasAns_exact": 100.0, "HasAns_f1": 100.0, "HasAns_total": 1, "missing": 2},
    }
    zero = score_answers_v2(gold, predictions, null_odds={"q1": 0.0}, missing_score_zero=True)
    assert zero["exact"] == zero["best_exact"] == pytest.approx(100 / 3)
    assert (zero["HasAns_f1"], zero["NoAns_f1"], zero["total"], zero["missing"]) == (50.0, 0.0, 3, 2)


@pytest.mark.parametrize("odds", [{"q": -3.0, "n": 2.0}, {"q": -3.0, "n": -1e-9}, {"q": 0.1, "n": 0.0}])
def test_a_best_threshold_answers_nothing_if_that_is_best(odds: dict[str, float]) -> None:
    gold: dict[str, list[str]] = {"q": ["z"], "n": []}
    predictions = {"q": "x", "n": "y"}
    best = score_answers_v2(gold, predictions, null_odds=odds)
    assert best["best_f1"] == 50.0
    assert max(odds.values()) > best["best_f1_thresh"]
    assert all(odd > best["best_f1_thresh"] for odd in odds.values())
    assert score_answers_v2(gold, predictions, null_odds=odds, threshold=best["best_f1_thresh"])["f1"] == 50.0


def test_a_best_threshold_of_probabilities_is_that_of_the_official_script() -> None:
    score = find_best_threshold(
        {"q": 0.0, "n": 0.0},
        predictions={"q": "x", "n": "y"},
        null_odds={"q": 0.3, "n": 0.2},
        has_answer={"q": True, "n": False},
    )
    assert score == (50.0, 0.0)


@pytest.mark.parametrize("odds", [{}, {"q": float("nan")}])
def test_a_prediction_without_null_odds_is_named(odds: dict[str, float]) -> None:
    with pytest.raises(DataError, match="'q' has a prediction but no null odds"):
        score_answers_v2({"q": ["x"]}, {"q": "x"}, null_odds=odds)


def test_questions_without_answers_belong_to_squad2() -> None:
    with pytest.raises(DataError, match="'q' has no gold answer"):
        score_answers_v1({"q": []}, {"q": ""})


def test_scores_of_no_questions_are_refused() -> None:
    with pytest.raises(DataError, match="nothing to score"):
        score_answers_v1({}, {})
    with pytest.raises(DataError, match="nothing to score"):
        score_answers_v2({}, {"q": "x"})
    with pytest.raises(DataError, match="none of the 1 questions has a prediction"):
        score_answers_v2({"q": ["x"]}, {"other": "x"})


def by_id(
    questions: list[tuple[list[str], str, float]],
) -> tuple[dict[str, list[str]], dict[str, str], dict[str, float]]:
    named = {f"q{number}": question for number, question in enumerate(questions)}
    return (
        {name: question[0] for name, question in named.items()},
        {name: question[1] for name, question in named.items()},
        {name: question[2] for name, question in named.items()},
    )
