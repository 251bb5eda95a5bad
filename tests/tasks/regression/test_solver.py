"""Regression: records, the loss of guessing, collapse."""

import numpy as np
import pytest

from albert.tasks.catalogue import find_task
from albert.tasks.regression.solver import RegressionSolver
from albert.tasks.tables import Example

SOLVER = RegressionSolver()
TASK = find_task("stsb")


def test_a_record_is_the_number() -> None:
    predictions = np.array([[2.5]], np.float32)
    assert list(SOLVER.records(TASK, [Example("x", "y")], predictions)) == [{"score": 2.5}]
    assert SOLVER.shown(TASK, Example("x", "y", 2.5))["label"] == "2.5"


def test_the_loss_of_guessing_the_mean_is_the_variance() -> None:
    examples = [Example("x", "y", number) for number in (1.0, 2.0, 4.5)]
    assert SOLVER.guessing_loss(TASK, examples) == pytest.approx(np.var([1.0, 2.0, 4.5]))
    mean = np.full((3, 1), 2.5, np.float32)
    assert SOLVER.losses(TASK, examples, mean).mean() == pytest.approx(np.var([1.0, 2.0, 4.5]))


@pytest.mark.parametrize(("numbers", "alike"), [([2.5, 2.501, 2.499], True), ([2.4, 2.5, 2.6], False)])
def test_predictions_that_hardly_differ_count_as_alike(numbers: list[float], alike: bool) -> None:
    assert SOLVER.are_all_alike(TASK, np.array(numbers, np.float32)[:, None]) is alike
