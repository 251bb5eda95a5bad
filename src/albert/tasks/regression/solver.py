"""The kind `regression`: one number for a text or a pair of texts.

A prediction is a row with a single output, (B, 1). Letters: B examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.metrics.scores import score
from albert.tasks.features import TextFeatures, label_array
from albert.tasks.labels import six_digits
from albert.tasks.prediction_files import PredictionFile, matched, read_values
from albert.tasks.predictions import LineFormat, PredictionRow, TableColumn, glue_table, recorded
from albert.tasks.solver import refuse_null_odds, without_loss
from albert.tasks.submissions import Submission
from albert.tasks.tables import Example, LabelParser, parse_number
from albert.tasks.task import Task
from albert.tasks.texts import Logits, TextObjective, TextSolver

if TYPE_CHECKING:
    from torch import Tensor

    from albert.model.losses import LossSum

SAME_NUMBER = 0.01
"""Standard deviation below which predictions count as the same number."""


class RegressionObjective(TextObjective):
    """Squared error of the predicted number."""

    def count(self, batch: TextFeatures) -> int:
        """Return the number of examples."""
        return len(batch)

    def loss(self, logits: Tensor, batch: TextFeatures) -> LossSum:
        """Return the summed squared error."""
        from albert.model.losses import squared_error_sum
        from albert.model.packing import on_device

        return squared_error_sum(logits.squeeze(-1), on_device(batch.labels, logits.device))


class RegressionSolver(TextSolver):
    """One number for a text or a pair of texts."""

    def is_made_for(self, config: AlbertConfig) -> bool:
        """Whether the model has a single output, a number."""
        return config.num_labels == 1 and config.problem_type in {None, "regression"}

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return the name of the output, the kind of loss, and the dropout before the classifier."""
        return {
            "classifier_dropout_prob": task.hyperparameters.classifier_dropout_prob,
            "problem_type": "regression",
            "id2label": {0: "score"},
        }

    def label_parser(self, task: Task) -> LabelParser:
        """Return the parser of numbers."""
        del task
        return parse_number

    def label_text(self, task: Task, label: float) -> str:
        """Return the number as text."""
        del task
        return f"{label:g}"

    def objective(self, task: Task) -> RegressionObjective:
        """Return the squared error."""
        return RegressionObjective(task.depths)

    def guessing_loss(self, task: Task, examples: Sequence[Example]) -> float:
        """Return the variance of the numbers."""
        del task
        return float(label_array(examples).var())

    def guess(self, task: Task, known: Sequence[Example], examples: Sequence[Example]) -> Logits:
        """Return the mean of the numbers."""
        del task
        return np.full((len(examples), 1), label_array(known).mean(), np.float32)

    def are_all_alike(self, task: Task, predictions: Logits) -> bool:
        """Whether every example gets about the same number."""
        del task
        return float(predictions[:, 0].std()) < SAME_NUMBER

    def scores(self, task: Task, examples: Sequence[Example], predictions: Logits) -> dict[str, float]:
        """Return the task's metrics and the mean `loss`."""
        named = score(task.metrics, labels=label_array(examples), predictions=predictions[:, 0])
        return {**named, "loss": float(self.losses(task, examples, predictions).mean())}

    def losses(self, task: Task, examples: Sequence[Example], predictions: Logits) -> NDArray[np.float64]:
        """Return the squared error of each prediction, (B,)."""
        del task
        return np.square(predictions[:, 0].astype(np.float64) - label_array(examples))

    def records(
        self, task: Task, examples: Sequence[Example], predictions: Logits
    ) -> Iterator[dict[str, Any]]:
        """Yield the number as `score`."""
        del task, examples
        for logits in predictions:
            yield {"score": six_digits(logits[0])}

    def table_columns(self, task: Task) -> list[TableColumn]:
        """Return the column `score`."""
        del task
        return recorded("score")

    def official_format(self, task: Task, submission: Submission) -> LineFormat:
        """Return GLUE's table, with numbers clipped to the scale of STS-B, 0 to 5."""
        del task, submission

        def on_scale(row: PredictionRow) -> float:
            return six_digits(min(5.0, max(0.0, row.record["score"])))

        return glue_table(on_scale)

    def scores_of_file(
        self, task: Task, examples: Sequence[Example], file: PredictionFile
    ) -> dict[str, float]:
        """Return the scores of predicted numbers."""
        refuse_null_odds(task, file)
        found = read_values(file.path, ("prediction", "score", "label"), parse_number)
        numbers = matched(found, examples, file.path)
        return without_loss(self.scores(task, examples, np.array(numbers)[:, None]))
