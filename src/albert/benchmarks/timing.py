"""Candidates that do the same work, checked against each other and then timed in turns.

On a shared machine a second tells little: the same code takes half as long again when a neighbour works. So
all candidates of a job take their turns in every round, and what is told is the ratio of two times of one
round. Nothing is timed before its results are equal to the first candidate's.
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
"""What a run found, as far as candidates can be compared by it."""

Run = Callable[[], Outcome]
"""Does the work of a job once."""


class DisagreementError(RunError):
    """Two candidates do not compute the same, so that their times say nothing."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to do the work of a job."""

    name: str
    """Who does it, and how."""
    make: Callable[[], Run]
    """Builds all it takes; the first run of what comes back is compared, later ones are timed."""
    tolerance: float | None
    """How far its outcome may be from the first candidate's, by `distance`; None for other work."""
    compiled: bool = False
    """Whether it compiles something when it first runs."""
    weighed: bool = False
    """Whether its memory is measured."""
    bounded: bool = True
    """Whether the peak and the floor of the job bound it; cheaper numbers they do not."""
    note: str = ""
    """In what it differs from the others, in a few words."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A speed that was measured elsewhere, once."""

    name: str
    """Whose."""
    tokens_per_second: float
    """As recorded."""
    note: str
    """Of what, and where."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some work, and who does it. A variant of ours is one more candidate."""

    name: str
    """What is done."""
    lengths: str = ""
    """Distribution of the sequences' lengths; nothing where there are none."""
    sequences: int = 0
    """Sequences of a run; 0 where there are none."""
    tokens: int = 0
    """Real tokens of a run, padding left out; 0 where there are none."""
    flops: int = 0
    """Operations of the matrix products that a run asks for; 0 where there are none."""
    unit: str = "run"
    """What a run is told by: a step, a text."""
    num_units: int = 1
    """How many of them a run has."""
    candidates: Sequence[Candidate]
    """The first is ours, with which the others are compared."""
    floor: str = ""
    """Name of the candidate that no other can undercut with the same numbers."""
    recorded: Sequence[Recorded] = ()
    """Speeds of others that cannot run here."""


@dataclass(kw_only=True)
class Timing:
    """How one candidate did."""

    first_seconds: float
    """Of the first run, which warms up and compiles."""
    distance: float | None
    """Of its outcome from the first candidate's; None where it was not compared."""
    seconds: list[float] = field(default_factory=list)
    """Of each round."""

    @property
    def median_seconds(self) -> float:
        """The middle one."""
        return median(self.seconds)

    @property
    def compile_seconds(self) -> float:
        """By how much the first run took longer than the others."""
        return max(0.0, self.first_seconds - self.median_seconds)


def time_job(job: Job, *, rounds: int, device: torch.device) -> dict[str, Timing]:
    """Checks the candidates of a job, then runs all of them in every round, each time another one first.

    Raises:
        DisagreementError: An outcome differs by more than the tolerance.
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
    """Returns the largest |a - b| / (1 + |b|) of two outcomes: absolute for small numbers, else relative.

    It is infinite where the shapes differ or a number is not finite.
    """
    if outcome.shape != reference.shape:
        return float("inf")
    apart = np.abs(outcome - reference) / (1 + np.abs(reference))
    return float(apart.max(initial=0.0)) if np.isfinite(apart).all() else float("inf")


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """Returns the time of one candidate over that of another, round by round."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return {"median": median(ratios), "min": min(ratios), "max": max(ratios)}


def timed(run: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Returns the wall-clock seconds of a call, waiting for the device, and what it returned."""
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
            f"most {candidate.tolerance:g}; they do not compute the same, so nothing was timed"
        )
    return apart


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
