"""The kind `multi-label`: any number of labels for a text or a pair of texts, each decided independently.

Every label is a binary decision with a sigmoid, so the probabilities do not add up to 1. A label is predicted
if its probability reaches a threshold, 0.5 unless another is given; the scores report the threshold with the
best micro-F1. Letters: B examples, K labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.errors import DataError
from albert.tasks.class_weights import class_weights
from albert.tasks.features import TextFeatures, label_array
from albert.tasks.labels import labels_of_model
from albert.tasks.multi_label.labels import (
    MultiHot,
    best_threshold,
    join_labels,
    known_labels_parser,
    label_columns,
    labels_in_sets,
    multi_hot,
    read_binary_columns,
    split_labels,
)
from albert.tasks.prediction_files import PredictionFile, matched, read_values, with_more_labels
from albert.tasks.predictions import TableColumn, score_by_name, scores_of
from albert.tasks.solver import refuse_null_odds
from albert.tasks.tables import Example, LabelParser, read_examples
from albert.tasks.task import Task
from albert.tasks.texts import TextObjective, TextSolver

if TYPE_CHECKING:
    from torch import Tensor

    from albert.model.losses import LossSum
    from albert.model.pretrained import Pretrained

EVEN = 0.5
"""Default threshold."""
CERTAIN = 40.0
"""Logit of a label predicted with certainty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSets:
    """Predictions: the logit of each label, and the threshold at which it is predicted."""

    logits: NDArray[np.float32]
    """Logits of all labels, (B, K)."""
    threshold: float = EVEN
    """Lowest probability at which a label is predicted."""

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of each label, (B, K)."""
        from scipy.special import expit

        return expit(self.logits.astype(np.float64))

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Whether each label is predicted, (B, K)."""
        return self.probabilities >= self.threshold


class MultiLabelObjective(TextObjective):
    """Binary cross-entropy of each label, averaged over labels and examples.

    Args:
        weights: Weight of having each label, (K,), against 1 of not having it; empty if all weigh 1.
        depths: See `TextObjective`.
    """

    def __init__(self, weights: Sequence[float] = (), depths: tuple[int, ...] = ()) -> None:
        super().__init__(depths)
        self._weights = np.array(weights, np.float32)

    def count(self, batch: TextFeatures) -> int:
        """Return the number of decisions, examples times labels."""
        return batch.labels.size

    def loss(self, logits: Tensor, batch: TextFeatures) -> LossSum:
        """Return the summed loss of the decisions."""
        import torch.nn.functional as F

        from albert.model.losses import LossSum
        from albert.model.packing import on_device

        logits = logits.float()  # (B, K)
        labels = on_device(batch.labels, logits.device).float()
        weights = on_device(self._weights, logits.device) if len(self._weights) else None
        total = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights, reduction="sum")
        return LossSum(total, ((logits.detach() >= 0) == (labels > 0)).sum())


class MultiLabelSolver(TextSolver):
    """Any number of labels for a text or a pair of texts."""

    def is_made_for(self, config: AlbertConfig) -> bool:
        """Whether the model decides each label independently."""
        return config.problem_type == "multi_label_classification"

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return the labels, the kind of loss, and the dropout before the classifier."""
        return {
            "classifier_dropout_prob": task.hyperparameters.classifier_dropout_prob,
            "problem_type": "multi_label_classification",
            "id2label": dict(enumerate(task.labels)),
        }

    def with_labels_of(self, task: Task, config: AlbertConfig) -> Task:
        """Return `task` with its labels in the order of the model's outputs."""
        return replace(task, labels=labels_of_model(task, config))

    def rows(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool
    ) -> Iterator[Example | DataError]:
        """Yield the rows of tables as examples; in JSON lines the labels may be a list.

        If `--label-column` names several columns, each holds 1 or 0 for the label of its name.
        """
        names = label_columns(task)
        if names and labelled:
            for path in paths:
                yield from read_binary_columns(task, path, names)
            return
        parse, lists = self.label_parser(task), (task.data.label_column,)
        for path in paths:
            yield from read_examples(task, path, parse=parse, split=split, labelled=labelled, lists=lists)

    def stratum_of(self, task: Task, example: Example) -> Any:
        """Return the label as text."""
        return self.label_text(task, example.label)

    def label_parser(self, task: Task) -> LabelParser:
        """Return a function that turns a cell into a row of ones and zeros."""
        names = known_labels_parser(task.labels)
        return lambda cell, where: multi_hot(names(cell, where), task.labels)

    def label_text(self, task: Task, label: MultiHot) -> str:
        """Return the names of the labels, "(none)" if there are none."""
        return join_labels(_names(task, np.array(label) > 0)) or "(none)"

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Return `task` with the labels that occur in the training files."""
        found = task.labels or label_columns(task) or labels_in_sets(task, paths)
        return replace(task, labels=found)

    def objective(self, task: Task) -> MultiLabelObjective:
        """Return the binary cross-entropy, weighted by label if the task has weights."""
        return MultiLabelObjective(task.class_weights, task.depths)

    def class_weights(self, task: Task, examples: Sequence[Example], text: str) -> tuple[float, ...]:
        """Return the weight of having each label; balanced is examples without it over examples with it."""
        counts = label_array(examples).astype(np.int64).sum(0)  # (B, K) -> (K,)
        with np.errstate(divide="ignore"):
            balanced = (len(examples) - counts) / counts
        return class_weights(text, task.labels, counts, balanced)

    def guessing_loss(self, task: Task, examples: Sequence[Example]) -> float:
        """Return the mean over labels of the entropy of having the label or not, weighted if it is."""
        from scipy.special import entr

        shares = label_array(examples).mean(0)  # (B, K) -> (K,)
        having = shares * (task.class_weights or 1.0)
        total = having + 1 - shares
        return float((total * (entr(having / total) + entr(1 - having / total))).mean())

    def guess(self, task: Task, known: Sequence[Example], examples: Sequence[Example]) -> LabelSets:
        """Return the frequencies of the labels; those of at least half of the examples are predicted."""
        from scipy.special import logit

        del task
        found = label_array(known)
        shares = (found.sum(0) + 0.5) / (len(found) + 1)  # (B, K) -> (K,)
        return LabelSets(logits=np.tile(logit(shares).astype(np.float32), (len(examples), 1)))

    def are_all_alike(self, task: Task, predictions: LabelSets) -> bool:
        """Whether every example gets the same labels."""
        del task
        return len(np.unique(predictions.predicted, axis=0)) == 1

    def predict(
        self, task: Task, model: Pretrained, examples: Sequence[Example], features: TextFeatures
    ) -> LabelSets:
        """Return the logits of all labels."""
        del task, examples
        return LabelSets(logits=self.predict_logits(model, features))

    def with_threshold(self, task: Task, predictions: LabelSets, threshold: float | None) -> LabelSets:
        """Return `predictions` decided at a threshold, 0.5 where none is given."""
        del task
        return replace(predictions, threshold=EVEN if threshold is None else threshold)

    def scores(self, task: Task, examples: Sequence[Example], predictions: LabelSets) -> dict[str, float]:
        """Return micro- and macro-F1, how often all labels are right, and the mean `loss`.

        These hold at the predictions' threshold; `best_threshold` is the one with the best micro-F1.
        """
        from sklearn.metrics import f1_score

        labels, predicted = label_array(examples) > 0, predictions.predicted
        found = {
            "f1_micro": f1_score(labels, predicted, average="micro", zero_division=0.0),
            "f1_macro": f1_score(labels, predicted, average="macro", zero_division=0.0),
            "subset_accuracy": (labels == predicted).all(1).mean(),
        }
        threshold, best = best_threshold(predictions.probabilities, labels.astype(np.float64))
        loss = self.losses(task, examples, predictions).mean()
        others = {"best_f1_micro": best, "best_threshold": threshold, "loss": loss}
        named = {name: found[name] for name in task.metrics}
        return {name: float(value) for name, value in (named | others).items()}

    def losses(self, task: Task, examples: Sequence[Example], predictions: LabelSets) -> NDArray[np.float64]:
        """Return the mean binary cross-entropy of each example, (B,)."""
        del task
        logits = predictions.logits.astype(np.float64)
        return (np.logaddexp(0, logits) - logits * label_array(examples)).mean(1)

    def records(
        self, task: Task, examples: Sequence[Example], predictions: LabelSets
    ) -> Iterator[dict[str, Any]]:
        """Yield the predicted `labels` and the `scores` of all labels."""
        del examples
        for chosen, probabilities in zip(predictions.predicted, predictions.probabilities, strict=True):
            yield {"labels": _names(task, chosen), "scores": score_by_name(task.labels, probabilities)}

    def table_columns(self, task: Task) -> list[TableColumn]:
        """Return the labels, separated by commas, and the probability of each."""
        return [("labels", lambda record: join_labels(record["labels"])), *scores_of(task.labels)]

    def scores_of_file(
        self, task: Task, examples: Sequence[Example], file: PredictionFile
    ) -> dict[str, float]:
        """Return the scores of predicted labels; labels that no example has count as wrong."""
        refuse_null_odds(task, file)
        parse = split_labels if file.has_other_labels else known_labels_parser(task.labels)
        found = read_values(file.path, ("prediction", "labels", "label"), parse, may_be_empty=True)
        names = matched(found, examples, file.path)
        own = [_names(task, np.array(example.label) > 0) for example in examples]
        task = with_more_labels(task, [name for row in names for name in row])
        examples = [
            replace(example, label=multi_hot(row, task.labels))
            for example, row in zip(examples, own, strict=True)
        ]
        chosen = np.array([multi_hot(row, task.labels) for row in names])  # (B, K)
        predictions = LabelSets(logits=((2 * chosen - 1) * CERTAIN).astype(np.float32))
        scores = self.scores(task, examples, predictions)
        return {name: scores[name] for name in task.metrics}


def _names(task: Task, chosen: NDArray[np.bool_]) -> list[str]:
    return [task.labels[number] for number in np.flatnonzero(chosen)]
