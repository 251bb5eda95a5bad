"""The number type a model predicts in, and the check that int8 predicts like float32.

ALBERT repeats one layer many times, so the error of quantising repeats, too, and a model with a few channels
of large values can fail completely (F1 0.80 to 0.05: onnxruntime, issue 11701). Therefore a model predicts in
int8 only after some of the user's own inputs went through it in both types with similar results.
Letters: B items compared, K classes, H hidden size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from albert import console
from albert.choices import Dtype
from albert.errors import CheckpointError
from albert.model.albert_model import AlbertModel
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.language_models import AlbertForMaskedLM
from albert.model.packing import Packing, on_device
from albert.model.pretrained import Pretrained
from albert.model.task_models import AlbertForMultipleChoice, AlbertForSequenceClassification
from albert.tasks.labels import activation_of
from albert.training.devices import autocast_dtype

MAX_DIFFERENCE = 0.02
"""Largest probability that may move from some classes to others, averaged over items; for numbers the largest
mean difference, relative to their mean size."""
MIN_AGREEMENT = 0.98
"""Smallest share of items with the same best class, without items that float32 itself hardly decides."""
MIN_COSINE = 0.99
"""Smallest mean cosine between the two states of a token."""
COMPARED_ITEMS = 64
COMPARED_TOKENS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How similar predictions in int8 and in float32 are."""

    items: int
    """Number of texts, windows or tokens that were compared."""
    difference: float | None = None
    """Mean probability that moved, 0 to 1; for numbers the mean difference, relative to their size."""
    agreement: float | None = None
    """Share of items with the same best class."""
    cosine: float | None = None
    """Mean cosine of the states."""

    @property
    def is_enough(self) -> bool:
        """Whether everything measured is within its bound; NaN is not."""
        return (
            (self.difference is None or self.difference <= MAX_DIFFERENCE)
            and (self.agreement is None or self.agreement >= MIN_AGREEMENT)
            and (self.cosine is None or self.cosine >= MIN_COSINE)
        )

    def __str__(self) -> str:
        found = []
        if self.difference is not None:
            found.append(f"difference {self.difference:.4f} (at most {MAX_DIFFERENCE})")
        if self.agreement is not None:
            found.append(f"same best class {self.agreement:.1%} (at least {MIN_AGREEMENT:.0%})")
        if self.cosine is not None:
            found.append(f"cosine {self.cosine:.4f} (at least {MIN_COSINE})")
        return ", ".join(found)


def prepare_precision(model: Pretrained, dtype: Dtype) -> None:
    """Prepare `model`, on its device, for predictions in `dtype`; int8 needs `ensure_agreement` as well.

    Raises:
        ConfigError: The device does not compute in this type.
    """
    if dtype == "bf16" and autocast_dtype("auto", model.device) is None:
        console.warn(f"{model.device} does not compute in bf16 natively; float32 is faster here")
    model.prepare_for_inference(dtype)


def ensure_agreement(
    model: Pretrained, features: Any, *, mask_token_id: int | None = None
) -> Agreement | None:
    """Compare int8 with float32 on some of `features`, once for each model; do nothing for other types.

    Args:
        model: A model that went through `prepare_precision`.
        features: Encoded examples of its kind, one or more; up to 64 of them, evenly spread, are compared.
        mask_token_id: Id of the mask, for masked LM, which is compared at the masks.

    Returns:
        The result; None where nothing had to be compared.

    Raises:
        CheckpointError: The predictions differ too much for int8 to be usable.
    """
    frozen = model.encoder_of_layers.prepared
    if frozen is None or frozen.dtype != "int8" or frozen.is_checked or not len(features):
        return None
    found = measure(model, features, mask_token_id=mask_token_id)
    if not found.is_enough:
        raise CheckpointError(
            f"in int8 this model does not predict as in float32, on {found.items} items: {found}; "
            "use --dtype float32, or bf16 where the device has it"
        )
    frozen.is_checked = True
    return found


@torch.inference_mode()
def measure(model: Pretrained, features: Any, *, mask_token_id: int | None = None) -> Agreement:
    """Return how similar the predictions of a prepared model are to those in float32."""
    sample = _sample(features)
    with in_float32(model):
        expected = _outputs(model, sample, mask_token_id)
    found = _outputs(model, sample, mask_token_id)
    if isinstance(model, AlbertModel):
        cosines = F.cosine_similarity(found[0], expected[0], dim=-1)
        return Agreement(items=len(cosines), cosine=float(cosines.mean()))
    if expected[0].shape[-1] == 1:
        size = expected[0].abs().mean().clamp(min=1e-6)
        difference = float((found[0] - expected[0]).abs().mean() / size)
        return Agreement(items=len(expected[0]), difference=difference)
    return _agreement_of(expected, found)


def _agreement_of(expected: list[Tensor], found: list[Tensor]) -> Agreement:
    """Compare pairs of logits, (B, K) each; K may differ from pair to pair."""
    moved, same = [], []
    for right, other in zip(expected, found, strict=True):
        p, q = right.double().softmax(-1), other.double().softmax(-1)  # (B, K)
        best = p.topk(2).values
        is_sure = best[:, 0] - best[:, 1] > 2 * MAX_DIFFERENCE
        moved.append((p - q).abs().sum(-1) / 2)  # (B, K) -> (B,)
        same.append((p.argmax(-1) == q.argmax(-1))[is_sure])
    sure = torch.cat(same)
    return Agreement(
        items=len(expected[0]),
        difference=float(torch.cat(moved).mean()),
        agreement=float(sure.double().mean()) if len(sure) else None,
    )


def _sample(features: Any) -> Any:
    """Return some of the examples, evenly spread, of about `COMPARED_TOKENS` tokens at most."""
    mean_length = len(features.input_ids) / len(features)
    count = int(np.clip(COMPARED_TOKENS // max(1.0, mean_length), 1, min(COMPARED_ITEMS, len(features))))
    return features.take(np.linspace(0, len(features) - 1, count).round().astype(np.int64))


@contextmanager
def in_float32(model: Pretrained) -> Iterator[None]:
    """Let a prepared `model` compute in float32 during the block."""
    encoder = model.encoder_of_layers
    frozen, encoder.prepared = encoder.prepared, None
    try:
        yield
    finally:
        encoder.prepared = frozen


def _outputs(model: Any, sample: Any, mask_token_id: int | None) -> list[Tensor]:
    """Return the logits of a model, (B, K) each, or the states of an encoder."""
    ids, types, lengths = model.packed_inputs(sample)
    match model:
        case AlbertModel():
            return [model.encode(ids, types, Packing.of_lengths(lengths, model.device))]
        case AlbertForMaskedLM():
            masks = torch.eq(ids, -1 if mask_token_id is None else mask_token_id).nonzero().flatten()
            return [model.packed_logits(ids, types, lengths, masks)]
        case AlbertForMultipleChoice():
            return [
                model.packed_logits(ids, types, lengths, num_choices=torch.from_numpy(sample.num_choices))
            ]
        case AlbertForQuestionAnswering():
            return list(model.packed_logits(ids, types, lengths))
        case AlbertForQuestionAnsweringBeamSearch():
            p_mask = on_device(sample.p_mask, model.device)
            starts = torch.zeros_like(lengths, device=ids.device)
            answers = model.packed_logits(ids, types, lengths, p_mask=p_mask, start_positions=starts)
            return [answers.start_logits, _as_two_classes(answers.cls_logits)]
        case _:
            logits = model.packed_logits(ids, types, lengths)
            is_classifier = isinstance(model, AlbertForSequenceClassification)
            is_sigmoid = is_classifier and activation_of(model.config) == "sigmoid"
            return [_as_two_classes(logits.flatten()) if is_sigmoid else logits]


def _as_two_classes(logits: Tensor) -> Tensor:
    """Return logits (B, 2) whose softmax is the sigmoid of `logits` (B,)."""
    return F.pad(logits[:, None], (0, 1))
