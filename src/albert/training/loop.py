"""The training loop, once, as a generator: its caller sees every step and decides what happens in between.

A step takes the micro-batches of one global batch, divides each part of the loss by its number of items in
all of them (so accumulation equals one large batch), adds the parts by weight, clips, and updates the weights
unless something was not finite.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from albert.errors import RunError
from albert.model.losses import LossSum
from albert.optim.optimizers import clip_gradients, global_norm
from albert.optim.schedules import Schedule
from albert.training.devices import autocast_dtype
from albert.training.distributed import World
from albert.training.settings import LoopSettings

MAX_SKIPPED_STEPS = 10


class DivergenceError(RunError):
    """The loss diverged in `step`; what was learnt since the last checkpoint is lost."""

    def __init__(self, message: str, *, step: int) -> None:
        super().__init__(message)
        self.step = step


class Batch(Protocol):
    """Packed examples, as far as the loop reads them."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Tokens of all sequences end to end, (N,)."""


B_contra = TypeVar("B_contra", bound=Batch, contravariant=True)
BatchT = TypeVar("BatchT", bound=Batch)


class Sliced(Protocol):
    """A batch that can be split."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def take(self, begin: int, end: int) -> Self:
        """Return the examples `begin` to `end` (exclusive)."""


SlicedT = TypeVar("SlicedT", bound=Sliced)


class Objective(Protocol, Generic[B_contra]):
    """What is minimised: the sum of named parts, each a mean over its own items times its weight."""

    def counts(self, batch: B_contra) -> Mapping[str, float]:
        """Return the number of items over which each part is averaged, or the sum of their weights.

        They are known before the model runs.
        """

    def sums(self, model: Any, batch: B_contra) -> dict[str, LossSum]:
        """Return each part's sum over the items of `batch`, with its weight."""


@dataclass(frozen=True, slots=True)
class Score:
    """One part of the loss over some batches."""

    loss: float
    """Mean over its items."""
    accuracy: float | None
    """Share of items predicted right; None for losses on numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Report of one optimiser step."""

    number: int
    """Steps done so far, this one included."""
    loss: float
    """Sum of the parts' means, each times its weight."""
    parts: dict[str, Score]
    """Loss and accuracy by part, without weights."""
    learning_rate: float
    """Learning rate of this step."""
    grad_norm: float
    """Global norm of the gradients before clipping."""
    tokens: int
    """Tokens that went through the model, on all ranks."""
    seconds: float
    """Wall-clock of the step, data included."""
    data_seconds: float
    """Part of `seconds` spent waiting for data."""
    skipped: bool
    """Whether loss or gradients were not finite, so that the weights were not updated."""
    stop: bool
    """Whether some rank received a request to stop."""


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
    world: World = World(),
    stop: Callable[[], object] = lambda: False,
) -> Iterator[Step]:
    """Train `model`, and yield after every optimiser step.

    Random numbers of a step (dropout) are seeded by the seed and the step's number, so a resumed training
    needs only the number of steps done.

    Args:
        model: Set to training mode in every step.
        batches: Micro-batches of this rank, `settings.micro_batches(world.size)` of them per step; training
            ends with them.
        objective: What is minimised.
        optimizer: Its groups' `lr` is set in every step.
        learning_rate: Rate of step 0, 1, 2, ...
        settings: Steps, accumulation, precision, seed.
        max_grad_norm: Global norm to clip to.
        steps_done: Steps done before; `batches` starts after their examples.
        world: The processes that train together; their gradients are summed.
        stop: Whether this process was asked to stop; all ranks learn of it in the same step.

    Raises:
        DivergenceError: Loss or gradients were not finite `MAX_SKIPPED_STEPS` times in a row.
    """
    source = iter(batches)
    device = next(model.parameters()).device
    micro_batches_a_step = settings.micro_batches(world.size)
    skipped_in_a_row = 0
    for number in range(steps_done, settings.max_steps):
        start = time.perf_counter()
        micro_batches = list(islice(source, micro_batches_a_step))
        if not micro_batches:
            return
        data_seconds = time.perf_counter() - start
        torch.manual_seed(_seed_of_step(settings.seed, number, world.rank))
        model.train()
        rate = learning_rate(number)
        totals, tokens, stopped = _add_up(micro_batches, objective, world, stopped=bool(stop()))
        autocast = autocast_of(settings, device)
        loss, parts = _accumulate(model, micro_batches, objective, totals, autocast=autocast, world=world)
        norm = global_norm(model.parameters())
        # One wait for the device per step: all numbers at once.
        grad_norm, *values = torch.stack([norm, loss, *parts.values()]).tolist()
        finite = math.isfinite(grad_norm) and math.isfinite(values[0])
        if finite:
            clip_gradients(model.parameters(), norm, max_norm=max_grad_norm)
            _update(optimizer, rate)
        optimizer.zero_grad(set_to_none=True)
        skipped_in_a_row = 0 if finite else skipped_in_a_row + 1
        _check_skipped(skipped_in_a_row, step=number + 1)
        yield Step(
            number=number + 1,
            loss=values[0],
            parts=_scores(dict(zip(parts, values[1:], strict=True))),
            learning_rate=rate,
            grad_norm=grad_norm,
            tokens=tokens,
            seconds=time.perf_counter() - start,
            data_seconds=data_seconds,
            skipped=not finite,
            stop=stopped,
        )


def _update(optimizer: Optimizer, rate: float) -> None:
    """Take an optimiser step at a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def _check_skipped(in_a_row: int, *, step: int) -> None:
    """Raise DivergenceError when too many steps in a row were skipped."""
    if in_a_row == MAX_SKIPPED_STEPS:
        raise DivergenceError(
            f"loss or gradients were not finite in {MAX_SKIPPED_STEPS} steps in a row, up to step {step}; "
            "the weights are unchanged since: lower --learning-rate or lengthen --warmup-steps",
            step=step,
        )


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[BatchT],
    objective: Objective[BatchT],
    settings: LoopSettings,
    world: World = World(),
) -> dict[str, Score]:
    """Return the loss and accuracy of each part over all ranks' `batches`, with dropout off."""
    model.eval()
    device = next(model.parameters()).device
    totals: dict[str, float] = {}
    counts: dict[str, float] = {}
    for batch in batches:
        with autocast_of(settings, device):
            sums = objective.sums(model, batch)
        for name, count in objective.counts(batch).items():
            counts[name] = counts.get(name, 0) + count
            for key, value in _sums_by_key(name, sums[name]):
                totals[key] = totals.get(key, 0.0) + float(value)
    totals, all_counts = world.sum_named(totals), world.sum_named(counts)
    return _scores({key: total / (all_counts[key.split("/")[0]] or 1) for key, total in totals.items()})


def in_micro_batches(batches: Iterable[SlicedT], count: int) -> Iterator[SlicedT]:
    """Yield each batch as `count` micro-batches of nearly equal size, some of them empty if it is small."""
    for batch in batches:
        bounds = [len(batch) * number // count for number in range(count + 1)]
        for begin, end in pairwise(bounds):
            yield batch.take(begin, end)


def _add_up(
    batches: list[BatchT], objective: Objective[BatchT], world: World, *, stopped: bool
) -> tuple[dict[str, float], int, bool]:
    """Return each part's number of items on all ranks, the number of tokens, and whether to stop."""
    counts = [objective.counts(batch) for batch in batches]
    names = list(counts[0])
    own = [sum(count[name] for count in counts) for name in names]
    tokens = sum(batch.input_ids.size for batch in batches)
    *sums, all_tokens, stops = world.sum_numbers([*own, tokens, float(stopped)])
    return {name: x or 1.0 for name, x in zip(names, sums, strict=True)}, int(all_tokens), stops > 0


def _accumulate(
    model: nn.Module,
    batches: list[BatchT],
    objective: Objective[BatchT],
    totals: dict[str, float],
    *,
    autocast: AbstractContextManager[object],
    world: World,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum the gradients of one global batch, over micro-batches and ranks.

    Returns:
        The loss, and each part's mean loss and accuracy by key; scalars.
    """
    parts: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    for batch in batches:
        if not batch.input_ids.size:
            continue
        with autocast:
            sums = objective.sums(model, batch)
        loss = torch.stack([part.weight * (part.total / totals[name]) for name, part in sums.items()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for name, part in sums.items():
            weights[f"{name}/loss"] = part.weight
            for key, value in _sums_by_key(name, part):
                parts[key] = parts.get(key, 0) + value / totals[name]
    world.sum_gradients(model.parameters())
    means = world.sum_tensor(torch.stack(list(parts.values())))
    parts = dict(zip(parts, means.unbind(), strict=True))
    return torch.stack([weight * parts[key] for key, weight in weights.items()]).sum(), parts


def _seed_of_step(seed: int, number: int, rank: int) -> int:
    """Return the seed of a rank's step, unrelated to all others; NumPy guarantees that it never changes."""
    entropy = (seed, number, rank) if rank else (seed, number)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def _sums_by_key(name: str, part: LossSum) -> Iterator[tuple[str, Tensor]]:
    """Yield the sums of one part as `name/loss` and, if it has one, `name/accuracy`."""
    yield f"{name}/loss", part.total.detach()
    if part.correct is not None:
        yield f"{name}/accuracy", part.correct


def _scores(values: dict[str, float]) -> dict[str, Score]:
    """Return `name/loss` and `name/accuracy` pairs as one score a name."""
    names = dict.fromkeys(key.split("/")[0] for key in values)
    return {name: Score(values[f"{name}/loss"], values.get(f"{name}/accuracy")) for name in names}


def autocast_of(settings: LoopSettings, device: torch.device) -> AbstractContextManager[object]:
    """Return the `with` block in which a model runs on `device` in the precision of the settings."""
    dtype = autocast_dtype(settings.precision, device)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
