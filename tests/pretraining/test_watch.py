"""Watching the losses: leaps and plateaus."""

import math

import numpy as np
import pytest

from albert.pretraining.watch import LEAP_STEPS, PLATEAU_STEPS, LeapWatch, PlateauWatch
from albert.training.loop import DivergenceError, Score, Step


def step(number: int, loss: float, *, order: float = 0.5, skipped: bool = False) -> Step:
    parts = {"masked_lm": Score(loss, 0.1), "sentence_order": Score(order, 0.5)}
    return Step(
        number=number, loss=loss, parts=parts, learning_rate=1e-3, grad_norm=1.0, tokens=10, seconds=1.0,
        data_seconds=0.0, skipped=skipped, stop=False,
    )  # fmt: skip


def test_noise_and_a_single_bad_batch_are_no_leap() -> None:
    watch, random = LeapWatch(), np.random.default_rng(0)
    for number in range(1000):
        loss = 20.0 if number % 97 == 60 else 5 + 0.1 * random.standard_normal()
        watch.add(step(number, loss))
        assert watch.calm == (loss < 20 or number < 60)


def test_a_falling_loss_is_no_leap() -> None:
    watch = LeapWatch()
    for number in range(2000):
        watch.add(step(number, 9 * math.exp(-number / 100) + 1))
        assert watch.calm


def test_a_loss_that_leaps_and_stays_is_a_divergence() -> None:
    watch, random = LeapWatch(), np.random.default_rng(0)
    for number in range(60):
        watch.add(step(number, 5 + 0.1 * random.standard_normal()))
    for number in range(60, 60 + LEAP_STEPS - 1):
        watch.add(step(number, 7.5))
    with pytest.raises(DivergenceError, match=r"leapt from 5\.0\d\d to 7\.500 .* step 99"):
        watch.add(step(99, 7.5))


def test_large_losses_at_the_start_are_no_leap() -> None:
    watch = LeapWatch()
    for number, loss in enumerate([9, 15, 30, 12, 11] * 9):
        watch.add(step(number, loss))
        assert watch.calm


def warnings_at(loss: float, order: float, *, steps: int = PLATEAU_STEPS) -> list[str]:
    watch = PlateauWatch()
    found: list[str] = []
    for number in range(1, steps + 1):
        found += watch.add(step(number, loss, order=order), unigram_entropy=lambda: 6.3)
    return found


def test_a_plateau_is_reported_once_with_its_usual_causes() -> None:
    both = warnings_at(6.35, 0.6931, steps=PLATEAU_STEPS + 500)
    assert [warning.split(" is ")[0].split("the ")[1] for warning in both] == [
        "masked LM loss",
        "sentence-order loss",
    ]
    assert all("usual causes" in warning for warning in both)


def test_learning_gives_no_warning() -> None:
    assert warnings_at(5.0, 0.6) == []
    assert warnings_at(6.35, 0.69, steps=PLATEAU_STEPS - 1) == []


def test_a_loss_without_any_order_is_no_plateau_of_order() -> None:
    assert warnings_at(5.0, 0.0) == []
