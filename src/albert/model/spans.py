"""Answers as spans of the text: where they start, where they end, and whether there is one.

Logits are computed for real tokens only. Positions of answers count in rows, one row per sequence, and
`AnswerRows` moves logits there. A position that cannot be an answer has the logit -1e30, as in the original,
and so has a cell without a token; so the probabilities of a row do not depend on its padding.
Letters: N tokens of the packed batch, B sequences, T columns of the rows, H hidden size.
Source: `create_v1_model` and `create_v2_model` (squad_utils.py) of the original, whose second model is
XLNet's (Yang et al. 2019).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.model.linear import all_plain
from albert.model.losses import IGNORED_LABEL, LossSum, cross_entropy_sum
from albert.model.packing import Packing, unpack

NEVER = -1e30


@dataclass(frozen=True, slots=True)
class AnswerRows:
    """Rows in which positions of answers count, and where the packed tokens are in them."""

    cells: Tensor
    """Flat index of each token in the rows, (N,), ascending."""
    starts: Tensor
    """Index of the first token, [CLS], of each sequence, (B,)."""
    shape: tuple[int, int]
    """(B, T)"""

    @classmethod
    def of_packing(cls, packing: Packing) -> "AnswerRows":
        """Make rows as long as the longest sequence; position 0 is [CLS]."""
        cells = packing.cells[: packing.num_tokens]
        return cls(cells, packing.starts, (len(packing.lengths), packing.max_length))

    def spread(self, logits: Tensor) -> Tensor:
        """Return `logits` of the tokens (N, ...) in rows (B, T, ...), float32; -1e30 without a token."""
        rows = logits.new_full((self.shape[0] * self.shape[1], *logits.shape[1:]), NEVER, dtype=torch.float32)
        rows = rows.index_copy(0, self.cells, logits.float())  # (N, ...) -> (B * T, ...)
        return rows.view(*self.shape, *logits.shape[1:])  # (B, T, ...)

    def sequences(self) -> Tensor:
        """Return the sequence of each token, (N,)."""
        return self.cells // self.shape[1]

    def tokens_at(self, positions: Tensor) -> Tensor:
        """Return the packed index (B, n) of the tokens at `positions` (B, n); that of [CLS] outside a row."""
        tokens = self.starts.repeat_interleave(self.shape[1])  # (B,) -> (B * T,)
        tokens = tokens.index_copy(0, self.cells, torch.arange(len(self.cells), device=tokens.device))
        inside = positions < self.shape[1]
        found = tokens.view(self.shape).gather(1, positions.where(inside, 0))
        return found.where(inside, self.starts[:, None])


class StartLogits(nn.Module):
    """Logits of each token as the start of an answer."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,) for `x` (N, H)."""
        return self.dense(x).squeeze(-1)


class EndLogits(nn.Module):
    """Logits of each token as the end of an answer, given the start."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense_0 = nn.Linear(2 * config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dense_1 = nn.Linear(config.hidden_size, 1)

    def forward(self, x: Tensor, starts: Tensor, sequences: Tensor) -> Tensor:
        """Return logits (N, n) for `x` (N, H), states of n starts (B, n, H), and the tokens' sequences (N,).

        The weight multiplies [token, start]. Its halves are applied separately, so that neither product is
        computed for every pair.
        """
        if not all_plain([self.dense_0]):
            given = starts[sequences]  # (N, n, H)
            pairs = torch.cat([x[:, None].expand_as(given), given], dim=-1)  # (N, n, 2H)
            hidden = torch.tanh(self.dense_0(pairs))
            return self.dense_1(self.LayerNorm(hidden)).squeeze(-1)
        of_token, of_start = self.dense_0.weight.chunk(2, dim=1)  # (H, 2H) -> two of (H, H)
        given = F.linear(starts, of_start, self.dense_0.bias)
        hidden = torch.tanh(F.linear(x, of_token)[:, None] + given[sequences])  # (N, n, H)
        return self.dense_1(self.LayerNorm(hidden)).squeeze(-1)


class AnswerClass(nn.Module):
    """Logits of having no answer: above 0 where no answer is more probable than one."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense_0 = nn.Linear(2 * config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.dense_1 = nn.Linear(config.hidden_size, 1, bias=False)

    def forward(self, x: Tensor, start_logits: Tensor, rows: AnswerRows) -> Tensor:
        """Return logits (B,) for `x` (N, H) and the logits of starts (B, T).

        Inputs are the states of the tokens, averaged by their probability as starts, and the state of [CLS].
        """
        probabilities = start_logits.softmax(-1).to(x.dtype)
        average = (probabilities[:, None] @ unpack(x, rows.cells, rows.shape)).squeeze(1)  # (B, H)
        hidden = torch.tanh(self.dense_0(torch.cat([average, x[rows.starts]], dim=-1)))
        return self.dense_1(self.dropout(hidden)).squeeze(-1)


def most_probable(log_probs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` highest values (..., count) of `log_probs` (..., T) and their positions.

    Equal values keep their order, as in TensorFlow. If T is less than `count`, positions after the row
    follow, with -1e30.
    """
    filled = F.pad(log_probs, (0, max(0, count - log_probs.shape[-1])), value=NEVER)
    values, positions = filled.sort(dim=-1, descending=True, stable=True)
    return values[..., :count], positions[..., :count]


def labels_of_positions(positions: Tensor, num_columns: int) -> Tensor:
    """Return `positions` (B,) as labels: those outside the row become -100, to be ignored."""
    return positions.masked_fill((positions < 0) | (positions >= num_columns), IGNORED_LABEL)


def span_loss_sum(logits: tuple[Tensor, Tensor], positions: tuple[Tensor, Tensor]) -> LossSum:
    """Return the sum over sequences of the mean of the start's and the end's cross-entropy.

    Args:
        logits: Logits of starts and of ends, (B, T) each.
        positions: Positions of starts and of ends, (B,) each.
    """
    labels = [labels_of_positions(where, logits[0].shape[1]) for where in positions]
    start, end = (cross_entropy_sum(edge, label) for edge, label in zip(logits, labels, strict=True))
    right = [edge.detach().argmax(-1) == label for edge, label in zip(logits, labels, strict=True)]
    return LossSum((start.total + end.total) / 2, (right[0] & right[1]).sum())


def answerability_loss_sum(cls_logits: Tensor, is_impossible: Tensor) -> LossSum:
    """Return half the summed cross-entropy of `cls_logits` (B,) against `is_impossible` (B,), 1: no answer.

    The original adds this half to the loss of the span.
    """
    labels = is_impossible.float()
    total = F.binary_cross_entropy_with_logits(cls_logits.float(), labels, reduction="sum") / 2
    return LossSum(total, ((cls_logits.detach() > 0) == (labels > 0)).sum())
