"""Predicted answers, and the official files of SQuAD: content, reading, and scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.console import warn
from albert.errors import ConfigError
from albert.metrics.answers import score_answers_v1, score_answers_v2
from albert.metrics.chinese_answers import score_chinese_answers
from albert.tasks.prediction_files import PredictionFile, read_object
from albert.tasks.predictions import Chunk
from albert.tasks.spans.decoding import SpanAnswer, best_spans_by_id, null_odds_by_id, predicted_texts
from albert.tasks.spans.files import Question
from albert.tasks.submissions import PREDICTIONS_FILE
from albert.tasks.tables import Columns, read_rows
from albert.tasks.task import Task

BEST_SPANS_FILE = "nbest_predictions.json"
NULL_ODDS_FILE = "null_odds.json"

OFFICIAL_NULL_THRESHOLD = 1.0
"""Default threshold of the script evaluate-v2.0."""
EVEN_ODDS = 0.0
"""Null threshold of a model without a better one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanPredictions:
    """Predicted answers to some questions, and the threshold for giving none."""

    answers: tuple[SpanAnswer, ...]
    """One for each question."""
    may_lack_answer: bool
    """Whether "", no answer, is possible."""
    null_threshold: float | None = None
    """Null odds above which there is no answer; if None, scoring uses the threshold with the best F1, and all
    else even odds."""

    @property
    def threshold(self) -> float | None:
        """Null odds above which the prediction is no answer; None if every question is answered."""
        if not self.may_lack_answer:
            return None
        return EVEN_ODDS if self.null_threshold is None else self.null_threshold


def official_members(chunk: Chunk) -> dict[str, dict[str, Any]]:
    """Return what some predictions add to each official file, by its name: answers, best spans, null odds.

    Null odds are included if a question may lack an answer.
    """
    predictions: SpanPredictions = chunk.predictions
    questions, answers, threshold = chunk.examples, predictions.answers, predictions.threshold
    members: dict[str, dict[str, Any]] = {
        PREDICTIONS_FILE: dict(predicted_texts(questions, answers, null_threshold=threshold)),
        BEST_SPANS_FILE: dict(best_spans_by_id(questions, answers)),
    }
    if threshold is not None:
        members[NULL_ODDS_FILE] = dict(null_odds_by_id(questions, answers))
    return members


def read_texts(path: Path) -> dict[str, str]:
    """Return predicted answers by question id, from a JSON object or JSON lines with `id` and `answer`.

    Raises:
        DataError: The file is neither.
    """
    if path.suffix == ".jsonl":
        columns = Columns(required=("id", "answer"))
        return {row.cells[0]: row.cells[1] for row in read_rows(path, columns)}
    return dict(read_object(path, str, what="a text for each question"))


def score_answer_file(task: Task, examples: Sequence[Question], file: PredictionFile) -> dict[str, float]:
    """Return the official scores of a file of answers, with a warning for missing and for surplus ones.

    Raises:
        DataError: A file cannot be read.
        ConfigError: Null odds are given but every question has an answer, or a threshold without null odds.
    """
    gold = {question.id: question.texts for question in examples}
    texts = read_texts(file.path)
    odds = (
        None
        if file.null_odds is None
        else dict(read_object(file.null_odds, float, what="a number for each question"))
    )
    if odds is None and file.threshold is not None:
        raise ConfigError("--threshold without --null-odds changes nothing; give both or neither")
    may_lack_answer = task.may_lack_answer or any(question.is_impossible for question in examples)
    if odds is not None and (task.language == "zh" or not may_lack_answer):
        raise ConfigError(
            f"--null-odds {file.null_odds}: every question of task {task.name!r} has an answer; drop it"
        )
    if task.language == "zh":
        scores = score_chinese_answers(gold, texts)
    elif may_lack_answer:
        threshold = OFFICIAL_NULL_THRESHOLD if file.threshold is None else file.threshold
        scores = score_answers_v2(gold, texts, null_odds=odds, threshold=threshold)
    else:
        scores = score_answers_v1(gold, texts)
    if scores["missing"]:
        warn(f"{file.path}: {scores['missing']:,} of {len(gold):,} questions have no prediction")
    if others := sum(question not in gold for question in texts):
        warn(f"{file.path}: {others:,} predictions are for other questions and are ignored")
    return scores
