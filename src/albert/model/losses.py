"""Losses as sums with their counts, so that the mean can be taken over more than one batch.

A mean over the masked tokens of a global batch is not the mean of its parts' means: micro-batches and
ranks mask different numbers of tokens. So a loss is a `LossSum`, and whoever knows the total divides.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

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
