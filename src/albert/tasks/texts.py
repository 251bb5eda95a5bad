"""What classification, multi-label and regression share: an example is a text or a pair of texts.

They differ in what a label is. All of them encode `[CLS] text [SEP] pair [SEP]`, fine-tune
`AlbertForSequenceClassification`, and predict a row of logits for each example.
Letters: B examples, K outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from albert.errors import DataError
from albert.tasks.bad_rows import each
from albert.tasks.cuts import Cuts
from albert.tasks.features import TextFeatures, make_features
from albert.tasks.predictions import RowContent, TableColumn
from albert.tasks.published_figures import TABLE_14
from albert.tasks.solver import Solver, groups_of_similar_length
from albert.tasks.tables import Example, LabelParser, read_examples
from albert.tasks.task import Hyperparameters, Lengths, Task
from albert.tasks.text_files import plain_text_rows
from albert.text.tokenizer import AlbertTokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from albert.model.losses import LossSum
    from albert.model.pretrained import Pretrained
    from albert.model.task_models import AlbertForSequenceClassification

Logits = NDArray[np.float32]

OWN_HYPERPARAMETERS = Hyperparameters(
    learning_rate=2e-5,
    batch_size=32,
    min_steps=800,
    max_epochs=20,
    source=f"the middle of {TABLE_14}",
    sources=MappingProxyType(
        {
            "num_epochs": "800 steps are those of RTE and MRPC there; 20 passes over small data are those of "
            "Mosbach et al. (2021)"
        }
    ),
)
"""Hyperparameters for own data of these kinds."""


class TextObjective(ABC):
    """A loss on the logits of texts, after the last layer, or after several that share the head.

    Args:
        depths: Layers after which, ascending; empty for the last one only. Their losses are weighted by the
            depth, as in PABEE (Zhou et al. 2020, section 3.3).
    """

    def __init__(self, depths: tuple[int, ...] = ()) -> None:
        self._depths = depths

    def counts(self, batch: TextFeatures) -> dict[str, float]:
        """Return the number of items over which the loss of each depth is averaged."""
        return dict.fromkeys(self._weights_by_name(), self.count(batch))

    def sums(self, model: AlbertForSequenceClassification, batch: TextFeatures) -> dict[str, LossSum]:
        """Return the summed loss of the examples of `batch`, by depth."""
        from albert.model.losses import LossSum

        found = {}
        logits = logits_at_depths(model, batch, self._depths)
        for (name, weight), each_logits in zip(self._weights_by_name().items(), logits, strict=True):
            loss = self.loss(each_logits, batch)
            found[name] = LossSum(loss.total, loss.correct, weight)
        return found

    def _weights_by_name(self) -> dict[str, float]:
        """Return the weight of each depth in the loss, by name; the last one is `task`."""
        if not self._depths:
            return {"task": 1.0}
        *earlier, last = self._depths
        total = sum(self._depths)
        return {**{f"task@{depth}": depth / total for depth in earlier}, "task": last / total}

    @abstractmethod
    def count(self, batch: TextFeatures) -> float:
        """Return the number of items over which the loss is averaged, or the sum of their weights."""

    @abstractmethod
    def loss(self, logits: Tensor, batch: TextFeatures) -> LossSum:
        """Return the summed loss of logits (B, K)."""


def logits_at_depths(
    model: AlbertForSequenceClassification, batch: TextFeatures, depths: Sequence[int]
) -> list[Tensor]:
    """Return the logits of a batch, (B, K) each, after each of `depths` layers; after the last for none."""
    if not depths:
        return [packed_logits(model, batch)]
    from albert.model.packing import Packing

    ids, types, lengths = model.packed_inputs(batch)
    packing = Packing.of_lengths(lengths, ids.device)
    states = model.albert.encode_depths(ids, types, packing, rows=packing.starts, depths=depths)
    return [model.logits_of_first(first) for first in states]


class TextSolver(Solver):
    """A kind of task whose example is a text or a pair of texts."""

    trains_depths: ClassVar[bool] = True

    features_class = TextFeatures

    @abstractmethod
    def label_parser(self, task: Task) -> LabelParser:
        """Return the parser of a label's cell."""

    def model_class(self, task: Task) -> type[Pretrained]:
        """Return the class with a linear head on [CLS]."""
        from albert.model.task_models import AlbertForSequenceClassification

        del task
        return AlbertForSequenceClassification

    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Return the class with a linear head on [CLS]."""
        from albert.model.task_models import AlbertForSequenceClassification

        return (AlbertForSequenceClassification,)

    def rows(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool
    ) -> Iterator[Example | DataError]:
        """Yield the rows of tables as examples."""
        parse = self.label_parser(task)
        for path in paths:
            yield from read_examples(task, path, parse=parse, split=split, labelled=labelled)

    def text_rows(self, task: Task, path: Path) -> Iterator[Example | DataError]:
        """Yield each line of a plain text as an example."""
        if task.data.pair_column is not None:
            yield from super().text_rows(task, path)
        yield from each(plain_text_rows(path), lambda line: Example(line[1]))

    def encode(
        self,
        task: Task,
        examples: Sequence[Example],
        tokenizer: AlbertTokenizer,
        *,
        lengths: Lengths,
        cuts: Cuts | None = None,
    ) -> Any:
        """Return every example, as `TextFeatures` of `[CLS] text [SEP] pair [SEP]`."""
        del task
        return make_features(examples, tokenizer, max_seq_length=lengths.max_seq_length, cuts=cuts)

    def predict(self, task: Task, model: Pretrained, examples: Sequence[Example], features: Any) -> Any:
        """Return the logits, (B, K)."""
        del task, examples
        return self.predict_logits(model, features)

    def predict_logits(self, model: Pretrained, features: TextFeatures) -> Logits:
        """Return the logits of texts, (B, K), computed in groups of similar length."""
        import torch

        from albert.model.task_models import AlbertForSequenceClassification

        assert isinstance(model, AlbertForSequenceClassification)
        logits = np.zeros((len(features), model.config.num_labels), np.float32)
        model.eval()
        with torch.inference_mode():
            for indices in groups_of_similar_length(features.lengths):
                logits[indices] = packed_logits(model, features.take(indices)).float().cpu().numpy()
        return logits

    def shown(self, task: Task, example: Example) -> dict[str, str]:
        """Return the texts and the label."""
        texts = {"text": example.text} | ({} if example.pair is None else {"pair": example.pair})
        return texts if example.label is None else texts | {"label": self.label_text(task, example.label)}

    @abstractmethod
    def label_text(self, task: Task, label: Any) -> str:
        """Return a label as people read it."""

    def row_content(self, task: Task) -> RowContent:
        """Return the texts, and the kind's columns of a table."""
        texts: dict[str, Callable[[Any], str | None]] = {task.data.text_column: attrgetter("text")}
        if task.data.pair_column is not None:
            texts[task.data.pair_column] = attrgetter("pair")
        return RowContent(inputs=texts, outputs=self.table_columns(task))

    @abstractmethod
    def table_columns(self, task: Task) -> list[TableColumn]:
        """Return the columns of a table of predictions."""


def packed_logits(model: AlbertForSequenceClassification, batch: TextFeatures) -> Tensor:
    """Return the logits of a batch, (B, K)."""
    return model.packed_logits(*model.packed_inputs(batch))
