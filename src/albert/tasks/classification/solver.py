"""The kind `classification`: one label for a text or a pair of texts.

A prediction is a row of logits. Letters: B examples, K labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.errors import DataError
from albert.metrics.scores import score
from albert.tasks.class_weights import class_weights
from albert.tasks.classification.clue_files import read_cluewsc, read_csl
from albert.tasks.features import TextFeatures, label_array
from albert.tasks.labels import labels_of_model
from albert.tasks.prediction_files import (
    PredictionFile,
    certain_logits,
    ids_of,
    label_parser,
    matched,
    read_values,
    with_more_labels,
)
from albert.tasks.predictions import (
    LineFormat,
    PredictionRow,
    TableColumn,
    clue_lines,
    glue_table,
    recorded,
    score_by_name,
    scores_of,
)
from albert.tasks.solver import refuse_null_odds, without_loss
from albert.tasks.submissions import Submission
from albert.tasks.tables import Example, LabelParser, label_id_parser, labels_in
from albert.tasks.task import Task
from albert.tasks.texts import Logits, TextObjective, TextSolver

if TYPE_CHECKING:
    from torch import Tensor

    from albert.model.losses import LossSum


class ClassificationObjective(TextObjective):
    """Cross-entropy over the labels, each example weighted by its label.

    Args:
        weights: Weight of each label, (K,); empty if they weigh the same.
        depths: See `TextObjective`.
    """

    def __init__(self, weights: Sequence[float] = (), depths: tuple[int, ...] = ()) -> None:
        super().__init__(depths)
        self._weights = np.array(weights, np.float32)

    def count(self, batch: TextFeatures) -> float:
        """Return the sum of the examples' weights, their number if they weigh the same."""
        if not len(self._weights):
            return len(batch)
        return float(self._weights[batch.labels.astype(np.int64)].sum())

    def loss(self, logits: Tensor, batch: TextFeatures) -> LossSum:
        """Return the summed cross-entropy."""
        from albert.model.losses import cross_entropy_sum
        from albert.model.packing import on_device

        weights = on_device(self._weights, logits.device) if len(self._weights) else None
        return cross_entropy_sum(logits, on_device(batch.labels, logits.device).long(), weights)


class ClassificationSolver(TextSolver):
    """One label for a text or a pair of texts."""

    def is_made_for(self, config: AlbertConfig) -> bool:
        """Whether the model chooses one label among several."""
        return config.num_labels > 1 and config.problem_type in {None, "single_label_classification"}

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return the labels, the kind of loss, and the dropout before the classifier."""
        return {
            "classifier_dropout_prob": task.hyperparameters.classifier_dropout_prob,
            "problem_type": "single_label_classification",
            "id2label": dict(enumerate(task.labels)),
        }

    def with_labels_of(self, task: Task, config: AlbertConfig) -> Task:
        """Return `task` with its labels in the order of the model's outputs.

        A model that does not name its labels (LABEL_0, LABEL_1, ...) is taken to have the task's order.

        Raises:
            ConfigError: The model has other labels than the task.
        """
        return replace(task, labels=labels_of_model(task, config))

    def rows(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool
    ) -> Iterator[Example | DataError]:
        """Yield the examples of tables, or of CLUE's two layouts that are not tables."""
        read = {"csl": read_csl, "cluewsc": read_cluewsc}.get(task.data.layout)
        if read is None:
            yield from super().rows(task, paths, split=split, labelled=labelled)
            return
        for path in paths:
            yield from read(task, path, labelled=labelled)

    def stratum_of(self, task: Task, example: Example) -> Any:
        """Return the label as text."""
        return self.label_text(task, example.label)

    def label_parser(self, task: Task) -> LabelParser:
        """Return a function that turns a label into its id."""
        return label_id_parser(task)

    def label_text(self, task: Task, label: int) -> str:
        """Return the label's name."""
        return task.labels[label]

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Return `task` with the labels that occur in the training files: numbers in order, then words.

        Raises:
            DataError: There is only one label, or so many that the column can hardly hold labels.
        """
        return task if task.labels else replace(task, labels=labels_in(task, paths))

    def objective(self, task: Task) -> ClassificationObjective:
        """Return the cross-entropy, weighted by label if the task has weights."""
        return ClassificationObjective(task.class_weights, task.depths)

    def class_weights(self, task: Task, examples: Sequence[Example], text: str) -> tuple[float, ...]:
        """Return the weight of each label; balanced ones give all labels the same sum, and 1 on average."""
        counts = np.bincount(label_array(examples).astype(np.int64), minlength=len(task.labels))
        with np.errstate(divide="ignore"):
            balanced = len(examples) / (len(task.labels) * counts)
        return class_weights(text, task.labels, counts, balanced)

    def guessing_loss(self, task: Task, examples: Sequence[Example]) -> float:
        """Return the entropy of the labels, weighted if the task has weights."""
        labels, counts = np.unique(label_array(examples).astype(np.int64), return_counts=True)
        weighted = counts * np.array(task.class_weights)[labels] if task.class_weights else counts
        shares = weighted / weighted.sum()
        return float(-(shares * np.log(shares)).sum())

    def guess(self, task: Task, known: Sequence[Example], examples: Sequence[Example]) -> Logits:
        """Return the frequencies of the labels, so that the most frequent one is predicted."""
        counts = np.bincount(label_array(known).astype(np.int64), minlength=len(task.labels))
        frequencies = (counts + 0.5) / (counts + 0.5).sum()  # no label is impossible
        return np.tile(np.log(frequencies).astype(np.float32), (len(examples), 1))

    def are_all_alike(self, task: Task, predictions: Logits) -> bool:
        """Whether every example gets the same label."""
        del task
        return len(np.unique(predictions.argmax(-1))) == 1

    def scores(self, task: Task, examples: Sequence[Example], predictions: Logits) -> dict[str, float]:
        """Return the task's metrics and the mean `loss`."""
        named = score(task.metrics, labels=label_array(examples), predictions=predictions.argmax(-1))
        return {**named, "loss": float(self.losses(task, examples, predictions).mean())}

    def losses(self, task: Task, examples: Sequence[Example], predictions: Logits) -> NDArray[np.float64]:
        """Return the cross-entropy of each prediction, (B,)."""
        from scipy.special import log_softmax

        del task
        labels = label_array(examples).astype(np.int64)
        return -log_softmax(predictions.astype(np.float64), axis=-1)[np.arange(len(labels)), labels]

    def label_pairs(
        self, task: Task, examples: Sequence[Example], predictions: Logits
    ) -> list[tuple[str, str]]:
        """Return the right and the predicted label of each example."""
        pairs = zip(examples, predictions.argmax(-1), strict=True)
        return [(task.labels[example.label], task.labels[predicted]) for example, predicted in pairs]

    def records(
        self, task: Task, examples: Sequence[Example], predictions: Logits
    ) -> Iterator[dict[str, Any]]:
        """Yield `label`, its probability `score`, and the `scores` of all labels."""
        from scipy.special import log_softmax

        del examples
        for logits in predictions:
            scores = score_by_name(task.labels, np.exp(log_softmax(logits.astype(np.float64))))
            label = task.labels[int(logits.argmax())]
            yield {"label": label, "score": scores[label], "scores": scores}

    def table_columns(self, task: Task) -> list[TableColumn]:
        """Return the label, its probability, and the probabilities of all labels."""
        return [*recorded("label", "score"), *scores_of(task.labels)]

    def official_format(self, task: Task, submission: Submission) -> LineFormat:
        """Return GLUE's table or CLUE's JSON lines."""
        del task
        if submission.layout == "glue":
            return glue_table(lambda row: row.record["label"])

        def fields(row: PredictionRow) -> dict[str, Any]:
            label = row.record["label"]
            described = submission.label_descriptions
            return {"label": label} | ({"label_desc": described[label]} if described else {})

        return clue_lines(fields)

    def scores_of_file(
        self, task: Task, examples: Sequence[Example], file: PredictionFile
    ) -> dict[str, float]:
        """Return the scores of predicted labels."""
        refuse_null_odds(task, file)
        parse = label_parser(task, has_other_labels=file.has_other_labels)
        names = matched(read_values(file.path, ("prediction", "label"), parse), examples, file.path)
        task = with_more_labels(task, names)
        predictions = certain_logits(ids_of(task, names), len(task.labels))
        return without_loss(self.scores(task, examples, predictions.astype(np.float32)))
