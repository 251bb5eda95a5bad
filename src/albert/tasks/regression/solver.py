"""The kind `regression`: one number for a text or a pair of texts.

A prediction is a row of one output, (B, 1).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.errors import DataError
from albert.metrics.scores import score
from albert.model.losses import LossSum, squared_error_sum
from albert.model.packing import on_device
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.features import TextFeatures
from albert.tasks.labels import six_digits
from albert.tasks.prediction_files import PredictionFile, matched, read_values
from albert.tasks.predictions import LineFormat, PredictionRow, glue_table, recorded, table_format
from albert.tasks.solver import refuse_null_odds, without_loss
from albert.tasks.submissions import Submission
from albert.tasks.tables import Example, LabelParser, parse_number
from albert.tasks.task import Task
from albert.tasks.texts import Logits, TextSolver, packed_logits

SAME_NUMBER = 0.01
"""Standard deviation of the predictions below which they count as one number."""


class RegressionObjective:
    """Squared error of the number."""

    def counts(self, batch: TextFeatures) -> dict[str, int]:
        """Return the number of examples."""
        return {"task": len(batch)}

    def sums(self, model: AlbertForSequenceClassification, batch: TextFeatures) -> dict[str, LossSum]:
        """Return the summed loss of the examples of `batch`."""
        logits = packed_logits(model, batch)
        return {"task": squared_error_sum(logits.squeeze(-1), on_device(batch.labels, logits.device))}


class RegressionSolver(TextSolver):
    """One number for a text or a pair of texts."""

    def is_made_for(self, config: AlbertConfig) -> bool:
        """Whether the model has one output that is a number."""
        return config.num_labels == 1 and config.problem_type in {None, "regression"}

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return the name of the output, kind of loss, and dropout before the classifier."""
        return {
            "classifier_dropout_prob": task.hyperparameters.classifier_dropout_prob,
            "problem_type": "regression",
            "id2label": {0: "score"},
        }

    def label_parser(self, task: Task) -> LabelParser:
        """Return what reads a number."""
        del task
        return parse_number

    def label_text(self, task: Task, label: float) -> str:
        """Return the number."""
        del task
        return f"{label:g}"

    def objective(self, task: Task) -> RegressionObjective:
        """Return the one loss of this kind."""
        del task
        return RegressionObjective()

    def guessing_loss(self, task: Task, examples: Sequence[Example]) -> float:
        """Return the variance of the numbers."""
        del task
        return float(_numbers(examples).var())

    def are_all_alike(self, task: Task, predictions: Logits) -> bool:
        """Whether every example gets about the same number."""
        del task
        return float(predictions[:, 0].std()) < SAME_NUMBER

    def scores(self, task: Task, examples: Sequence[Example], predictions: Logits) -> dict[str, float]:
        """Return the task's metrics and the mean `loss`."""
        named = score(task.metrics, labels=_numbers(examples), predictions=predictions[:, 0])
        return {**named, "loss": float(self.losses(task, examples, predictions).mean())}

    def losses(self, task: Task, examples: Sequence[Example], predictions: Logits) -> NDArray[np.float64]:
        """Return the squared error of each prediction, (B,)."""
        del task
        return np.square(predictions[:, 0].astype(np.float64) - _numbers(examples))

    def records(
        self, task: Task, examples: Sequence[Example], predictions: Logits
    ) -> Iterator[dict[str, Any]]:
        """Yield the number as `score`."""
        del task, examples
        for logits in predictions:
            yield {"score": six_digits(logits[0])}

    def table(self, task: Task) -> LineFormat:
        """Return a table of the numbers."""
        del task
        return table_format(["score"], recorded(["score"]))

    def official_format(self, task: Task, submission: Submission) -> LineFormat:
        """Return GLUE's table; its numbers are STS-B's, and a regression may leave their scale."""
        del task, submission

        def on_scale(row: PredictionRow) -> float:
            return six_digits(min(5.0, max(0.0, row.record["score"])))

        return glue_table(on_scale)

    def scores_of_file(
        self, task: Task, examples: Sequence[Example], file: PredictionFile
    ) -> dict[str, float]:
        """Return the scores of predicted numbers."""
        refuse_null_odds(task, file)
        found = read_values(file.path, ("prediction", "score", "label"), _parse_prediction)
        numbers = matched(found, examples, file.path)
        return without_loss(self.scores(task, examples, np.array(numbers)[:, None]))


def _numbers(examples: Sequence[Example]) -> NDArray[np.float64]:
    return np.array([np.nan if example.label is None else example.label for example in examples], np.float64)


def _parse_prediction(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise DataError(f"{where}: expected a number, found {text[:60]!r}")
    return number
