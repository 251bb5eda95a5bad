"""Learning-rate schedules against the original's and against their definitions."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.errors import ConfigError
from albert.optim.schedules import decay_from_start, make_schedule


def test_twelve_schedules_equal_the_original(golden: Path) -> None:
    stored = np.load(golden / "lr_schedules.npz")
    settings = json.loads(str(stored["schedules_json"]))
    assert len(settings) == 12
    for index, setting in enumerate(settings):
        ours = [
            decay_from_start(
                int(step),
                peak=setting["init_lr"],
                warmup_steps=setting["num_warmup_steps"],
                train_steps=setting["num_train_steps"],
                power=setting["poly_power"],
                start_warmup_step=setting["start_warmup_step"],
            )
            for step in stored[f"steps_{index}"]
        ]
        # Before start_warmup_step the original's rate is negative, ours 0: docs/differences.md.
        expected = np.maximum(stored[f"lr_{index}"], 0)
        np.testing.assert_allclose(ours, expected, atol=6e-7 * setting["init_lr"], rtol=0)


def test_decay_from_start_starts_at_zero_and_drops_where_the_warmup_ends() -> None:
    rate = make_schedule("decay-from-start", peak=1.0, warmup_steps=10, train_steps=100)
    assert rate(0) == 0.0
    assert rate(9) == pytest.approx(0.9)
    assert rate(10) == pytest.approx(0.9)
    assert rate(11) == pytest.approx(0.89)
    assert rate(100) == 0.0


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
def test_common_schedules_start_above_0_and_reach_the_peak(name: str) -> None:
    rate = make_schedule(name, peak=2.0, warmup_steps=4, train_steps=24)  # type: ignore[arg-type]
    assert [rate(step) for step in range(5)] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    middle = {"linear": 1.0, "cosine": 1.0, "constant": 2.0}[name]
    assert rate(14) == pytest.approx(middle)
    assert rate(24) == pytest.approx(2.0 if name == "constant" else 0.0)


@given(
    st.sampled_from(["decay-from-start", "linear", "cosine", "constant"]),
    st.integers(0, 50),
    st.integers(0, 200),
)
def test_a_rate_is_never_negative_and_never_above_the_peak(name: str, warmup_steps: int, step: int) -> None:
    rate = make_schedule(name, peak=1.5, warmup_steps=warmup_steps, train_steps=50)(step)  # type: ignore[arg-type]
    assert 0 <= rate <= 1.5


def test_a_warmup_longer_than_the_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="--warmup-steps 11 exceeds --max-steps 10"):
        make_schedule("decay-from-start", peak=1.0, warmup_steps=11, train_steps=10)


def test_a_warmup_longer_than_the_training_can_be_allowed() -> None:
    rate = make_schedule("decay-from-start", peak=1.0, warmup_steps=100, train_steps=10, long_warmup=True)
    assert [rate(0), rate(9)] == pytest.approx([0.0, 0.09])


def test_power_and_start_of_the_warmup_belong_to_decay_from_start() -> None:
    settings = {"peak": 2.0, "warmup_steps": 2, "train_steps": 10}
    rate = make_schedule("decay-from-start", **settings, power=2.0, start_warmup_step=3)  # type: ignore[arg-type]
    assert [rate(step) for step in (0, 3, 4, 5)] == pytest.approx([0.0, 0.0, 1.0, 0.5])
    for more in ({"power": 2.0}, {"start_warmup_step": 3}):
        with pytest.raises(ConfigError, match="to --schedule decay-from-start only, not to cosine"):
            make_schedule("cosine", **settings, **more)  # type: ignore[arg-type]
