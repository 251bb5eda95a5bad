"""Sizes, lengths, inputs and weights that all candidates share.

All inputs are synthetic and the same in every run: random ids, with lengths distributed as in real data.
Letters: B sequences, N packed tokens, T length of the longest sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from albert.choices import LengthsName
from albert.config import AlbertConfig
from albert.data.batches import IntArray, PretrainingBatch
from albert.model.language_models import AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.features import TextFeatures
from albert.training.devices import autocast_dtype
from albert.training.settings import LoopSettings

VOCAB_SIZE = 30_000
FIRST_ORDINARY_ID = 5
MASKED_SHARE = 0.15
IGNORED_LABEL = -100

ModelT = TypeVar("ModelT", bound=Pretrained)


_DECILES = tuple(range(0, 101, 10))
_QUANTILES: dict[str, tuple[Sequence[float], Sequence[int]]] = {
    "glue": (_DECILES, (3, 8, 11, 15, 20, 28, 39, 50, 60, 73, 292)),
    "sst2": (
        (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.9, 100),
        (3, 4, 4, 6, 7, 9, 11, 13, 17, 22, 30, 37, 49, 62, 81),
    ),
    "squad": (_DECILES, (75, 120, 132, 142, 152, 165, 184, 212, 243, 302, 384)),
}
"""Percentiles of sequence lengths: percent of the examples, and the most tokens they have (published English
vocabulary, special tokens included). glue: training sets of CoLA, SST-2, MRPC, STS-B and RTE in equal parts;
sst2: training set, with extra percentiles for its few long texts, which decide what padding costs; squad:
windows of 384 tokens with a stride of 128 of a third of the SQuAD 2.0 dev set."""

LONGEST: dict[LengthsName, int] = {"full": 128, "glue": 128, "sst2": 128, "squad": 384}
"""Default maximum length: that of the published recipes."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The settings all jobs share; picklable, so that another process can build the same job."""

    size: str
    """Name of a published size."""
    device: torch.device
    """Device of the models."""
    precision: Literal["float32", "bf16"]
    """Number type of the matrix products."""
    lengths: LengthsName | Literal["auto"]
    """Distribution of lengths; auto: full sequences for pretraining, GLUE's otherwise."""
    max_seq_length: int | Literal["auto"]
    """Tokens of the longest sequence; auto: that of the distribution."""
    batch_size: int
    """Sequences that go through a model at once."""
    num_batches: int
    """Batches per run of fine-tuning or inference; a pretraining run is one batch."""
    compiled: bool
    """Whether to measure compiled models, too."""
    all_peers: bool
    """Whether to measure transformers also with eager attention and with padding to the full length."""
    folder: Path
    """Folder for weights and texts; missing ones are made."""

    @property
    def config(self) -> AlbertConfig:
        """The configuration, without dropout so that outcomes can be compared."""
        return replace(
            AlbertConfig.of_size(self.size, vocab_size=VOCAB_SIZE),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            classifier_dropout_prob=0.0,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the matrix products."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    @property
    def loop(self) -> LoopSettings:
        """Settings of a training loop that never ends."""
        return LoopSettings(
            max_steps=10**9,
            batch_size=self.batch_size,
            precision=self.precision,
            device=str(self.device),
        )

    def autocast(self) -> torch.autocast:
        """Return the autocast context of the precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def tolerance(self, float32: float) -> float:
        """Return the tolerance: the given one in float32; 0.1 in bf16, which has 8 bits of mantissa."""
        return float32 if self.precision == "float32" else 0.1

    def lengths_name(self, default: LengthsName) -> LengthsName:
        """Return the distribution of lengths of a job, given its default."""
        return default if self.lengths == "auto" else self.lengths

    def longest(self, name: LengthsName) -> int:
        """Return the maximum length in tokens for a distribution."""
        return LONGEST[name] if self.max_seq_length == "auto" else self.max_seq_length

    def new_model(self, model_class: type[ModelT]) -> ModelT:
        """Return a model on the device, with random weights that are the same in every call."""
        torch.manual_seed(0)
        return model_class(self.config).to(self.device)

    def weights(self, model_class: type[Pretrained]) -> Path:
        """Return a model folder with the weights of `new_model`, made once."""
        folder = self.folder / model_class.__name__
        if not folder.exists():
            self.new_model(model_class).save_pretrained(folder)
        return folder


def precision_of(
    name: Literal["auto", "float32", "bf16"], device: torch.device
) -> Literal["float32", "bf16"]:
    """Return the precision that `auto` means on a device."""
    return "float32" if autocast_dtype(name, device) is None else "bf16"


def make_lengths(name: LengthsName, count: int, *, longest: int) -> IntArray:
    """Return the lengths of `count` sequences in random order, at evenly spaced quantiles."""
    if name == "full":
        return np.full(count, longest)
    percentiles = (np.arange(count) + 0.5) / count * 100
    lengths = np.interp(percentiles, *_QUANTILES[name]).round().astype(np.int64)
    return np.random.default_rng(0).permutation(np.minimum(lengths, longest))


def make_pretraining_batch(lengths: IntArray) -> PretrainingBatch:
    """Return random examples of two segments with 15 % of the tokens masked."""
    random = np.random.default_rng(0)
    count, starts = int(lengths.sum()), lengths.cumsum() - lengths
    positions = [
        start + np.sort(random.permutation(length - 2)[: max(1, int(length * MASKED_SHARE))] + 1)
        for start, length in zip(starts, lengths, strict=True)
    ]
    masked = np.concatenate(positions)
    return PretrainingBatch(
        input_ids=random.integers(FIRST_ORDINARY_ID, VOCAB_SIZE, count),
        token_type_ids=_halves(lengths),
        lengths=lengths,
        masked_positions=masked,
        masked_labels=random.integers(FIRST_ORDINARY_ID, VOCAB_SIZE, len(masked)),
        sentence_order_labels=np.arange(len(lengths)) % 2,
        word_starts=np.ones(count, np.bool_),
    )


def make_features(lengths: IntArray) -> TextFeatures:
    """Return random pairs of texts with two classes."""
    random = np.random.default_rng(0)
    return TextFeatures(
        input_ids=random.integers(FIRST_ORDINARY_ID, VOCAB_SIZE, int(lengths.sum())),
        token_type_ids=_halves(lengths),
        lengths=lengths,
        labels=(np.arange(len(lengths)) % 2).astype(np.float64),
    )


def in_batches(features: TextFeatures, batch_size: int) -> list[TextFeatures]:
    """Return the examples in batches, in order."""
    starts = range(0, len(features), batch_size)
    return [features.take(np.arange(i, min(i + batch_size, len(features)))) for i in starts]


def pad_pretraining(batch: PretrainingBatch) -> dict[str, Tensor]:
    """Return the examples padded to the longest, with labels of -100 where no token is masked."""
    labels = np.full(len(batch.input_ids), IGNORED_LABEL)
    labels[batch.masked_positions] = batch.masked_labels
    order = torch.from_numpy(batch.sentence_order_labels)
    padded = pad(batch.input_ids, batch.token_type_ids, batch.lengths)
    return {**padded, "labels": _grid(labels, batch.lengths, IGNORED_LABEL), "sentence_order_label": order}


def pad_classification(batch: TextFeatures, *, length: int | None = None) -> dict[str, Tensor]:
    """Return the examples padded to the longest, or to `length` tokens, with their labels."""
    padded = pad(batch.input_ids, batch.token_type_ids, batch.lengths, length=length)
    return {**padded, "labels": torch.from_numpy(batch.labels).long()}


def pad(
    input_ids: IntArray, token_type_ids: IntArray, lengths: IntArray, *, length: int | None = None
) -> dict[str, Tensor]:
    """Return packed inputs (N,) as padded inputs (B, T); T is `length` if given."""
    return {
        "input_ids": _grid(input_ids, lengths, 0, length=length),
        "token_type_ids": _grid(token_type_ids, lengths, 0, length=length),
        "attention_mask": _grid(np.ones_like(input_ids), lengths, 0, length=length),
    }


def _grid(values: IntArray, lengths: IntArray, filling: int, *, length: int | None = None) -> Tensor:
    """Return packed values (N,) padded to (B, T)."""
    real = np.arange(length or lengths.max()) < lengths[:, None]  # (B, T)
    grid = np.full(real.shape, filling, np.int64)
    grid[real] = values
    return torch.from_numpy(grid)


def _halves(lengths: Sequence[int] | IntArray) -> IntArray:
    """Return 0 for the first half of each sequence and 1 for the second, (N,)."""
    return np.concatenate([np.arange(length) // (length // 2 + 1) for length in lengths])


PRETRAINING, CLASSIFIER = AlbertForPreTraining, AlbertForSequenceClassification
"""The model classes that are measured."""
