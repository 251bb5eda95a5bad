"""Several processes that train one model together, as torchrun starts them; one process without it.

Every rank has the whole model and computes its part of each global batch. After its last micro-batch the
gradients of all ranks are summed, and every rank takes the same step. There is no `DistributedDataParallel`:
ALBERT's layers share their weights, so their gradients are complete only at the very end of the backward
pass, and a bucketed all-reduce could not overlap with it.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.optim import Optimizer

from albert.errors import ConfigError
from albert.optim import foreach

BUCKET_ELEMENTS = 1 << 23
"""Numbers per message: 32 MB."""
TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for the others, for instance while the first writes a checkpoint."""


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train together, as seen by one of them."""

    rank: int = 0
    """Number of this process."""
    size: int = 1
    """Number of processes."""
    control: Any = None
    """Process group for numbers on the CPU; None for the default group."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and prints messages."""
        return self.rank == 0

    def part(self, count: int) -> int:
        """Return the number of this process's items of `count`."""
        return count * (self.rank + 1) // self.size - count * self.rank // self.size

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return the sum of each number over all ranks, exact for whole numbers up to 2^53."""
        if self.size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor, group=self.control)
        return [float(number) for number in tensor.tolist()]

    def sum_named(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Return the sum of each named number over all ranks; a rank may lack some names."""
        if self.size == 1:
            return dict(numbers)
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, dict(numbers), group=self.control)
        sums: dict[str, float] = {}
        for others in gathered:
            for name, number in others.items():
                sums[name] = sums.get(name, 0.0) + number
        return sums

    def sum_tensor(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all ranks, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum all gradients over all ranks, in place; a parameter without one counts as 0."""
        if self.size == 1:
            return
        bucket: list[Tensor] = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            if sum(gradient.numel() for gradient in bucket) >= BUCKET_ELEMENTS:
                _sum_together(bucket)
                bucket = []
        if bucket:
            _sum_together(bucket)

    def agree(self, value: float) -> float:
        """Return the first rank's `value` on every rank."""
        return self.sum_numbers([value if self.is_first else 0.0])[0]

    def least(self, value: int) -> int:
        """Return the smallest value of all ranks."""
        if self.size == 1:
            return value
        tensor = torch.tensor([value])
        dist.all_reduce(tensor, op=dist.ReduceOp.MIN, group=self.control)
        return int(tensor)

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true on some rank."""
        return self.sum_numbers([float(flag)])[0] > 0

    def share_state(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Copy the first rank's weights and optimiser state to all others, so that only it reads files."""
        if self.size == 1:
            return
        parameters = list(model.parameters())
        for parameter in parameters:
            dist.broadcast(parameter.data, src=0)
        names = [sorted(optimizer.state.get(parameter, {})) for parameter in parameters]
        shared: list[Any] = [names]
        dist.broadcast_object_list(shared, src=0)
        for parameter, keys in zip(parameters, shared[0], strict=True):
            state = optimizer.state[parameter] if keys else {}
            for key in keys:
                state.setdefault(key, torch.empty_like(parameter))
                dist.broadcast(state[key], src=0)

    def wait(self) -> None:
        """Wait until every rank has called this."""
        if self.size > 1:
            dist.barrier(group=self.control)


def is_distributed() -> bool:
    """Return whether torchrun started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun started with this one, for the `with` block.

    Raises:
        ConfigError: The other processes cannot be reached.
    """
    if not is_distributed():
        yield World()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
        # torchrun may keep its store after a restart, with the addresses of ended processes.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = PrefixStore(f"albert/{attempt}", store)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
        control = dist.new_group(backend="gloo", timeout=TIMEOUT) if backend != "gloo" else None
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"cannot join the other processes of torchrun: {reason}") from error
    world = World(dist.get_rank(), dist.get_world_size(), control)
    try:
        yield world
        world.wait()  # no process disconnects while another still communicates
    finally:
        # Destroying a Gloo group may abort the process; its threads end with it (see cli/main.py).
        if backend == "nccl":
            dist.destroy_process_group()


def local_device(device: torch.device) -> torch.device:
    """Return this process's own GPU if `device` is a GPU without a number."""
    if device.type == "cuda" and device.index is None and is_distributed():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


def _sum_together(gradients: list[Tensor]) -> None:
    """Sum some gradients over all ranks in one message."""
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    foreach.copy(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])
