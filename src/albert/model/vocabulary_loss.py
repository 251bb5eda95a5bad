"""Cross-entropy over the vocabulary that never holds the logits of all hidden pieces.

With 30,000 pieces the logits of a large batch are its largest tensor, and their softmax and gradient are as
large again. Here some rows at a time go all the way: logits, loss, and the gradient of the sum, from which
their own logits follow; what stays are the gradients of the states and of the table. So the work is that of
the plain way, and the memory that of `ROWS_AT_ONCE` rows.
Letters: M hidden pieces, R >= M rows of which the last are filling, V vocabulary, E embedding size.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from albert.model.linear import compute_dtype

ROWS_AT_ONCE = 1024
"""Fewer would cost time: the gradient of the table is read and written once for so many rows."""


class VocabularyLoss(NamedTuple):
    """The loss of some hidden pieces."""

    total: Tensor
    """Sum, scalar, float32, with gradient."""
    losses: Tensor
    """Of each piece, (M,), float32, without gradient."""
    correct: Tensor
    """Whether the likeliest piece is the right one, (M,), bool."""


def vocabulary_loss(x: Tensor, table: Tensor, bias: Tensor, labels: Tensor) -> VocabularyLoss:
    """Returns the cross-entropy of `x` times the transposed table plus bias, in the precision of autocast.

    Args:
        x: States, (R, E); rows behind those of the labels are filling.
        table: Embeddings of the pieces, (V, E).
        bias: Of the pieces, (V,).
        labels: Right pieces, (M,).
    """
    if torch.is_grad_enabled():
        # torch leaves it untyped
        return VocabularyLoss(*_Loss.apply(x, table, bias, labels))  # type: ignore[no-untyped-call]
    losses, correct = _pass((x, table, bias), labels, gradients=None)
    return VocabularyLoss(losses.sum(), losses, correct)


class _Gradients(NamedTuple):
    """Of the sum of all losses, by what it depends on."""

    x: Tensor
    table: Tensor
    bias: Tensor


class _Loss(torch.autograd.Function):
    """The same, with the gradients made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, table: Tensor, bias: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        gradients = _Gradients(*map(torch.zeros_like, (x, table, bias)))
        losses, correct = _pass((x, table, bias), labels, gradients=gradients)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(losses, correct)
        return losses.sum(), losses, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        wanted = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        return *(found * gradient if needed else None for found, needed in wanted), None


def _pass(
    inputs: tuple[Tensor, Tensor, Tensor], labels: Tensor, *, gradients: _Gradients | None
) -> tuple[Tensor, Tensor]:
    """Returns loss and correctness of each piece, (M,) both, and fills `gradients` where there are any."""
    dtype, device = compute_dtype(inputs[0]), labels.device
    exact = torch.promote_types(dtype, torch.float32)
    losses = torch.zeros(len(labels), dtype=exact, device=device)
    correct = torch.zeros(len(labels), dtype=torch.bool, device=device)
    with torch.autocast(device.type, enabled=False):
        x, table, bias = (part.to(dtype) for part in inputs)
        for begin in range(0, len(x), ROWS_AT_ONCE):
            rows = slice(begin, begin + ROWS_AT_ONCE)
            own = labels[rows]
            logits = torch.addmm(bias, x[rows], table.t())
            torch.eq(logits[: len(own)].argmax(-1), own, out=correct[rows])
            log_probs = logits.log_softmax(-1, dtype=exact)
            losses[rows] = -log_probs[: len(own)].gather(1, own[:, None]).squeeze(1)
            if gradients is None:
                continue
            change = log_probs.exp_()
            change[len(own) :] = 0
            change[: len(own)].scatter_add_(1, own[:, None], -torch.ones_like(change[: len(own), :1]))
            change = change.to(dtype)
            gradients.x[rows] = change @ table
            gradients.table.add_(change.t() @ x[rows])
            gradients.bias.add_(change.sum(0))
    return losses, correct
