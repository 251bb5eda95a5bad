"""Operations on lists of tensors, and torch's fused Adam: private operators, each looked up here once.

On a GPU a model's many small tensors cost a kernel each; these operators take all of them at once. Where a
version of torch lacks one, the public operation runs tensor by tensor, with the same numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_AGED = 1e9
"""Steps after which beta to their power is 0, for every beta up to 0.9999999."""


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """Return the L2 norm of each tensor, (len(tensors),)."""
    together = _operator("_foreach_norm")
    found = [torch.linalg.vector_norm(t) for t in tensors] if together is None else together(tensors)
    return torch.stack(found)


def multiply(tensors: Sequence[Tensor], factor: Tensor) -> None:
    """Multiply each tensor by a scalar, in place."""
    together = _operator("_foreach_mul_")
    if together is not None:
        together(tensors, factor)
        return
    for tensor in tensors:
        tensor.mul_(factor)


def add(tensors: Sequence[Tensor], others: Sequence[Tensor], *, factor: float) -> None:
    """Add `factor` times another tensor to each, in place."""
    together = _operator("_foreach_add_")
    if together is not None:
        together(tensors, others, alpha=factor)
        return
    for tensor, other in zip(tensors, others, strict=True):
        tensor.add_(other, alpha=factor)


def add_scaled(tensors: Sequence[Tensor], others: Sequence[Tensor], scales: Tensor, *, factor: float) -> None:
    """Add `factor` times another tensor times its own one of `scales` (a vector) to each, in place."""
    together = _operator("_foreach_addcmul_")
    if together is not None:
        together(tensors, others, list(scales.unbind()), value=factor)
        return
    for tensor, other, scale in zip(tensors, others, scales.unbind(), strict=True):
        tensor.addcmul_(other, scale, value=factor)


def copy(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Overwrite each tensor with another."""
    together = _operator("_foreach_copy_")
    if together is not None:
        together(tensors, others)
        return
    for tensor, other in zip(tensors, others, strict=True):
        tensor.copy_(other)


def adam(
    moved: Sequence[Tensor],
    gradients: Sequence[Tensor],
    moments: tuple[Sequence[Tensor], Sequence[Tensor]],
    *,
    rate: float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> None:
    """Advance both moments, and move `moved` by -rate * (m / (sqrt(v) + eps) + decay * moved), all in place.

    torch's fused kernel does this in one pass over memory. It corrects the bias of the moments by their age;
    an age of `_AGED` switches that off.
    """
    fused = _operator("_fused_adamw_")
    if fused is not None:
        age = torch.full((), _AGED, dtype=torch.float32, device=moved[0].device)
        fused(
            moved, gradients, *moments, [], [age] * len(moved),
            lr=rate, beta1=betas[0], beta2=betas[1], weight_decay=decay, eps=eps, amsgrad=False,
            maximize=False,
        )  # fmt: skip
        return
    for tensor, gradient, m, v in zip(moved, gradients, *moments, strict=True):
        m.lerp_(gradient, 1 - betas[0])
        v.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
        tensor.mul_(1 - rate * decay).addcdiv_(m, v.sqrt().add_(eps), value=-rate)


def _operator(name: str) -> Callable[..., Any] | None:
    """Return a private operator of torch; None where this version has none of this name."""
    found: Callable[..., Any] | None = getattr(torch, name, None)
    return found
