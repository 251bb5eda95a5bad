"""What is measured with: sizes, lengths, inputs, and the weights that all candidates read.

Everything is made up, and the same each time: ids at random, lengths after those of real data.
Letters: B sequences, N pieces in all, T the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from albert.config import AlbertConfig
from albert.data.batches import IntArray, PretrainingBatch
from albert.model.pretrained import AlbertForPreTraining, Pretrained
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.features import TextFeatures
from albert.training.settings import LoopSettings, autocast_dtype

VOCAB_SIZE = 30_000
FIRST_ORDINARY_ID = 5
MASKED_SHARE = 0.15
IGNORED_LABEL = -100

ModelT = TypeVar("ModelT", bound=Pretrained)

LengthsName = Literal["full", "glue", "sst2", "squad"]

_DECILES = tuple(range(0, 101, 10))
_QUANTILES: dict[str, tuple[Sequence[float], Sequence[int]]] = {
    "glue": (_DECILES, (3, 8, 11, 15, 20, 28, 39, 50, 60, 73, 292)),
    "sst2": (
        (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.9, 100),
        (3, 4, 4, 6, 7, 9, 11, 13, 17, 22, 30, 37, 49, 62, 81),
    ),
    "squad": (_DECILES, (75, 120, 132, 142, 152, 165, 184, 212, 243, 302, 384)),
}
"""Percent of the examples, and pieces that these have at most, with the published English vocabulary, special
ones included. glue: training sets of CoLA, SST-2, MRPC, STS-B and RTE, each a fifth; sst2: training set, its
few long texts told apart, as they decide what padding costs; squad: windows of 384 pieces with a stride of
128, of a third of the SQuAD 2.0 dev set."""

LONGEST: dict[LengthsName, int] = {"full": 128, "glue": 128, "sst2": 128, "squad": 384}
"""Pieces to which examples are cut where nothing else is asked for: those of the published recipes."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What all jobs share; small and picklable, so that other processes can make the same."""

    size: str
    """Name of a published size."""
    device: torch.device
    """Where the models run."""
    precision: Literal["float32", "bf16"]
    """Type of matrix products."""
    lengths: LengthsName | Literal["auto"]
    """Distribution of lengths; auto: full sequences in pretraining, elsewhere GLUE's."""
    max_seq_length: int | Literal["auto"]
    """Pieces of the longest sequence; auto: that of the distribution."""
    batch_size: int
    """Sequences that go through a model at once."""
    num_batches: int
    """Batches of a run of fine-tuning or inference; a run of pretraining is one."""
    compiled: bool
    """Whether compiled models take part."""
    all_peers: bool
    """Whether transformers also takes part with its plain attention, and padding all it can."""
    folder: Path
    """Where weights and texts are; what is missing is made."""

    @property
    def config(self) -> AlbertConfig:
        """The shape, without dropout, so that outcomes can be compared."""
        return replace(
            AlbertConfig.of_size(self.size, vocab_size=VOCAB_SIZE),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            classifier_dropout_prob=0.0,
        )

    @property
    def dtype(self) -> torch.dtype:
        """The type of matrix products."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    @property
    def loop(self) -> LoopSettings:
        """Settings of a training without end."""
        return LoopSettings(
            max_steps=10**9,
            batch_size=self.batch_size,
            precision=self.precision,
            device=str(self.device),
        )

    def autocast(self) -> torch.autocast:
        """Returns the block in which models run with the precision that is asked for."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def tolerance(self, float32: float) -> float:
        """Returns how far outcomes may be apart, given how far in float32; bf16 has 8 bits of mantissa."""
        return float32 if self.precision == "float32" else 0.1

    def lengths_name(self, default: LengthsName) -> LengthsName:
        """Returns the distribution of lengths of a job with its own default."""
        return default if self.lengths == "auto" else self.lengths

    def longest(self, name: LengthsName) -> int:
        """Returns the pieces to which sequences of a distribution are cut."""
        return LONGEST[name] if self.max_seq_length == "auto" else self.max_seq_length

    def new_model(self, model_class: type[ModelT]) -> ModelT:
        """Returns a model of a class on the device; its weights are random and the same each time."""
        torch.manual_seed(0)
        return model_class(self.config).to(self.device)

    def weights(self, model_class: type[Pretrained]) -> Path:
        """Returns a model folder with the weights of `new_model`, which is made if it is not there."""
        folder = self.folder / model_class.__name__
        if not folder.exists():
            self.new_model(model_class).save_pretrained(folder)
        return folder


def precision_of(
    name: Literal["auto", "float32", "bf16"], device: torch.device
) -> Literal["float32", "bf16"]:
    """Returns which precision is meant on a device."""
    return "float32" if autocast_dtype(name, device) is None else "bf16"


def make_lengths(name: LengthsName, count: int, *, longest: int) -> IntArray:
    """Returns the lengths of `count` sequences, in random order; few of them are spread as many would be."""
    if name == "full":
        return np.full(count, longest)
    places = (np.arange(count) + 0.5) / count * 100
    lengths = np.interp(places, *_QUANTILES[name]).round().astype(np.int64)
    return np.random.default_rng(0).permutation(np.minimum(lengths, longest))


def make_pretraining_batch(lengths: IntArray) -> PretrainingBatch:
    """Returns random examples of two segments, 15 % of the pieces hidden."""
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
    """Returns random pairs of texts with two classes."""
    random = np.random.default_rng(0)
    return TextFeatures(
        input_ids=random.integers(FIRST_ORDINARY_ID, VOCAB_SIZE, int(lengths.sum())),
        token_type_ids=_halves(lengths),
        lengths=lengths,
        labels=(np.arange(len(lengths)) % 2).astype(np.float64),
    )


def in_batches(features: TextFeatures, batch_size: int) -> list[TextFeatures]:
    """Returns the examples in batches, in their order."""
    starts = range(0, len(features), batch_size)
    return [features.take(np.arange(i, min(i + batch_size, len(features)))) for i in starts]


def pad_pretraining(batch: PretrainingBatch) -> dict[str, Tensor]:
    """Returns examples padded to the longest, labels of -100 where nothing is hidden."""
    labels = np.full(len(batch.input_ids), IGNORED_LABEL)
    labels[batch.masked_positions] = batch.masked_labels
    order = torch.from_numpy(batch.sentence_order_labels)
    padded = pad(batch.input_ids, batch.token_type_ids, batch.lengths)
    return {**padded, "labels": _grid(labels, batch.lengths, IGNORED_LABEL), "sentence_order_label": order}


def pad_classification(batch: TextFeatures, *, length: int | None = None) -> dict[str, Tensor]:
    """Returns examples padded to the longest, or to `length` pieces, with their classes."""
    padded = pad(batch.input_ids, batch.token_type_ids, batch.lengths, length=length)
    return {**padded, "labels": torch.from_numpy(batch.labels).long()}


def pad(
    input_ids: IntArray, token_type_ids: IntArray, lengths: IntArray, *, length: int | None = None
) -> dict[str, Tensor]:
    """Returns the packed (N,) as the padded (B, T) that everybody's models take; T is `length` if given."""
    return {
        "input_ids": _grid(input_ids, lengths, 0, length=length),
        "token_type_ids": _grid(token_type_ids, lengths, 0, length=length),
        "attention_mask": _grid(np.ones_like(input_ids), lengths, 0, length=length),
    }


def _grid(values: IntArray, lengths: IntArray, filling: int, *, length: int | None = None) -> Tensor:
    """Returns packed values (N,) on a grid (B, T)."""
    real = np.arange(length or lengths.max()) < lengths[:, None]
    grid = np.full(real.shape, filling, np.int64)
    grid[real] = values
    return torch.from_numpy(grid)


def _halves(lengths: Sequence[int] | IntArray) -> IntArray:
    """Returns 0 for the first half of each sequence and 1 for the second, (N,)."""
    return np.concatenate([np.arange(length) // (length // 2 + 1) for length in lengths])


PRETRAINING, CLASSIFIER = AlbertForPreTraining, AlbertForSequenceClassification
"""The classes that are measured."""
