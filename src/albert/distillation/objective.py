"""What distillation minimises: weighted parts, each after some number of the student's layers.

Every part compares something of the student with the same of the teacher, over the texts or tokens of a
batch. Similarities and relations are compared as distributions.
Letters: B texts, N tokens of all of them, H hidden size, D size of a vector, K classes, M masked tokens.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from albert.config import AlbertConfig
from albert.conversion.depth import depths_of
from albert.distillation.batches import DistillationBatch
from albert.distillation.settings import LossName, LossSettings
from albert.distillation.student import Student
from albert.distillation.teacher import attention_inputs
from albert.model.language_models import AlbertForMaskedLM
from albert.model.losses import LossSum, vocabulary_loss
from albert.model.packing import Packing, on_device

Problem = Literal["one_class", "several_labels", "number"]
"""What the logits of a task mean."""

SIMILARITY_TEMPERATURE = 0.05
MASKED_SHARE = 0.15
MASKED, KEPT = 0.8, 0.1
"""Shares of the chosen tokens that become [MASK], and that stay; others become random tokens, as in BERT."""


@dataclass(kw_only=True)
class View:
    """What the parts see of one micro-batch after one depth."""

    batch: DistillationBatch
    """The texts, on the host."""
    student: Student
    """What is trained."""
    packing: Packing
    """Where the texts are."""
    depth: int
    """Layers done."""
    before: Tensor
    """The student's states before the last of them, (N, H)."""
    states: Tensor
    """Its states, (N, H)."""

    def teacher(self, name: str) -> Tensor:
        """Return an output of the teacher, float32."""
        return on_device(self.batch.outputs[name], self.states.device).float()

    @cached_property
    def vectors(self) -> Tensor:
        """The student's vectors, (B, D)."""
        return self.student.vectors(self.states, self.packing)


Compare = Callable[[View], LossSum]


def compare_vectors(view: View) -> LossSum:
    """Return the sum over the texts of 1 - cosine."""
    return LossSum((1 - F.cosine_similarity(view.vectors, view.teacher("vectors"))).sum(), None)


def compare_similarities(view: View) -> LossSum:
    """Return the sum over the texts of the divergence of their similarities to the others of the batch.

    Cosines become distributions by a softmax with temperature .05. A text counts as right if its nearest
    neighbour is the same for both.
    """
    student, teacher = (
        _log_neighbours(F.normalize(x, dim=-1)) for x in (view.vectors, view.teacher("vectors"))
    )
    if len(student) < 2:
        return LossSum(view.vectors.sum() * 0.0, student.new_zeros(()))
    same = student.argmax(-1) == teacher.argmax(-1)
    return LossSum(_divergence(student, teacher).sum(), same.sum())


def _log_neighbours(x: Tensor) -> Tensor:
    """Return the log distribution (B, B - 1) over the other texts of a batch, by similarity."""
    count = len(x)
    others = ~torch.eye(count, dtype=torch.bool, device=x.device)
    scores = (x @ x.T)[others].view(count, count - 1) if count > 1 else x.new_zeros(count, 0)
    return (scores / SIMILARITY_TEMPERATURE).log_softmax(-1)


def compare_states(view: View) -> LossSum:
    """Return the sum over the tokens of the squared error, over the mean square of the teacher's states."""
    expected = view.teacher("states")
    found = view.student.state_map(view.states.float())
    return LossSum((found - expected).square().sum() / expected.square().sum(1).mean(), None)


def compare_relations(view: View, *, heads: int) -> LossSum:
    """Return the sum over the tokens of the divergence of queries, keys and values among themselves.

    Each is a distribution over the tokens of the text, for each of some heads; the sum is over tokens, the
    mean over the three and the heads.
    Source: Wang et al. (2021), MiniLMv2, section 3.
    """
    student = attention_inputs(view.student.encoder, view.before, view.depth).float()
    student = student.reshape(len(view.before), 3, heads, -1)  # (N, 3, A, D) -> (N, 3, heads, .)
    teacher = view.teacher("relations").view(len(student), 3, heads, -1)
    total = student.new_zeros(())
    start = 0
    for count, length in view.packing.runs:
        rows = slice(start, start + count * length)
        found, expected = (_log_relations(x[rows], count, length) for x in (student, teacher))
        total = total + _divergence(found, expected).sum() / (3 * heads)
        start += count * length
    return LossSum(total, None)


def _log_relations(x: Tensor, count: int, length: int) -> Tensor:
    """Return log distributions (3, count, heads, length, length) of rows (count * length, 3, heads, D)."""
    by_head = x.view(count, length, *x.shape[1:]).permute(2, 0, 3, 1, 4)
    return (by_head @ by_head.transpose(-1, -2) / math.sqrt(x.shape[-1])).log_softmax(-1)


def compare_logits(view: View, *, problem: Problem, temperature: float) -> LossSum:
    """Return the sum over texts or tokens of the divergence of the logits.

    An item is right where both say the same.

    Classes: temperature^2 * KL(teacher || student) of the softened distributions (Hinton et al. 2015);
    labels: the same of each by itself; numbers: the squared error.
    """
    model: Any = view.student.model  # of the teacher's class
    found = model.logits_of_states(view.states, view.packing).float()
    expected = view.teacher("logits")
    if problem == "number":
        return LossSum(F.mse_loss(found, expected, reduction="sum"), None)
    if problem == "several_labels":
        found, expected = (torch.stack([x, torch.zeros_like(x)], -1) for x in (found, expected))
    same = (found.argmax(-1) == expected.argmax(-1)).float()
    divergence = _divergence(*((x / temperature).log_softmax(-1) for x in (found, expected)))
    if problem == "several_labels":
        same, divergence = same.mean(-1), divergence.sum(-1)
    return LossSum(temperature**2 * divergence.sum(), same.sum())


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of log distributions (..., K), (...,)."""
    return F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One comparison after one depth."""

    name: str
    """Its name in the log; of depths before the last with the depth, as `vectors@2`."""
    loss: LossName
    """What is compared."""
    depth: int
    """Number of layers after which."""
    weight: float
    """Weight in the loss."""
    compare: Compare
    """Returns the sum over the items."""


class MaskedTokens:
    """Masked LM on the texts of a batch, with masks drawn anew in every step.

    Args:
        special: Ids that are never masked.
        mask_token_id: Id of [MASK].
    """

    def __init__(self, special: Sequence[int], mask_token_id: int) -> None:
        self._special, self._mask = torch.tensor([*special]), mask_token_id

    def count(self, batch: DistillationBatch) -> int:
        """Return the number of tokens that are predicted, M."""
        return max(1, round(MASKED_SHARE * int(self._candidates(batch).sum())))

    def loss(self, student: Student, batch: DistillationBatch) -> LossSum:
        """Return the summed cross-entropy of the masked tokens."""
        device = student.model.device
        candidates = self._candidates(batch).nonzero().flatten()
        chosen = candidates[torch.randperm(len(candidates))[: self.count(batch)]].sort().values
        ids = torch.from_numpy(batch.input_ids).clone()
        labels = ids[chosen]
        lot = torch.rand(len(chosen))
        random = torch.randint(student.model.config.vocab_size, (len(chosen),))
        ids[chosen] = torch.where(lot < MASKED, self._mask, torch.where(lot < MASKED + KEPT, labels, random))
        packing = Packing.of_lengths(torch.from_numpy(batch.lengths), device)
        types = on_device(batch.token_type_ids, device)
        x = student.encoder.encode(ids.to(device), types, packing, rows=chosen.to(device))
        assert isinstance(student.model, AlbertForMaskedLM)
        words = student.encoder.embeddings.word_embeddings.weight
        found = vocabulary_loss(*student.model.predictions.projection(x, words), labels.to(device))
        return LossSum(found.total, found.correct.sum())

    def _candidates(self, batch: DistillationBatch) -> Tensor:
        return ~torch.isin(torch.from_numpy(batch.input_ids), self._special)


class DistillationObjective:
    """The sum of weighted parts.

    Args:
        parts: At least one, with names of their own.
        masked: Masked LM; None if it is not learnt.
        masked_weight: Its weight.
    """

    def __init__(self, parts: Sequence[Part], masked: MaskedTokens | None, masked_weight: float) -> None:
        self._parts, self._masked, self._masked_weight = tuple(parts), masked, masked_weight
        self._depths = sorted({part.depth for part in parts})

    def counts(self, batch: DistillationBatch) -> dict[str, int]:
        """Return the number of items over which each part is averaged."""
        found = {part.name: self._items(part, batch) for part in self._parts}
        return found if self._masked is None else found | {"masked_lm": self._masked.count(batch)}

    def sums(self, student: Student, batch: DistillationBatch) -> dict[str, LossSum]:
        """Return each part's sum over the batch, with its weight."""
        found: dict[str, LossSum] = {}
        if self._parts:
            views = self._views(student, batch)
            for part in self._parts:
                value = part.compare(views[part.depth])
                found[part.name] = LossSum(value.total, value.correct, part.weight)
        if self._masked is not None:
            value = self._masked.loss(student, batch)
            found["masked_lm"] = LossSum(value.total, value.correct, self._masked_weight)
        return found

    def _items(self, part: Part, batch: DistillationBatch) -> int:
        """Return the number of texts or tokens that a part compares."""
        by_token = part.loss in {"states", "relations"} or (
            part.loss == "logits" and len(batch.outputs["logits"]) == len(batch.input_ids)
        )
        return len(batch.input_ids) if by_token else len(batch)

    def _views(self, student: Student, batch: DistillationBatch) -> Mapping[int, View]:
        """Return what the parts see after each depth."""
        device = student.model.device
        ids, types = (on_device(array, device) for array in (batch.input_ids, batch.token_type_ids))
        packing = Packing.of_lengths(torch.from_numpy(batch.lengths), device)
        needed = sorted({*self._depths, *(depth - 1 for depth in self._depths)})
        rows = torch.arange(len(ids), device=device)
        states = student.encoder.encode_depths(ids, types, packing, rows=rows, depths=needed)
        by_depth = dict(zip(needed, states, strict=True))
        return {
            depth: View(
                batch=batch,
                student=student,
                packing=packing,
                depth=depth,
                before=by_depth[depth - 1],
                states=by_depth[depth],
            )
            for depth in self._depths
        }


def make_objective(
    losses: LossSettings,
    names: Sequence[LossName],
    student: AlbertConfig,
    teacher: AlbertConfig,
    *,
    problem: Problem,
    masked: MaskedTokens,
) -> DistillationObjective:
    """Return the objective of a distillation; the weights of a part sum over the depths to its own.

    Args:
        losses: Weights, depths and temperature.
        names: What is learnt.
        student: Shape of the student.
        teacher: Shape of the teacher.
        problem: What the logits mean.
        masked: Makes masked tokens, if they are learnt.

    Raises:
        ConfigError: The student has no such depth.
    """
    depths = depths_of(losses.depths, student.num_hidden_layers)
    heads = math.gcd(student.num_attention_heads, teacher.num_attention_heads)
    compare: dict[LossName, Compare] = {
        "vectors": compare_vectors,
        "similarities": compare_similarities,
        "states": compare_states,
        "relations": partial(compare_relations, heads=heads),
        "logits": partial(compare_logits, problem=problem, temperature=losses.temperature),
    }
    weights = dict(zip(names, losses.loss_weights or [1.0] * len(names), strict=True))
    parts = [
        Part(
            name=name if depth == depths[-1] else f"{name}@{depth}",
            loss=name,
            depth=depth,
            weight=weights[name] / len(depths),
            compare=compare[name],
        )
        for depth in reversed(depths)
        for name in names
        if name != "mlm"
    ]
    return DistillationObjective(parts, masked if "mlm" in names else None, weights.get("mlm", 0.0))
