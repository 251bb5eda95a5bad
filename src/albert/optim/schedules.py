"""Learning-rate schedules: pure functions of the step, counted from 0.

`decay_from_start` is google-research/albert's. The others are what these names usually mean: the decay starts
when the warm-up ends, and the rate of the first step is above 0.
"""

import math
from collections.abc import Callable
from typing import Literal

from albert.errors import ConfigError

ScheduleName = Literal["decay-from-start", "linear", "cosine", "constant"]
Schedule = Callable[[int], float]


def decay_from_start(
    step: int,
    *,
    peak: float,
    warmup_steps: int,
    train_steps: int,
    power: float = 1.0,
    start_warmup_step: int = 0,
) -> float:
    """Return the learning rate of optimiser step `step`.

    It rises from 0 to `peak` over `warmup_steps`, and then follows the curve from `peak` at step 0 to 0 at
    `train_steps`; so it drops where the two meet, and the first step has rate 0. Before `start_warmup_step`
    it is 0, where the original's was negative.
    Source: `create_optimizer` (optimization.py).
    """
    warming = step - start_warmup_step
    if warming < warmup_steps:
        return peak * max(0, warming) / warmup_steps
    return peak * (1 - min(step, train_steps) / train_steps) ** power


def linear(step: int, *, peak: float, warmup_steps: int, train_steps: int) -> float:
    """Return a rate that rises to `peak` over `warmup_steps`, then falls in a line to 0 at `train_steps`."""
    return peak * min(_rise(step, warmup_steps), 1 - _progress(step, warmup_steps, train_steps))


def cosine(step: int, *, peak: float, warmup_steps: int, train_steps: int) -> float:
    """Return a rate that rises to `peak` over `warmup_steps`, then falls as half a cosine to 0."""
    fall = (1 + math.cos(math.pi * _progress(step, warmup_steps, train_steps))) / 2
    return peak * min(_rise(step, warmup_steps), fall)


def constant(step: int, *, peak: float, warmup_steps: int) -> float:
    """Return a rate that rises to `peak` over `warmup_steps` and stays there."""
    return peak * _rise(step, warmup_steps)


def make_schedule(
    name: ScheduleName,
    *,
    peak: float,
    warmup_steps: int,
    train_steps: int,
    power: float = 1.0,
    start_warmup_step: int = 0,
    long_warmup: bool = False,
) -> Schedule:
    """Return the schedule `name` as a function of the step.

    Args:
        name: Name of the schedule.
        peak: Highest rate.
        warmup_steps: Steps of the warm-up, which ends at the peak.
        train_steps: Steps of the whole training.
        power: Exponent of the decay, for `decay-from-start` only.
        start_warmup_step: Step at which the warm-up starts, for `decay-from-start` only.
        long_warmup: Whether the warm-up may be longer than the training.

    Raises:
        ConfigError: The warm-up is longer than the training, or a schedule other than `original` is given
            `power` or `start_warmup_step`.
    """
    if name != "decay-from-start" and (power != 1.0 or start_warmup_step):
        raise ConfigError(
            "--decay-power and --start-warmup-step apply to --schedule decay-from-start only, "
            f"not to {name}; leave them out"
        )
    if warmup_steps > train_steps and not long_warmup:
        raise ConfigError(f"--warmup-steps {warmup_steps} exceeds --max-steps {train_steps}; shorten it")
    if name == "constant":
        return lambda step: constant(step, peak=peak, warmup_steps=warmup_steps)
    if name == "decay-from-start":
        return lambda step: decay_from_start(
            step,
            peak=peak,
            warmup_steps=warmup_steps,
            train_steps=train_steps,
            power=power,
            start_warmup_step=start_warmup_step,
        )
    curve = linear if name == "linear" else cosine
    return lambda step: curve(step, peak=peak, warmup_steps=warmup_steps, train_steps=train_steps)


def _rise(step: int, warmup_steps: int) -> float:
    """Return the share of the peak that the warm-up has reached, above 0 from the first step."""
    return min(1.0, (step + 1) / (warmup_steps + 1))


def _progress(step: int, warmup_steps: int, train_steps: int) -> float:
    """Return the share of the steps after the warm-up that are done."""
    return min(1.0, max(0, step - warmup_steps) / max(1, train_steps - warmup_steps))
