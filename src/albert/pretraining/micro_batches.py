"""Finds how many examples go through a model at once before memory runs out."""

from collections.abc import Callable

import torch

from albert.training.distributed import World

CPU_MICRO_BATCH = 64
"""A CPU gains nothing from more, and cannot be asked what fits: the system would end the process."""


def largest_micro_batch(
    try_examples: Callable[[int], object], *, batch_size: int, device: torch.device, world: World
) -> int:
    """Return the largest divisor of the batch size that goes through the model on every rank.

    Args:
        try_examples: Runs so many of the longest examples forward and backward.
        batch_size: Examples of a step, on all ranks.
        device: Where; on a CPU nothing is tried.
        world: All ranks; the least of what they find counts.

    Raises:
        torch.OutOfMemoryError: Not even one example fits.
    """
    limit = -(-batch_size // world.size)
    fitting = min(limit, CPU_MICRO_BATCH) if device.type == "cpu" else _probe(try_examples, limit)
    fitting = world.least(fitting)
    return max(size for size in range(1, fitting + 1) if batch_size % size == 0)


def _probe(try_examples: Callable[[int], object], limit: int) -> int:
    """Double the number of examples until they no longer fit."""
    try_examples(1)
    fitting = 1
    while fitting < limit:
        asked = min(limit, 2 * fitting)
        try:
            try_examples(asked)
        except torch.OutOfMemoryError:
            break
        finally:
            torch.cuda.empty_cache()
        fitting = asked
    return fitting
