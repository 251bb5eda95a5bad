"""What pretraining minimises: weighted parts, each after some number of layers, with room for a teacher.

By default there are two parts, the original's: masked LM and sentence order, both after the last layer. A
part sees one micro-batch through a `View`: the hidden states of the model at every depth, and those of the
teacher if there is one. So a new loss is a new part, and neither the loop nor the model changes.
`make_objective` and `make_held_out_objective` are the only places where parts are put together.
Letters: B sequences, M masked tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from albert.config import AlbertConfig
from albert.conversion.depth import depths_of
from albert.data.batches import NO_ORDER_LABEL, IntArray, PretrainingBatch
from albert.model.flops import encoder_flops, masked_lm_flops, num_parameters, pretraining_flops
from albert.model.language_models import AlbertForPreTraining, HeadStates
from albert.model.losses import LossSum, VocabularyLoss, cross_entropy_sum, distillation_loss, vocabulary_loss
from albert.model.packing import on_device
from albert.pretraining.settings import ObjectiveSettings

LENGTH_CLASSES = ((1, 64), (65, 128), (129, 256), (257, 512))
"""Tokens of the shortest and the longest sequence of each class of the evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A model to learn from, which stays as it is."""

    model: AlbertForPreTraining
    """Of the student's vocabulary; any shape."""

    @classmethod
    def of(cls, model: AlbertForPreTraining) -> "Teacher":
        """Return `model` as a teacher: dropout off, no gradient."""
        return cls(model=model.eval().requires_grad_(False))  # torch's own signature

    @torch.no_grad()
    def states(self, inputs: tuple[Tensor, Tensor, Tensor], masked_positions: Tensor) -> HeadStates:
        """Return the teacher's hidden states of a micro-batch after its last layer."""
        (states,) = self.model.packed_states(inputs, masked_positions)
        return states


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the parts of an objective see of one micro-batch."""

    batch: PretrainingBatch
    """The examples, on the host."""
    masked_labels: Tensor
    """The right tokens, (M,)."""
    order_labels: Tensor
    """0 in order, 1 swapped, -100 for a single segment, (B,)."""
    model: AlbertForPreTraining
    """What is trained."""
    states: dict[int, HeadStates]
    """Its hidden states, by depth."""
    teacher: Teacher | None
    """The teacher, if there is one."""
    teacher_states: HeadStates | None
    """Its hidden states, without gradient."""


class Part(Protocol):
    """A part of the objective, after one depth."""

    @property
    def depth(self) -> int:
        """Number of layers after which it reads hidden states."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Return the number of items by name; most parts have one name."""

    def sums(self, view: View) -> dict[str, LossSum]:
        """Return the sum over the items by name, with its weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedLM:
    """Cross-entropy of the masked tokens."""

    depth: int
    """Number of layers before it."""
    name: str = "masked_lm"
    """Its name in the log."""
    weight: float = 1.0
    """Its weight in the loss."""
    by_length: bool = False
    """Whether short and long sequences are reported separately, too."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Return the number of masked tokens; length classes without any are left out."""
        return {self.name: len(batch.masked_positions)} | {
            name: len(indices) for name, indices in self._classes(batch)
        }

    def sums(self, view: View) -> dict[str, LossSum]:
        """Return the summed cross-entropy."""
        projection = view.model.masked_lm_projection(view.states[self.depth].masked)
        found = vocabulary_loss(*projection, view.masked_labels)
        sums = {self.name: _as_sum(found, self.weight)}
        for name, indices in self._classes(view.batch):
            index = on_device(indices, found.losses.device)
            sums[name] = LossSum(found.losses[index].sum(), found.correct[index].sum(), weight=0.0)
        return sums

    def _classes(self, batch: PretrainingBatch) -> Iterator[tuple[str, IntArray]]:
        """Yield the name of each length class and which of the M masked tokens are in it, if any are."""
        if not self.by_length:
            return
        sequences = np.searchsorted(np.cumsum(batch.lengths), batch.masked_positions, side="right")
        lengths = batch.lengths[sequences]  # (B,) -> (M,)
        for first, last in LENGTH_CLASSES:
            indices = np.flatnonzero((lengths >= first) & (lengths <= last))
            if len(indices):
                yield f"{self.name}_{first}-{last}", indices


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceOrder:
    """Cross-entropy of the order of two segments."""

    depth: int
    """Number of layers before it."""
    name: str = "sentence_order"
    """Its name in the log."""
    weight: float = 1.0
    """Its weight in the loss."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Return the number of sequences with two segments."""
        return {self.name: int((batch.sentence_order_labels != NO_ORDER_LABEL).sum())}

    def sums(self, view: View) -> dict[str, LossSum]:
        """Return the summed cross-entropy."""
        logits = view.model.sentence_order_logits(view.states[self.depth].first)  # (B, H) -> (B, 2)
        found = cross_entropy_sum(logits, view.order_labels)
        return {self.name: LossSum(found.total, found.correct, self.weight)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """Divergence from the teacher's distribution over the vocabulary, at the masked tokens.

    Its accuracy is the share of masked tokens for which both predict the same.
    """

    depth: int
    """Number of the student's layers before it; the teacher always uses all of its own."""
    name: str = "distillation"
    """Its name in the log."""
    weight: float = 1.0
    """Its weight in the loss."""
    temperature: float = 1.0
    """Temperature of both distributions."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Return the number of masked tokens."""
        return {self.name: len(batch.masked_positions)}

    def sums(self, view: View) -> dict[str, LossSum]:
        """Return the summed divergence."""
        assert view.teacher is not None  # PretrainingObjective
        assert view.teacher_states is not None
        student = view.model.masked_lm_projection(view.states[self.depth].masked)
        with torch.no_grad():
            teacher = view.teacher.model.masked_lm_projection(view.teacher_states.masked)
        count = len(view.masked_labels)
        found = distillation_loss(student, teacher, count, temperature=self.temperature)
        return {self.name: _as_sum(found, self.weight)}


class PretrainingObjective:
    """The sum of weighted parts.

    Args:
        parts: At least one, with names of their own.
        teacher: Runs once per micro-batch; without one no part may need it.
    """

    def __init__(self, parts: Sequence[Part], teacher: Teacher | None = None) -> None:
        self._parts, self._teacher = tuple(parts), teacher
        self._depths = sorted({part.depth for part in parts})

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Return the number of items over which each part is averaged."""
        return {name: count for part in self._parts for name, count in part.counts(batch).items()}

    def sums(self, model: AlbertForPreTraining, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Return each part's sum over the batch, with its weight."""
        positions, labels, order_labels = (
            on_device(array, model.device)
            for array in (batch.masked_positions, batch.masked_labels, batch.sentence_order_labels)
        )
        inputs = model.packed_inputs(batch)
        states = model.packed_states(inputs, positions, depths=self._depths)
        view = View(
            batch=batch,
            masked_labels=labels,
            order_labels=order_labels,
            model=model,
            states=dict(zip(self._depths, states, strict=True)),
            teacher=self._teacher,
            teacher_states=None if self._teacher is None else self._teacher.states(inputs, positions),
        )
        return {name: part for each in self._parts for name, part in each.sums(view).items()}

    @property
    def teacher_bytes(self) -> int:
        """Bytes of the teacher's weights; 0 without a teacher."""
        return 0 if self._teacher is None else 4 * num_parameters(self._teacher.model.config)

    def flops(self, config: AlbertConfig, lengths: IntArray, num_masked: int) -> int:
        """Return the matrix FLOPs of a training step on sequences of `lengths` (B,); see `model.flops`."""
        flops = pretraining_flops(config, lengths, num_masked, num_depths=len(self._depths))
        if self._teacher is not None:
            shape = self._teacher.model.config
            flops += encoder_flops(shape, lengths, num_rows=len(lengths) + num_masked)
            distillations = sum(isinstance(part, Distillation) for part in self._parts)
            # Forward for the teacher; forward and backward for the student, whose logits are computed again.
            flops += distillations * (
                masked_lm_flops(shape, num_masked) + 3 * masked_lm_flops(config, num_masked)
            )
        return flops


def make_objective(
    settings: ObjectiveSettings, config: AlbertConfig, teacher: Teacher | None = None
) -> PretrainingObjective:
    """Return the objective of a training.

    Every loss is computed after the last layer and after each of `settings.depths`, and averaged over
    these depths. Parts after the last layer have plain names such as `masked_lm`; others name their depth, as
    `masked_lm@6`.

    Args:
        settings: Which parts, and their weights.
        config: Shape of the model that is trained.
        teacher: Opened from `settings.teacher`; the objective has a distillation part if it is given.

    Raises:
        ConfigError: The model has no such depth.
    """
    parts: list[Part] = []
    depths = depths_of(settings.depths, config.num_hidden_layers)[::-1]
    for depth in depths:
        masked_lm, order, distillation = (
            _name(name, depth, config) for name in ("masked_lm", "sentence_order", "distillation")
        )
        parts.append(MaskedLM(depth=depth, name=masked_lm, weight=1 / len(depths)))
        parts.append(
            SentenceOrder(depth=depth, name=order, weight=settings.sentence_loss_weight / len(depths))
        )
        if teacher is not None:
            parts.append(
                Distillation(
                    depth=depth,
                    name=distillation,
                    weight=settings.teacher_weight / len(depths),
                    temperature=settings.teacher_temperature,
                )
            )
    return PretrainingObjective(parts, teacher)


def make_held_out_objective(settings: ObjectiveSettings, config: AlbertConfig) -> PretrainingObjective:
    """Return what is evaluated on held-out examples: masked LM, also by length, and sentence order.

    At every depth of the training; the teacher is not evaluated.

    Raises:
        ConfigError: The model has no such depth.
    """
    parts: list[Part] = []
    for depth in depths_of(settings.depths, config.num_hidden_layers)[::-1]:
        is_last = depth == config.num_hidden_layers
        parts.append(MaskedLM(depth=depth, name=_name("masked_lm", depth, config), by_length=is_last))
        parts.append(SentenceOrder(depth=depth, name=_name("sentence_order", depth, config)))
    return PretrainingObjective(parts)


def longest_examples(count: int, length: int, *, vocab_size: int) -> PretrainingBatch:
    """Return `count` made-up examples of full length with a fifth of their tokens masked: a hard case."""
    indices = np.arange(count * length)
    masked = indices[indices % 5 == 1]
    ids = indices % vocab_size
    return PretrainingBatch(
        input_ids=ids,
        token_type_ids=np.zeros_like(ids),
        lengths=np.full(count, length),
        masked_positions=masked,
        masked_labels=ids[masked],
        sentence_order_labels=np.zeros(count, np.int64),
        word_starts=np.ones(len(ids), bool),
    )


def _as_sum(found: VocabularyLoss, weight: float) -> LossSum:
    return LossSum(found.total, found.correct.sum(), weight)


def _name(name: str, depth: int, config: AlbertConfig) -> str:
    """Return the name of a part after `depth` layers."""
    return name if depth == config.num_hidden_layers else f"{name}@{depth}"
