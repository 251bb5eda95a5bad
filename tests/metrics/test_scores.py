"""Scores against the numbers of the original, against definitions, and at their undefined points."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.errors import ConfigError, DataError
from albert.metrics.scores import (
    SCORES,
    accuracy,
    accuracy_by_group,
    f1,
    f1_macro,
    matthews_correlation,
    pearson,
    score,
    spearman,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "glue"
OUTPUTS = json.loads((GOLDEN / "metric_outputs.json").read_text(encoding="utf-8"))
ORIGINAL_NAMES = {
    "eval_accuracy": "accuracy",
    "matthew_corr": "matthews_correlation",
    "pearson": "pearson",
}
CLASSES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


@pytest.mark.parametrize("case", sorted(case for case in OUTPUTS if "/" in case))
def test_scores_equal_the_originals(case: str) -> None:
    inputs = np.load(GOLDEN / "metric_inputs.npz", allow_pickle=False)
    real = inputs[f"{case}/is_real_example"] > 0
    logits, labels = inputs[f"{case}/logits"][real], inputs[f"{case}/labels"][real]
    predictions = logits if logits.ndim == 1 else logits.argmax(-1)
    for original_name, expected in OUTPUTS[case].items():
        name = ORIGINAL_NAMES.get(original_name)
        if name is None or isinstance(expected, list):
            continue
        defined = 0.0 if np.isnan(expected) else expected  # the original divides 0 by 0 there
        assert SCORES[name](labels, predictions) == pytest.approx(defined, abs=2e-6), original_name


@given(CLASSES)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = zip(*pairs, strict=True)
    hits = sum(label and predicted for label, predicted in pairs)
    positives = sum(labels) + sum(predictions)
    assert f1(labels, predictions) == pytest.approx(2 * hits / positives if positives else 0.0)


@given(CLASSES)
def test_matthews_correlation_of_two_classes_is_their_pearson_correlation(
    pairs: list[tuple[int, int]],
) -> None:
    labels, predictions = zip(*pairs, strict=True)
    assert matthews_correlation(labels, predictions) == pytest.approx(pearson(labels, predictions), abs=1e-9)


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=2, max_size=30))
def test_correlations_ignore_shift_and_scale_and_spearman_any_rising_map(
    pairs: list[tuple[int, int]],
) -> None:
    labels, predictions = (np.array(side, float) for side in zip(*pairs, strict=True))
    assert pearson(labels, 3 * predictions + 7) == pytest.approx(pearson(labels, predictions), abs=1e-9)
    assert spearman(labels, predictions**3) == pytest.approx(spearman(labels, predictions), abs=1e-9)


def test_a_perfect_prediction_scores_one_everywhere() -> None:
    labels = [0, 1, 1, 0, 1]
    assert score(list(SCORES), labels=labels, predictions=labels) == pytest.approx(dict.fromkeys(SCORES, 1.0))


@pytest.mark.parametrize("name", ["matthews_correlation", "pearson", "spearman"])
def test_a_constant_prediction_correlates_with_nothing(name: str) -> None:
    assert SCORES[name]([0, 1, 1], [1, 1, 1]) == 0.0
    assert SCORES[name]([1, 1, 1], [0, 1, 1]) == 0.0
    assert SCORES[name]([1], [0]) == 0.0


def test_pearson_of_nearly_constant_predictions_is_right_and_silent() -> None:
    assert pearson([1, 2, 3], [1e9, 1e9 + 1e-6, 1e9 + 2e-6]) == pytest.approx(1.0, abs=0.1)


def test_f1_without_positives_is_zero() -> None:
    assert f1([0, 0], [0, 0]) == 0.0


def test_macro_f1_weighs_rare_classes_like_frequent_ones() -> None:
    assert f1_macro([0] * 9 + [1], [0] * 10) == pytest.approx((2 * 9 / 19) / 2)
    assert accuracy([0] * 9 + [1], [0] * 10) == pytest.approx(0.9)


def test_scores_of_unequal_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="one prediction for each label"):
        accuracy([1, 2, 3], [1, 2])


def test_scores_of_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="nothing to score"):
        accuracy([], [])


def test_a_prediction_that_is_not_finite_is_named() -> None:
    with pytest.raises(DataError, match="prediction 1 is nan"):
        pearson([1.0, 2.0], [1.0, float("nan")])


def test_an_unknown_score_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'accuracy'"):
        score(["acuracy"], labels=[1], predictions=[1])


def test_accuracy_by_group_is_that_of_its_members() -> None:
    scores = accuracy_by_group([0, 1, 2, 3], [0, 1, 2, 0], ["middle", "high", "high", "high"])
    assert scores == {"accuracy": 0.75, "accuracy_high": pytest.approx(2 / 3), "accuracy_middle": 1.0}


def test_groups_that_do_not_fit_the_labels_are_refused() -> None:
    with pytest.raises(DataError, match="2 labels and 1 groups"):
        accuracy_by_group([0, 1], [0, 1], ["middle"])
