"""A step asks its device for numbers once, when all of them are there: counted in what torch is asked to do.

On a GPU every value that Python looks at, and every result whose size depends on values, waits until all that
was asked before is done. The operations are the same on a CPU, so they can be counted there.
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
from albert.model.pretrained import AlbertForPreTraining, Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albert.optim.optimizers import make_optimizer
from albert.pretraining.objective import PretrainingObjective
from albert.tasks.choice.features import ChoiceFeatures
from albert.tasks.choice.solver import ChoiceObjective
from albert.tasks.classification.solver import ClassificationObjective
from albert.tasks.spans.solver import SpanObjective
from albert.tasks.spans.windows import SpanFeatures
from albert.tasks.tagging.features import TagFeatures
from albert.tasks.tagging.solver import TaggingObjective
from albert.training.loop import train
from albert.training.settings import LoopSettings

LENGTHS = np.array([12, 7, 7, 20])
PIECES = np.arange(5, 5 + LENGTHS.sum())
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
        input_ids=PIECES,
        lengths=LENGTHS,
        context_starts=np.full(4, 3),
        questions=np.arange(4),
        start_positions=np.array([0, 4, 3, 8]),
        end_positions=np.array([0, 5, 3, 9]),
        character_starts=np.zeros(len(PIECES), np.int32),
        character_ends=np.zeros(len(PIECES), np.int32),
        is_max_context=np.ones(len(PIECES), np.bool_),
    )


def choices() -> ChoiceFeatures:
    return ChoiceFeatures(
        pieces=PIECES.astype(np.int32),
        starts=np.array([[2, 10]] * 5),
        counts=np.array([[3, 4]] * 5),
        num_choices=np.array([2, 3]),
        labels=np.array([1, 2]),
    )


def tags() -> TagFeatures:
    return TagFeatures(PIECES, np.ones(len(PIECES), np.bool_), LENGTHS, np.arange(len(PIECES)) % 2)


KINDS: dict[str, tuple[type[Pretrained], Any, Any]] = {
    "pretraining": (AlbertForPreTraining, PretrainingObjective(), make_pretraining_batch(LENGTHS)),
    "classification": (
        AlbertForSequenceClassification,
        ClassificationObjective("classification"),
        make_features(LENGTHS),
    ),
    "regression": (
        AlbertForSequenceClassification,
        ClassificationObjective("regression"),
        make_features(LENGTHS),
    ),
    "choice": (AlbertForMultipleChoice, ChoiceObjective(), choices()),
    "spans": (AlbertForQuestionAnswering, SpanObjective(), windows()),
    "spans that may lack": (AlbertForQuestionAnsweringBeamSearch, SpanObjective(), windows()),
    "tagging": (AlbertForTokenClassification, TaggingObjective(), tags()),
}


class Questions(TorchDispatchMode):
    """Count what would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name in SIZED_BY_VALUES:
            self.asked[name] += 1
        if name.startswith("index") and any(
            part.dtype == torch.bool
            for group in args
            if isinstance(group, list | tuple)
            for part in group
            if isinstance(part, Tensor)
        ):
            self.asked["index by a mask"] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["lamb", "adamw"])
def test_a_step_asks_for_numbers_once(kind: str, name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
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
    next(steps)  # The first makes moments.
    looks, plain = Counter[str](), Tensor.tolist

    def looked(tensor: Tensor) -> Any:
        looks["tolist"] += 1
        return plain(tensor)

    monkeypatch.setattr(Tensor, "tolist", looked)
    with Questions() as questions:
        step = next(steps)
    assert np.isfinite(step.loss)
    assert not questions.asked
    assert looks["tolist"] == 1


def test_questions_that_wait_are_seen() -> None:
    x = torch.arange(4)
    with Questions() as questions:
        x[x > 1].sum().item()
        x.nonzero()
        torch.ones(4)[x]
    assert questions.asked == {"index by a mask": 1, "_local_scalar_dense": 1, "nonzero": 1}
