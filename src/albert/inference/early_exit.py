"""Early exit: a classifier that was trained at every depth stops for each text when it is sure.

Texts that are done leave the packed batch after each layer, so the rest computes less. Two rules tell when:
patience, when so many layers in a row found what the one before found (PABEE, Zhou et al. 2020, section 3);
confidence, when the largest probability is high enough. What a rule would do can be told from the logits of
all depths, so one pass over labelled texts gives the scores of every rule.
Letters: B texts, N tokens of all of them, H hidden size, K classes, L layers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from albert.errors import ConfigError
from albert.model.packing import Packing, fill_up, on_device
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.features import TextFeatures, taken_positions
from albert.tasks.solver import groups_of_similar_length
from albert.tasks.texts import logits_at_depths

CONFIDENCES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995)


@dataclass(frozen=True, slots=True)
class ExitRule:
    """When a text is done."""

    kind: Literal["patience", "confidence"]
    """What is looked at."""
    value: float
    """Layers in a row that agree with the one before; or the least probability of the most probable class."""

    @classmethod
    def of(cls, text: str) -> "ExitRule":
        """Read a rule, such as `patience=3` or `confidence=0.9`.

        Raises:
            ConfigError: It is none.
        """
        kind, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if kind == "patience" and value >= 1 and value == int(value):
            return cls("patience", value)
        if kind == "confidence" and 0 < value <= 1:
            return cls("confidence", value)
        raise ConfigError(
            f"--early-exit is {text!r}; expected patience=N with N layers, or confidence=P with a probability"
        )

    def __str__(self) -> str:
        """Return the rule as it is typed."""
        return f"{self.kind}={self.value:g}"

    def is_done(self, logits: Tensor, agreed: Tensor) -> Tensor:
        """Return whether texts are done, (B,), by their logits (B, K) and how often in a row they agreed."""
        if self.kind == "patience":
            return agreed >= self.value
        return logits.float().softmax(-1).amax(-1) >= self.value


class Exits(NamedTuple):
    """What was predicted, and after how many layers."""

    logits: NDArray[np.float32]
    """(B, K)"""
    depths: NDArray[np.int64]
    """(B,)"""


def exit_rules(num_layers: int) -> Iterator[ExitRule]:
    """Yield the rules that are worth comparing."""
    for layers in range(1, num_layers):
        yield ExitRule("patience", layers)
    for confidence in CONFIDENCES:
        yield ExitRule("confidence", confidence)


@torch.inference_mode()
def predict_early(
    model: AlbertForSequenceClassification,
    features: TextFeatures,
    rule: ExitRule,
    *,
    batch_size: int | None = None,
) -> Exits:
    """Return the logits of texts where the rule lets them go.

    Args:
        model: Trained at every depth.
        features: The texts.
        rule: When a text is done.
        batch_size: Texts that are computed together; by default as many as in other predictions.
    """
    found = Exits(
        np.zeros((len(features), model.config.num_labels), np.float32), np.zeros(len(features), np.int64)
    )
    for indices in _batches(features, batch_size):
        logits, depths = _exit_batch(model, features.take(indices), rule)
        found.logits[indices], found.depths[indices] = logits, depths
    return found


def _batches(features: TextFeatures, size: int | None) -> Iterator[NDArray[np.int64]]:
    if size is None:
        yield from groups_of_similar_length(features.lengths)
        return
    order = np.argsort(features.lengths, kind="stable")
    for first in range(0, len(order), size):
        yield order[first : first + size]


def _exit_batch(model: AlbertForSequenceClassification, batch: TextFeatures, rule: ExitRule) -> Exits:
    """Return the exits of texts that are computed together."""
    encoder, num_layers = model.albert.encoder, model.config.num_hidden_layers
    ids, types, lengths = model.packed_inputs(batch)
    packing = Packing.of_lengths(lengths, ids.device)
    x = encoder.first_input(model.albert.embed(ids, types, packing))
    logits = torch.zeros(len(batch), model.config.num_labels, device=ids.device)
    depths = np.full(len(batch), num_layers)
    left = np.arange(len(batch))  # texts that are not done
    agreed = torch.zeros(len(batch), device=ids.device)
    for depth in range(1, num_layers + 1):
        x = encoder.run_layer(x, packing, depth)
        now = model.logits_of_states(x, packing).float()
        places = on_device(left, ids.device)
        if depth > 1:
            same = now.argmax(-1) == logits[places].argmax(-1)
            agreed = torch.where(same, agreed + 1, 0.0)
        logits[places] = now
        done = rule.is_done(now, agreed).cpu().numpy()
        depths[left[done]] = depth
        if done.all():
            break
        if done.any():
            x, packing = _without(x, packing, done)
            left, agreed = left[~done], agreed[on_device(np.flatnonzero(~done), ids.device)]
    return Exits(logits.cpu().numpy(), depths)


def _without(x: Tensor, packing: Packing, done: NDArray[np.bool_]) -> tuple[Tensor, Packing]:
    """Return the states (num_rows, H) and the packing of the texts that are not done."""
    lengths = np.array(packing.lengths)
    kept = np.flatnonzero(~done)
    rows = on_device(taken_positions(lengths, kept), x.device)
    return fill_up(x[rows]), Packing.of_lengths(torch.from_numpy(lengths[kept]), x.device)


@torch.inference_mode()
def logits_of_all_depths(
    model: AlbertForSequenceClassification, features: TextFeatures
) -> NDArray[np.float32]:
    """Return the logits of texts after every layer, (B, L, K)."""
    num_layers = model.config.num_hidden_layers
    found = np.zeros((len(features), num_layers, model.config.num_labels), np.float32)
    model.eval()
    for indices in groups_of_similar_length(features.lengths):
        logits = logits_at_depths(model, features.take(indices), range(1, num_layers + 1))
        found[indices] = torch.stack(logits, 1).float().cpu().numpy()
    return found


def simulated(logits: NDArray[np.float32], rule: ExitRule) -> Exits:
    """Return what `predict_early` finds, from the logits (B, L, K) of all depths."""
    count, num_layers, _ = logits.shape
    depths = np.full(count, num_layers)
    agreed = np.zeros(count)
    choices = logits.argmax(-1)  # (B, L)
    is_left = np.ones(count, bool)
    for depth in range(1, num_layers + 1):
        if depth > 1:
            agreed = np.where(choices[:, depth - 1] == choices[:, depth - 2], agreed + 1, 0)
        done = rule.is_done(torch.from_numpy(logits[:, depth - 1]), torch.from_numpy(agreed)).numpy()
        depths[is_left & done] = depth
        is_left &= ~done
    return Exits(logits[np.arange(count), depths - 1], depths)


def check_early_exit(model: Any, *, kind: str, depths: set[int], name: str) -> None:
    """Refuse early exit for a model that was not trained for it.

    Args:
        model: The model.
        kind: Kind of its task.
        depths: Depths at which it was trained.
        name: The model, for the message.

    Raises:
        ConfigError: Its task is no classification, or it was not trained at every depth.
    """
    if kind != "classification":
        raise ConfigError(
            f"--early-exit: {name} is a model for {kind}; expected classification, one label a text"
        )
    missing = sorted({*range(1, model.config.num_hidden_layers + 1)} - depths)
    if missing:
        raise ConfigError(
            f"--early-exit: {name} was not trained after layer {missing[0]}, where it would guess; train it "
            "with `albert finetune --depths all ...`"
        )
