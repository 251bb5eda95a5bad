"""Scores of classification and regression, under the names the benchmarks report.

Each score takes the true labels and the predictions, both (B,), and returns one number. A score that is
undefined is 0.0, never NaN, so that scores can always be compared:

- a correlation (Pearson, Spearman, Matthews) if labels or predictions are constant;
- F1 if nothing was predicted positive, or nothing is.

Source: Wang et al. (2019), GLUE, table 1; the numbers are scikit-learn's and scipy's.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albert.errors import ConfigError, DataError, did_you_mean


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the share of predictions that equal their label.

    Raises:
        DataError: The two differ in length or are empty.
    """
    true, predicted = _checked(labels, predictions)
    return float(np.mean(true == predicted))


def f1(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the F1 of class 1 among the classes 0 and 1, as GLUE scores MRPC and QQP.

    Raises:
        DataError: The two differ in length or are empty.
    """
    from sklearn import metrics

    true, predicted = _checked(labels, predictions)
    return float(metrics.f1_score(true == 1, predicted == 1, zero_division=0.0))


def f1_macro(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the mean F1 of the classes that occur among labels or predictions.

    Raises:
        DataError: The two differ in length or are empty.
    """
    from sklearn import metrics

    true, predicted = _checked(labels, predictions)
    return float(metrics.f1_score(true, predicted, average="macro", zero_division=0.0))


def matthews_correlation(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return Matthews' correlation of two or more classes, -1 to 1; 0.0 if a side is constant.

    Raises:
        DataError: The two differ in length or are empty.
    """
    from sklearn import metrics

    true, predicted = _checked(labels, predictions)
    if _is_constant(true) or _is_constant(predicted):
        return 0.0
    return float(metrics.matthews_corrcoef(true, predicted))


def pearson(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return Pearson's correlation, -1 to 1; 0.0 if a side is constant, and for a single pair.

    Raises:
        DataError: The two differ in length, are empty, or have a number that is not finite.
    """
    from scipy import stats

    true, predicted = _checked_numbers(labels, predictions)
    if _is_constant(true) or _is_constant(predicted):
        return 0.0
    # Centred and scaled first: scipy warns of lost digits if a side barely varies around its mean.
    return float(stats.pearsonr(_standardized(true), _standardized(predicted)).statistic)


def spearman(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return Spearman's correlation of ranks, -1 to 1; 0.0 if a side is constant, and for a single pair.

    Raises:
        DataError: The two differ in length, are empty, or have a number that is not finite.
    """
    from scipy import stats

    true, predicted = _checked_numbers(labels, predictions)
    if _is_constant(true) or _is_constant(predicted):
        return 0.0
    return float(stats.spearmanr(true, predicted).statistic)


SCORES: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "accuracy": accuracy,
    "f1": f1,
    "f1_macro": f1_macro,
    "matthews_correlation": matthews_correlation,
    "pearson": pearson,
    "spearman": spearman,
}
"""Each score by its key in results; in all of them, more is better."""


def score(names: Sequence[str], *, labels: ArrayLike, predictions: ArrayLike) -> dict[str, float]:
    """Return the scores with the given names, in that order.

    Raises:
        ConfigError: A name is not in `SCORES`.
        DataError: Labels and predictions do not fit each other, or are not numbers.
    """
    for name in names:
        if name not in SCORES:
            raise ConfigError(
                f"unknown metric {name!r}{did_you_mean(name, list(SCORES))}; known: {', '.join(SCORES)}"
            )
    return {name: SCORES[name](labels, predictions) for name in names}


def accuracy_by_group(labels: ArrayLike, predictions: ArrayLike, groups: Sequence[str]) -> dict[str, float]:
    """Return `accuracy` of all, then `accuracy_NAME` of each group, such as `accuracy_middle` of RACE.

    `groups` has the group of each label; results are in the order of their names.

    Raises:
        DataError: The three differ in length or are empty.
    """
    true, predicted = _checked(labels, predictions)
    if len(groups) != len(true):
        raise DataError(
            f"{len(true)} labels and {len(groups)} groups do not fit; name one group for each label"
        )
    names = np.asarray(groups, dtype=object)
    scores = {"accuracy": accuracy(true, predicted)}
    for name in sorted(set(groups)):
        members = names == name
        scores[f"accuracy_{name}"] = accuracy(true[members], predicted[members])
    return scores


def _checked(labels: ArrayLike, predictions: ArrayLike) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    true, predicted = np.asarray(labels), np.asarray(predictions)
    if true.ndim != 1 or true.shape != predicted.shape:
        raise DataError(
            f"labels of shape {true.shape} and predictions of shape {predicted.shape} cannot be compared; "
            "give one prediction for each label"
        )
    if true.size == 0:
        raise DataError("there is nothing to score: no labels were given")
    return true, predicted


def _checked_numbers(
    labels: ArrayLike, predictions: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    true, predicted = (side.astype(np.float64) for side in _checked(labels, predictions))
    for side, numbers in (("label", true), ("prediction", predicted)):
        if not np.isfinite(numbers).all():
            at = int(np.argmin(np.isfinite(numbers)))
            raise DataError(f"{side} {at} is {numbers[at]}, not a finite number; it cannot be scored")
    return true, predicted


def _is_constant(values: NDArray[np.generic]) -> bool:
    return bool((values == values[0]).all())


def _standardized(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = numbers - numbers.mean()
    return centred / np.abs(centred).max()
