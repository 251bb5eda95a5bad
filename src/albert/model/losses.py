"""Cross-entropy over the vocabulary that never holds the logits of all hidden pieces.

With 30,000 pieces the logits of a large batch are its largest tensor, and their softmax and gradient are as
large again. Here some rows at a time go all the way: logits, loss, and the gradient of the sum, from which
their own logits follow; what stays are the gradients of the states and of the table. So the work is that of
the plain way, and the memory that of `ROWS_AT_ONCE` rows.
Letters: M hidden pieces, R >= M rows of which the last are filling, V vocabulary, E embedding size.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from albert.model.linear import compute_dtype

IGNORED_LABEL = -100


@dataclass(frozen=True, slots=True)
class LossSum:
    """One part of a loss over one batch, before division."""

    total: Tensor
    """Sum over the items, scalar, float32, with gradient."""
    correct: Tensor | None
    """How many items were predicted right, scalar, without gradient; None where none can be."""


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> LossSum:
    """Returns the summed cross-entropy of `logits` (M, K) against `labels` (M,), labels of -100 left out."""
    total = F.cross_entropy(logits.float(), labels, ignore_index=IGNORED_LABEL, reduction="sum")
    return LossSum(total, (logits.detach().argmax(-1) == labels).sum())


def squared_error_sum(scores: Tensor, labels: Tensor) -> LossSum:
    """Returns the summed squared error of `scores` (B,) against real `labels` (B,)."""
    return LossSum(F.mse_loss(scores.float(), labels.float(), reduction="sum"), None)


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
        labels: Right pieces, (M,); none is left out.
    """
    if torch.is_grad_enabled():
        # torch leaves it untyped
        return VocabularyLoss(*_Loss.apply(x, table, bias, labels))  # type: ignore[no-untyped-call]
    losses, correct = _pass((x, table, bias), labels, gradients=None)
    return VocabularyLoss(losses.sum(), losses, correct)


class _Gradients(NamedTuple):
    """Of the sum of all losses, by what it depends on; None where nobody asks."""

    x: Tensor | None
    table: Tensor | None
    bias: Tensor | None


class _Loss(torch.autograd.Function):
    """The same, with the gradients made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, table: Tensor, bias: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        inputs = (x, table, bias)
        asked = zip(inputs, ctx.needs_input_grad, strict=False)
        gradients = _Gradients(*(torch.zeros_like(part) if needed else None for part, needed in asked))
        losses, correct = _pass(inputs, labels, gradients=gradients)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(losses, correct)
        return losses.sum(), losses, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        return *(None if found is None else found * gradient for found in ctx.saved_tensors), None


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
            log_probs, correct[rows] = _predict(x[rows], table, bias, own)
            losses[rows] = -log_probs[: len(own)].gather(1, own[:, None]).squeeze(1)
            if gradients is not None:
                _add_gradients(gradients, log_probs, (x, table), own, rows=rows)
            del log_probs  # else it is still there when the next rows have theirs
    return losses, correct


def _predict(x: Tensor, table: Tensor, bias: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns log-probabilities of some rows (R, V), at least float32, and whether they are right, (M,)."""
    logits = torch.addmm(bias, x, table.t())
    correct = logits[: len(labels)].argmax(-1) == labels
    return logits.log_softmax(-1, dtype=torch.promote_types(x.dtype, torch.float32)), correct


def _add_gradients(
    gradients: _Gradients, log_probs: Tensor, factors: tuple[Tensor, Tensor], labels: Tensor, *, rows: slice
) -> None:
    """Adds the gradients of some rows, whose log-probabilities (R, V) are used up."""
    x, table = factors
    change = log_probs.exp_()
    change[len(labels) :] = 0
    change[: len(labels)].scatter_add_(1, labels[:, None], -torch.ones_like(change[: len(labels), :1]))
    change = change.to(x.dtype)
    if gradients.x is not None:
        gradients.x[rows] = change @ table
    if gradients.table is not None:
        gradients.table.add_(change.t() @ x[rows])
    if gradients.bias is not None:
        gradients.bias.add_(change.sum(0))
