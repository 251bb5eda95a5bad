"""Candidates that do the same work, compared with each other and then timed in turns.

On a shared machine absolute seconds mean little: the same code takes 1.5 times as long when another job runs.
So every round runs all candidates of a job, and we report the ratio of two times of the same round. A
candidate whose result differs from the first one's is not timed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from albert.errors import RunError

Outcome = NDArray[np.float64]
"""The numbers by which candidates are compared."""

Run = Callable[[], Outcome]
"""Do the work of a job once."""


class DisagreementError(RunError):
    """Two candidates compute different results, so their times cannot be compared."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to do a job."""

    name: str
    """Implementation and variant, as displayed."""
    make: Callable[[], Run]
    """Builds everything and returns the run; its first call is compared, later calls are timed."""
    tolerance: float | None
    """Largest `distance` of its outcome from the first candidate's; None if it does different work."""
    compiled: bool = False
    """Whether the first run compiles something."""
    measures_memory: bool = False
    """Whether its memory is measured."""
    bounded: bool = True
    """Whether the peak and the lower bound of the job apply to it; they do not apply to int8."""
    note: str = ""
    """How it differs from the others, in a few words."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A speed that was measured once, elsewhere."""

    name: str
    """Implementation, as displayed."""
    tokens_per_second: float
    """As recorded."""
    note: str
    """What was measured, and where."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work to measure and the candidates that do it."""

    name: str
    """What is measured, as displayed."""
    lengths: str = ""
    """Distribution of the sequence lengths; empty if there are no sequences."""
    sequences: int = 0
    """Sequences per run; 0 if there are none."""
    tokens: int = 0
    """Tokens per run without padding; 0 if there are none."""
    flops: int = 0
    """Operations of the matrix products of a run; 0 if there are none."""
    unit: str = "run"
    """What times are reported per: a step, a text."""
    num_units: int = 1
    """Units per run."""
    candidates: Sequence[Candidate]
    """The first is ours; the others are compared with it."""
    lower_bound: str = ""
    """Name of the candidate that no other can be faster than with the same precision."""
    recorded: Sequence[Recorded] = ()
    """Speeds of implementations that cannot run here."""


@dataclass(kw_only=True)
class Timing:
    """Times and distance of one candidate."""

    first_seconds: float
    """Time of the first run, which warms up and compiles."""
    distance: float | None
    """Distance of its outcome from the first candidate's; None if it was not compared."""
    seconds: list[float] = field(default_factory=list)
    """Time of each round."""

    @property
    def median_seconds(self) -> float:
        """Median over the rounds."""
        return median(self.seconds)

    @property
    def compile_seconds(self) -> float:
        """How much longer the first run took than the median."""
        return max(0.0, self.first_seconds - self.median_seconds)


def time_job(job: Job, *, rounds: int, device: torch.device) -> dict[str, Timing]:
    """Compare the candidates of a job, then time them in turns.

    Every round runs all candidates; each round starts with another one.

    Raises:
        DisagreementError: The outcome of a candidate differs by more than its tolerance.
    """
    runs: dict[str, Run] = {}
    timings: dict[str, Timing] = {}
    reference: Outcome | None = None
    for candidate in job.candidates:
        runs[candidate.name] = run = candidate.make()
        first_seconds, outcome = timed(run, device)
        reference = outcome if reference is None else reference
        apart = _check(job, candidate, outcome, reference)
        timings[candidate.name] = Timing(first_seconds=first_seconds, distance=apart)
    names = list(runs)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            timings[name].seconds.append(timed(runs[name], device)[0])
    return timings


def distance(outcome: Outcome, reference: Outcome) -> float:
    """Return the largest |a - b| / (1 + |b|): absolute for small numbers, relative for large ones.

    It is infinite if the shapes differ or a number is not finite.
    """
    if outcome.shape != reference.shape:
        return float("inf")
    apart = np.abs(outcome - reference) / (1 + np.abs(reference))
    return float(apart.max(initial=0.0)) if np.isfinite(apart).all() else float("inf")


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Return the time of one candidate over that of another, round by round."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return {"median": median(ratios), "min": min(ratios), "max": max(ratios)}


def timed(run: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Return the wall-clock seconds of a call, waiting for the device, and what it returned."""
    _wait(device)
    start = time.perf_counter()
    result = run()
    _wait(device)
    return time.perf_counter() - start, result


def _check(job: Job, candidate: Candidate, outcome: Outcome, reference: Outcome) -> float | None:
    if candidate.tolerance is None:
        return None
    apart = distance(outcome, reference)
    if apart > candidate.tolerance:
        raise DisagreementError(
            f"{job.name}: {candidate.name} is {apart:.3g} away from {job.candidates[0].name}, expected at "
            f"most {candidate.tolerance:g}; the results differ, so nothing was timed"
        )
    return apart


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
