"""A step waits for its device once, for all numbers at once: counted in the operations that torch runs.

On a GPU every value that Python reads, and every result whose size depends on values, waits until all earlier
operations are done. The operations are the same on a CPU, so they can be counted there.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from albert.benchmarks.workload import make_features, make_pretraining_batch
from albert.config import AlbertConfig
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.language_models import AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albert.optim.optimizers import make_optimizer
from albert.pretraining.objective import Teacher, make_objective
from albert.pretraining.settings import ObjectiveSettings
from albert.tasks.choice.features import ChoiceFeatures
from albert.tasks.choice.solver import ChoiceObjective
from albert.tasks.classification.solver import ClassificationObjective
from albert.tasks.regression.solver import RegressionObjective
from albert.tasks.spans.solver import SpanObjective
from albert.tasks.spans.windows import SpanFeatures
from albert.tasks.tagging.features import TagFeatures
from albert.tasks.tagging.solver import TaggingObjective
from albert.training.loop import train
from albert.training.settings import LoopSettings

LENGTHS = np.array([12, 7, 7, 20])
TOKENS = np.arange(5, 5 + LENGTHS.sum())
CONFIG = AlbertConfig(
    vocab_size=30_000,
    embedding_size=4,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    id2label={0: "0", 1: "1"},
)
SIZED_BY_VALUES = {"nonzero", "masked_select", "_unique2", "unique_dim", "_local_scalar_dense", "equal"}


def windows() -> SpanFeatures:
    return SpanFeatures(
        input_ids=TOKENS,
        lengths=LENGTHS,
        context_starts=np.full(4, 3),
        questions=np.arange(4),
        start_positions=np.array([0, 4, 3, 8]),
        end_positions=np.array([0, 5, 3, 9]),
        character_starts=np.zeros(len(TOKENS), np.int32),
        character_ends=np.zeros(len(TOKENS), np.int32),
        is_max_context=np.ones(len(TOKENS), np.bool_),
    )


def choices() -> ChoiceFeatures:
    return ChoiceFeatures(
        tokens=TOKENS.astype(np.int32),
        starts=np.array([[2, 10]] * 5),
        counts=np.array([[3, 4]] * 5),
        num_choices=np.array([2, 3]),
        labels=np.array([1, 2]),
    )


def tags() -> TagFeatures:
    return TagFeatures(TOKENS, np.ones(len(TOKENS), np.bool_), LENGTHS, np.arange(len(TOKENS)) % 2)


KINDS: dict[str, tuple[type[Pretrained], Any, Any]] = {
    "pretraining": (
        AlbertForPreTraining,
        make_objective(ObjectiveSettings(), CONFIG),
        make_pretraining_batch(LENGTHS),
    ),
    "pretraining at two depths with a teacher": (
        AlbertForPreTraining,
        make_objective(ObjectiveSettings(depths=(1,)), CONFIG, Teacher.of(AlbertForPreTraining(CONFIG))),
        make_pretraining_batch(LENGTHS),
    ),
    "classification": (
        AlbertForSequenceClassification,
        ClassificationObjective(),
        make_features(LENGTHS),
    ),
    "regression": (
        AlbertForSequenceClassification,
        RegressionObjective(),
        make_features(LENGTHS),
    ),
    "choice": (AlbertForMultipleChoice, ChoiceObjective(), choices()),
    "spans": (AlbertForQuestionAnswering, SpanObjective(), windows()),
    "spans that may be missing": (AlbertForQuestionAnsweringBeamSearch, SpanObjective(), windows()),
    "tagging": (AlbertForTokenClassification, TaggingObjective(), tags()),
}


class Waits(TorchDispatchMode):
    """Count what would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name in SIZED_BY_VALUES:
            self.counts[name] += 1
        if name.startswith("index") and any(
            part.dtype == torch.bool
            for group in args
            if isinstance(group, list | tuple)
            for part in group
            if isinstance(part, Tensor)
        ):
            self.counts["index by a mask"] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["lamb", "adamw"])
def test_a_step_waits_for_the_device_once(kind: str, name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model_class, objective, batch = KINDS[kind]
    config = CONFIG if kind != "regression" else replace(CONFIG, id2label={0: "0"})
    model = model_class(config)
    steps = train(
        model,
        [batch, batch],
        objective,
        make_optimizer(name, model, weight_decay=0.01),
        learning_rate=lambda _: 1e-3,
        settings=LoopSettings(max_steps=2, batch_size=4, precision="float32"),
    )
    next(steps)  # The first step makes moments.
    reads, plain = Counter[str](), Tensor.tolist

    def counted(tensor: Tensor) -> Any:
        reads["tolist"] += 1
        return plain(tensor)

    monkeypatch.setattr(Tensor, "tolist", counted)
    with Waits() as waits:
        step = next(steps)
    assert np.isfinite(step.loss)
    assert not waits.counts
    assert reads["tolist"] == 1


def test_operations_that_wait_are_counted() -> None:
    x = torch.arange(4)
    with Waits() as waits:
        x[x > 1].sum().item()
        x.nonzero()
        torch.ones(4)[x]
    assert waits.counts == {"index by a mask": 1, "_local_scalar_dense": 1, "nonzero": 1}
