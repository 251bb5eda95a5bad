"""The training loop, once, as a generator: whoever iterates sees every step and decides what to do between.

A step takes the micro-batches of one global batch, divides each part of the loss by its count over all of
them (so accumulation equals one large batch), clips, and moves the weights unless something was not finite.
"""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from albert.errors import RunError
from albert.model.losses import LossSum
from albert.optim.clipping import clip_gradients, global_norm
from albert.optim.schedules import Schedule
from albert.training.settings import LoopSettings, autocast_dtype

MAX_SKIPPED_STEPS = 10


class Batch(Protocol):
    """Packed examples, as the loop needs to know them."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Pieces of all sequences end to end, (N,)."""


B_contra = TypeVar("B_contra", bound=Batch, contravariant=True)
BatchT = TypeVar("BatchT", bound=Batch)


class Objective(Protocol, Generic[B_contra]):
    """What is minimised: named parts of a loss, each a mean over its own items."""

    def counts(self, batch: B_contra) -> dict[str, int]:
        """Returns over how many items each part is averaged; known before the model runs."""

    def sums(self, model: Any, batch: B_contra) -> dict[str, LossSum]:
        """Returns each part's sum over the items of `batch`."""


@dataclass(frozen=True, slots=True)
class Score:
    """One part of the loss over some batches."""

    loss: float
    """Mean over its items."""
    accuracy: float | None
    """Share of items predicted right; None for a loss on numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one optimiser step did."""

    number: int
    """Steps done so far, this one included."""
    loss: float
    """Sum of the parts' means."""
    parts: dict[str, Score]
    """Loss and accuracy by part."""
    learning_rate: float
    """Rate of this step."""
    grad_norm: float
    """Global norm of the gradients before clipping."""
    tokens: int
    """Tokens that went through the model."""
    seconds: float
    """Wall-clock of the step, data included."""
    skipped: bool
    """Whether loss or gradients were not finite, so that the weights stayed as they were."""


def train(
    model: nn.Module,
    batches: Iterable[BatchT],
    objective: Objective[BatchT],
    optimizer: Optimizer,
    *,
    learning_rate: Schedule,
    settings: LoopSettings,
    max_grad_norm: float = 1.0,
    steps_done: int = 0,
) -> Iterator[Step]:
    """Trains `model`, and yields after every optimiser step.

    Randomness of a step (dropout) is seeded by the seed and the step's number, so a resumed training
    needs to know only how many steps were done.

    Args:
        model: In training mode while a step runs.
        batches: Micro-batches, `settings.accumulation_steps` of them a step; the end of them is the end.
        objective: The loss.
        optimizer: Its groups' `lr` is set every step.
        learning_rate: Rate of step 0, 1, 2, ...
        settings: Steps, accumulation, precision, seed.
        max_grad_norm: Global norm to clip to.
        steps_done: Steps of earlier runs; `batches` begins behind their examples.

    Raises:
        RunError: Loss or gradients were not finite `MAX_SKIPPED_STEPS` times in a row.
    """
    source = iter(batches)
    device = next(model.parameters()).device
    skipped_in_a_row = 0
    for number in range(steps_done, settings.max_steps):
        start = time.perf_counter()
        micro_batches = list(islice(source, settings.accumulation_steps))
        if not micro_batches:
            return
        torch.manual_seed(_seed_of_step(settings.seed, number))
        model.train()
        rate = learning_rate(number)
        loss, parts = _accumulate(model, micro_batches, objective, _autocast(settings, device))
        norm = global_norm(model.parameters())
        # One wait for the device a step: every number that is looked at, at once.
        grad_norm, *values = torch.stack([norm, loss, *parts.values()]).tolist()
        finite = math.isfinite(grad_norm) and math.isfinite(values[0])
        if finite:
            clip_gradients(model.parameters(), norm, max_norm=max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        skipped_in_a_row = 0 if finite else skipped_in_a_row + 1
        if skipped_in_a_row == MAX_SKIPPED_STEPS:
            raise RunError(
                f"loss or gradients were not finite in {MAX_SKIPPED_STEPS} steps in a row, the last is step "
                f"{number + 1}; no weight was touched: lower --learning-rate or lengthen --warmup-steps"
            )
        yield Step(
            number=number + 1,
            loss=values[0],
            parts=_scores(dict(zip(parts, values[1:], strict=True))),
            learning_rate=rate,
            grad_norm=grad_norm,
            tokens=sum(batch.input_ids.size for batch in micro_batches),
            seconds=time.perf_counter() - start,
            skipped=not finite,
        )


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterable[BatchT], objective: Objective[BatchT], settings: LoopSettings
) -> dict[str, Score]:
    """Returns loss and accuracy of each part over all of `batches`, dropout off."""
    model.eval()
    device = next(model.parameters()).device
    totals: dict[str, float] = {}
    counts: dict[str, int] = {}
    for batch in batches:
        with _autocast(settings, device):
            sums = objective.sums(model, batch)
        for name, count in objective.counts(batch).items():
            counts[name] = counts.get(name, 0) + count
            for key, value in _sums_by_key(name, sums[name]):
                totals[key] = totals.get(key, 0.0) + float(value)
    return _scores({key: total / max(1, counts[key.split("/")[0]]) for key, total in totals.items()})


def _accumulate(
    model: nn.Module,
    batches: list[BatchT],
    objective: Objective[BatchT],
    autocast: AbstractContextManager[object],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Adds up the gradients of one global batch.

    Returns:
        The loss, and each part's mean loss and accuracy by key; scalars.
    """
    counts = [objective.counts(batch) for batch in batches]
    totals = {name: max(1, sum(count[name] for count in counts)) for name in counts[0]}
    parts: dict[str, Tensor] = {}
    for batch in batches:
        with autocast:
            sums = objective.sums(model, batch)
        loss = torch.stack([part.total / totals[name] for name, part in sums.items()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for name, part in sums.items():
            for key, value in _sums_by_key(name, part):
                parts[key] = parts.get(key, 0) + value / totals[name]
    return torch.stack([value for key, value in parts.items() if key.endswith("/loss")]).sum(), parts


def _seed_of_step(seed: int, number: int) -> int:
    """Returns the seed of one step, unrelated to those of its neighbours; NumPy promises it never changes."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> 1)


def _sums_by_key(name: str, part: LossSum) -> Iterator[tuple[str, Tensor]]:
    """Yields the sums of one part as `name/loss` and, where there is one, `name/accuracy`."""
    yield f"{name}/loss", part.total.detach()
    if part.correct is not None:
        yield f"{name}/accuracy", part.correct


def _scores(values: dict[str, float]) -> dict[str, Score]:
    """Returns `name/loss` and `name/accuracy` pairs as one score a name."""
    names = dict.fromkeys(key.split("/")[0] for key in values)
    return {name: Score(values[f"{name}/loss"], values.get(f"{name}/accuracy")) for name in names}


def _autocast(settings: LoopSettings, device: torch.device) -> AbstractContextManager[object]:
    dtype = autocast_dtype(settings.precision, device)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
