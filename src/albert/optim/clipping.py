"""Clipping gradients to a global norm, as the original did before every update.

Source: `tf.clip_by_global_norm` in `create_optimizer` (optimization.py) of the original.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def global_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Returns the L2 norm over all gradients together, a scalar on their device."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def clip_gradients(parameters: Iterable[Tensor], norm: Tensor, *, max_norm: float) -> None:
    """Scales all gradients by `max_norm / norm` where their global `norm` exceeds `max_norm`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    scale = max_norm / norm.clamp(min=max_norm)
    torch._foreach_mul_(gradients, scale)
