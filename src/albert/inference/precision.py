"""In what type a model answers, and the proof that int8 answers like float32.

ALBERT repeats one layer many times, so what quantising costs repeats, too, and a model with a few channels
of large values can lose all it knows (F1 0.80 to 0.05: onnxruntime, issue 11701). So nobody gets an answer in
int8 before some inputs of theirs went through the model in both types and came out alike.
Letters: B items that are probed, K classes, H hidden size.
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
from albert.errors import CheckpointError
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.linear import Dtype
from albert.model.packing import Packing, on_device
from albert.model.pretrained import AlbertForMaskedLM, AlbertModel, Pretrained
from albert.model.task_models import AlbertForMultipleChoice
from albert.training.settings import autocast_dtype

MAX_DIFFERENCE = 0.02
"""Of probability that may move from some answers to others, on the mean of the items; of a number, relative
to the mean size of the numbers."""
MIN_AGREEMENT = 0.98
"""Share of items whose best answer must stay, those left out where float32 itself can hardly choose."""
MIN_COSINE = 0.99
"""Of the states of a piece, on the mean."""
PROBED_ITEMS = 64
PROBED_PIECES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How alike answers in int8 and in float32 are."""

    items: int
    """What was compared: texts, windows, pieces."""
    difference: float | None = None
    """Mean probability that is elsewhere, 0 to 1; for numbers the mean difference, relative to their size."""
    agreement: float | None = None
    """Share of items with the same best answer."""
    cosine: float | None = None
    """Mean cosine of the states."""

    @property
    def is_enough(self) -> bool:
        """Whether all that was measured keeps its bound; NaN keeps none."""
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
            found.append(f"same best answer {self.agreement:.1%} (at least {MIN_AGREEMENT:.0%})")
        if self.cosine is not None:
            found.append(f"cosine {self.cosine:.4f} (at least {MIN_COSINE})")
        return ", ".join(found)


def prepare_for_inference(model: Pretrained, dtype: Dtype) -> None:
    """Makes `model`, on its device, answer in `dtype`; in int8 it does once `ensure_agreement` has seen it.

    Raises:
        ConfigError: The device does not compute in it.
    """
    if dtype == "bf16" and autocast_dtype("auto", model.device) is None:
        console.warn(f"{model.device} has no bf16 of its own; float32 is faster here")
    model.prepare_for_inference(dtype)


def ensure_agreement(
    model: Pretrained, features: Any, *, mask_token_id: int | None = None
) -> Agreement | None:
    """Compares int8 with float32 on some of `features`, once for a model; others are not looked at.

    Args:
        model: As `prepare_for_inference` made it.
        features: Encoded examples of its kind, one or more; up to 64, evenly spread, are compared.
        mask_token_id: For masked LM, whose answers stand at the masks.

    Returns:
        What was found; None where nothing had to be compared.

    Raises:
        CheckpointError: They differ too much for the model to be of use.
    """
    frozen = model.encoder_of_layers.prepared
    if frozen is None or frozen.dtype != "int8" or frozen.is_checked or not len(features):
        return None
    found = measure(model, features, mask_token_id=mask_token_id)
    if not found.is_enough:
        raise CheckpointError(
            f"in int8 this model does not answer as in float32, on {found.items} items: {found}; "
            "use --dtype float32, or bf16 where the device has it"
        )
    frozen.is_checked = True
    return found


@torch.inference_mode()
def measure(model: Pretrained, features: Any, *, mask_token_id: int | None = None) -> Agreement:
    """Returns how alike the answers of a frozen model are to those in float32; see `ensure_agreement`."""
    probe = _probe(features)
    with in_float32(model):
        expected = _outputs(model, probe, mask_token_id)
    found = _outputs(model, probe, mask_token_id)
    if isinstance(model, AlbertModel):
        cosines = F.cosine_similarity(found[0], expected[0], dim=-1)
        return Agreement(items=len(cosines), cosine=float(cosines.mean()))
    if expected[0].shape[-1] == 1:
        size = expected[0].abs().mean().clamp(min=1e-6)
        difference = float((found[0] - expected[0]).abs().mean() / size)
        return Agreement(items=len(expected[0]), difference=difference)
    return _agreement_of(expected, found)


def _agreement_of(expected: list[Tensor], found: list[Tensor]) -> Agreement:
    """Compares logits, (B, K) each; several kinds of them may have K of their own."""
    moved, same = [], []
    for right, other in zip(expected, found, strict=True):
        p, q = right.double().softmax(-1), other.double().softmax(-1)
        best = p.topk(2).values
        is_sure = best[:, 0] - best[:, 1] > 2 * MAX_DIFFERENCE
        moved.append((p - q).abs().sum(-1) / 2)
        same.append((p.argmax(-1) == q.argmax(-1))[is_sure])
    sure = torch.cat(same)
    return Agreement(
        items=len(expected[0]),
        difference=float(torch.cat(moved).mean()),
        agreement=float(sure.double().mean()) if len(sure) else None,
    )


def _probe(features: Any) -> Any:
    """Returns some of the examples, evenly spread, at most about `PROBED_PIECES` pieces of them."""
    mean_length = len(features.input_ids) / len(features)
    count = int(np.clip(PROBED_PIECES // max(1.0, mean_length), 1, min(PROBED_ITEMS, len(features))))
    return features.take(np.linspace(0, len(features) - 1, count).round().astype(np.int64))


@contextmanager
def in_float32(model: Pretrained) -> Iterator[None]:
    """Lets a frozen `model` compute in float32."""
    encoder = model.encoder_of_layers
    frozen, encoder.prepared = encoder.prepared, None
    try:
        yield
    finally:
        encoder.prepared = frozen


def _outputs(model: Any, probe: Any, mask_token_id: int | None) -> list[Tensor]:
    """Returns what a model says, (B, K) each: logits, or of an encoder the states."""
    ids, types, lengths = model.packed_inputs(probe)
    match model:
        case AlbertModel():
            return [model.encode(ids, types, Packing.of_lengths(lengths, model.device))]
        case AlbertForMaskedLM():
            masks = torch.eq(ids, -1 if mask_token_id is None else mask_token_id).nonzero().flatten()
            return [model.packed_logits(ids, types, lengths, masks)]
        case AlbertForMultipleChoice():
            return [model.packed_logits(ids, types, lengths, num_choices=torch.from_numpy(probe.num_choices))]
        case AlbertForQuestionAnswering():
            return list(model.packed_logits(ids, types, lengths))
        case AlbertForQuestionAnsweringBeamSearch():
            p_mask = on_device(probe.p_mask, model.device)
            starts = torch.zeros_like(lengths, device=ids.device)
            answers = model.packed_logits(ids, types, lengths, p_mask=p_mask, start_positions=starts)
            lacks = F.pad(answers.cls_logits[:, None], (0, 1))  # the sigmoid as a softmax
            return [answers.start_logits, lacks]
        case _:
            return [model.packed_logits(ids, types, lengths)]
