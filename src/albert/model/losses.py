"""Losses: sums over items, and two over the vocabulary that never hold the logits of all masked tokens.

With a vocabulary of 30,000 the logits of a large batch are its largest tensor, and their softmax and gradient
are as large again. Here `ROWS_AT_ONCE` rows at a time go all the way: logits, loss, and the gradient of the
sum; only the gradients of the states and of the table are kept. The work is that of the plain computation,
the memory that of those rows.
Letters: M masked tokens, N >= M rows of which the last are filling, V vocabulary, E embedding size, K labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from albert.errors import DataError
from albert.model.linear import compute_dtype
from albert.model.packing import check_shape

IGNORED_LABEL = -100


@dataclass(frozen=True, slots=True)
class LossSum:
    """One part of a loss over one batch, before division by its number of items."""

    total: Tensor
    """Sum over the items, scalar, float32, with gradient."""
    correct: Tensor | None
    """Number of items predicted right, or the sum of their weights, scalar, without gradient; None for losses
    on numbers."""
    weight: float = 1.0
    """Weight of the part's mean in the loss; 0 for a part that is only reported."""


def cross_entropy_sum(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> LossSum:
    """Return the summed cross-entropy of `logits` (B, K) against `labels` (B,), ignoring -100.

    Given `weights` (K,), loss and correctness of an item are multiplied by the weight of its label.
    """
    total = F.cross_entropy(logits.float(), labels, weights, ignore_index=IGNORED_LABEL, reduction="sum")
    is_correct = logits.detach().argmax(-1) == labels
    return LossSum(total, (is_correct if weights is None else is_correct * weights[labels]).sum())


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the labels that are not -100; 0 if there are none."""
    return cross_entropy_sum(logits, labels).total / (labels >= 0).sum().clamp(min=1)


def class_labels(labels: Tensor, rows: int) -> Tensor:
    """Return class numbers of shape (B,) or (B, 1) as (B,).

    Raises:
        DataError: They have another shape, or are not whole numbers.
    """
    check_shape("labels", labels, (rows,), (rows, 1))
    if labels.is_floating_point():
        raise DataError(
            "labels are real numbers; expected class numbers, or problem_type regression or "
            "multi_label_classification"
        )
    return labels.flatten().long()


def squared_error_sum(scores: Tensor, labels: Tensor) -> LossSum:
    """Return the summed squared error of `scores` (B,) against real `labels` (B,)."""
    return LossSum(F.mse_loss(scores.float(), labels.float(), reduction="sum"), None)


ROWS_AT_ONCE = 1024
"""Fewer would cost time: the gradient of the table is read and written once per slice."""


class VocabularyLoss(NamedTuple):
    """A loss over the vocabulary, for M masked tokens."""

    total: Tensor
    """Sum, scalar, float32, with gradient."""
    losses: Tensor
    """Loss of each token, (M,), float32, without gradient."""
    correct: Tensor
    """Whether the most probable token is the right one, (M,), bool."""


class Projection(NamedTuple):
    """Logits (N, V) before they are computed: states, to be multiplied by a transposed table, and a bias."""

    x: Tensor
    """States, (N, E)."""
    table: Tensor
    """Embeddings of the vocabulary, (V, E)."""
    bias: Tensor
    """(V,)"""


def vocabulary_loss(x: Tensor, table: Tensor, bias: Tensor, labels: Tensor) -> VocabularyLoss:
    """Return the cross-entropy of logits over the vocabulary, in the precision of autocast.

    Args:
        x: States, (N, E); rows after those of the labels are filling.
        table: Embeddings of the vocabulary, (V, E).
        bias: One number per token of the vocabulary, (V,).
        labels: The right tokens, (M,); none is ignored.
    """
    return _vocabulary_loss(Projection(x, table, bias), _Labels(labels))


def distillation_loss(
    student: Projection, teacher: Projection, count: int, *, temperature: float = 1.0
) -> VocabularyLoss:
    """Return the divergence of the student's distribution over the vocabulary from the teacher's.

    The loss of a token is temperature^2 * KL(teacher || student), both softened by the temperature: the
    factor keeps the size of gradients. A token is correct if both find the same token most probable.
    Source: Hinton et al. (2015), section 2.

    Args:
        student: Receives gradients.
        teacher: Its states may have another width; it receives no gradient.
        count: Masked tokens, M; rows after them are filling.
        temperature: Above 1 the distributions become flatter.
    """
    return _vocabulary_loss(student, _Teacher(teacher, count, temperature))


class _Labels:
    """Right tokens (M,) as targets."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels
        self.count = len(labels)

    def compare(
        self, logits: Tensor, rows: slice, *, needs_gradient: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return losses and correctness of some rows' tokens, (M,), and the gradient of `logits` (N, V)."""
        labels = self.labels[rows]
        correct = logits[: len(labels)].argmax(-1) == labels
        log_probs = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        losses = -log_probs[: len(labels)].gather(1, labels[:, None]).squeeze(1)  # (M, V) -> (M,)
        if not needs_gradient:
            return losses, correct, None
        change = log_probs.exp_()  # In place: two tensors of this size would double the memory.
        change[: len(labels)].scatter_add_(1, labels[:, None], -torch.ones_like(change[: len(labels), :1]))
        return losses, correct, change


class _Teacher:
    """A teacher's distributions as targets."""

    def __init__(self, projection: Projection, count: int, temperature: float) -> None:
        dtype = compute_dtype(projection.x)
        self.x, self.table, self.bias = (part.detach().to(dtype) for part in projection)
        self.count, self.temperature = count, temperature

    def compare(
        self, logits: Tensor, rows: slice, *, needs_gradient: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return losses and agreement of some rows' tokens, (M,), and the gradient of `logits` (N, V)."""
        count = max(0, min(rows.stop, self.count) - rows.start)
        exact = torch.promote_types(logits.dtype, torch.float32)
        expected = torch.addmm(self.bias, self.x[rows], self.table.t())  # (N, E of the teacher) -> (N, V)
        agrees = expected[:count].argmax(-1) == logits[:count].argmax(-1)
        expected = (expected.to(exact) / self.temperature).log_softmax(-1)
        log_probs = (logits.to(exact) / self.temperature).log_softmax(-1)
        probs = expected.exp()
        losses = self.temperature**2 * (probs * (expected - log_probs))[:count].sum(-1)  # (M, V) -> (M,)
        if not needs_gradient:
            return losses, agrees, None
        # d KL / d logits = (student - teacher) / temperature, times temperature^2.
        change = log_probs.exp_().sub_(probs).mul_(self.temperature)
        return losses, agrees, change


_Targets = _Labels | _Teacher


def _vocabulary_loss(student: Projection, targets: _Targets) -> VocabularyLoss:
    """Return the loss of a projection against targets, with gradient if gradients are enabled."""
    if torch.is_grad_enabled():
        # torch leaves it untyped
        return VocabularyLoss(*_Loss.apply(*student, targets))  # type: ignore[no-untyped-call]
    losses, correct = _pass(student, targets, gradients=None)
    return VocabularyLoss(losses.sum(), losses, correct)


class _Gradients(NamedTuple):
    """Gradients of the sum of all losses; None for what needs none."""

    x: Tensor | None
    table: Tensor | None
    bias: Tensor | None


class _Loss(torch.autograd.Function):
    """The loss of a projection, whose gradients are computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, table: Tensor, bias: Tensor, targets: _Targets
    ) -> tuple[Tensor, Tensor, Tensor]:
        inputs = Projection(x, table, bias)
        needed = zip(inputs, ctx.needs_input_grad, strict=False)
        gradients = _Gradients(*(torch.zeros_like(part) if needs else None for part, needs in needed))
        losses, correct = _pass(inputs, targets, gradients=gradients)
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(losses, correct)
        return losses.sum(), losses, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        return *(None if found is None else found * gradient for found in ctx.saved_tensors), None


def _pass(student: Projection, targets: _Targets, *, gradients: _Gradients | None) -> tuple[Tensor, Tensor]:
    """Return loss and correctness of each token, (M,) both, and fill `gradients` if there are any."""
    dtype, device = compute_dtype(student.x), student.x.device
    losses = torch.zeros(targets.count, dtype=torch.promote_types(dtype, torch.float32), device=device)
    correct = torch.zeros(targets.count, dtype=torch.bool, device=device)
    with torch.autocast(device.type, enabled=False):
        x, table, bias = (part.to(dtype) for part in student)
        for rows in _slices(len(x)):
            logits = torch.addmm(bias, x[rows], table.t())  # (N, E) -> (N, V)
            losses[rows], correct[rows], change = targets.compare(
                logits, rows, needs_gradient=gradients is not None
            )
            del logits  # Otherwise they would still exist when the next rows have theirs.
            if gradients is not None and change is not None:
                change[max(0, targets.count - rows.start) :] = 0  # Filling.
                _add_gradients(gradients, change.to(dtype), (x, table), rows=rows)
            del change
    return losses, correct


def _slices(num_rows: int) -> Iterator[slice]:
    """Yield the rows that are computed at once."""
    for begin in range(0, num_rows, ROWS_AT_ONCE):
        yield slice(begin, begin + ROWS_AT_ONCE)


def _add_gradients(
    gradients: _Gradients, change: Tensor, factors: tuple[Tensor, Tensor], *, rows: slice
) -> None:
    """Add the gradients of some rows, given those of their logits (N, V)."""
    x, table = factors
    if gradients.x is not None:
        gradients.x[rows] = change @ table  # (N, V) @ (V, E) -> (N, E)
    if gradients.table is not None:
        gradients.table.add_(change.t() @ x[rows])  # (V, N) @ (N, E) -> (V, E)
    if gradients.bias is not None:
        gradients.bias.add_(change.sum(0))  # (N, V) -> (V,)
