"""The kind `choice`: the right one of several choices.

The model gives each choice a logit, without seeing the others. A prediction is a row of logits, one a choice;
a question with fewer choices than others has -inf after its own.
Letters: B questions, K the largest number of choices that one of them has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.errors import DataError
from albert.metrics.scores import accuracy_by_group, score
from albert.tasks.choice.features import ChoiceFeatures, make_choice_features
from albert.tasks.choice.files import DEFAULT_QUESTION, ChoiceExample, read_choices
from albert.tasks.cuts import Cuts
from albert.tasks.prediction_files import (
    Found,
    PredictionFile,
    certain_logits,
    matched,
    read_object,
    read_values,
)
from albert.tasks.predictions import (
    LineFormat,
    ObjectFormat,
    RowContent,
    clue_lines,
    glue_table,
    recorded,
    score_by_name,
)
from albert.tasks.solver import Solver, groups_of_similar_length, refuse_null_odds, without_loss
from albert.tasks.submissions import PREDICTIONS_FILE, Submission
from albert.tasks.task import Lengths, Task
from albert.text.tokenizer import AlbertTokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from albert.model.losses import LossSum
    from albert.model.pretrained import Pretrained
    from albert.model.task_models import AlbertForMultipleChoice

_IMPLIED_QUESTIONS = {"answer": "", "cause": "What is the cause?", "effect": "What is the effect?"}


@dataclass(frozen=True, slots=True)
class ChoiceObjective:
    """Cross-entropy over the choices of each question."""

    def counts(self, batch: ChoiceFeatures) -> dict[str, int]:
        """Return the number of questions."""
        return {"task": len(batch)}

    def sums(self, model: AlbertForMultipleChoice, batch: ChoiceFeatures) -> dict[str, LossSum]:
        """Return the summed loss of the questions of `batch`."""
        from albert.model.losses import cross_entropy_sum
        from albert.model.packing import on_device

        logits = _packed_logits(model, batch)
        return {"task": cross_entropy_sum(logits, on_device(batch.labels, logits.device))}


class ChoiceSolver(Solver):
    """One of several choices for a question on a passage."""

    features_class = ChoiceFeatures

    def example_pattern(self, task: Task, path: Path) -> re.Pattern[bytes] | None:
        """Return the pattern of a line; None for RACE and C3, whose lines hold several questions."""
        return None if task.data.layout in {"race", "c3"} else super().example_pattern(task, path)

    def rows(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool
    ) -> Iterator[ChoiceExample | DataError]:
        """Yield the questions of RACE, C3, COPA, or own tables."""
        del split
        for path in paths:
            yield from read_choices(task, path, labelled=labelled)

    def group_of(self, example: ChoiceExample) -> str:
        """Return the passage."""
        return example.passage

    def encode(
        self,
        task: Task,
        examples: Sequence[ChoiceExample],
        tokenizer: AlbertTokenizer,
        *,
        lengths: Lengths,
        cuts: Cuts | None = None,
    ) -> ChoiceFeatures:
        """Return every choice of every question as `[CLS] passage [SEP] question and choice [SEP]`."""
        del task
        return make_choice_features(examples, tokenizer, lengths=lengths, cuts=cuts)

    def model_class(self, task: Task) -> type[Pretrained]:
        """Return the class that gives each choice a logit."""
        from albert.model.task_models import AlbertForMultipleChoice

        del task
        return AlbertForMultipleChoice

    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Return the class that gives each choice a logit."""
        from albert.model.task_models import AlbertForMultipleChoice

        return (AlbertForMultipleChoice,)

    def is_made_for(self, config: AlbertConfig) -> bool:
        """Whether the model was not trained for regression, which has the same head."""
        return config.problem_type != "regression"

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return the dropout before the classifier, and remove labels and kind of loss."""
        return {
            "classifier_dropout_prob": task.hyperparameters.classifier_dropout_prob,
            "problem_type": None,
            "id2label": None,
        }

    def objective(self, task: Task) -> ChoiceObjective:
        """Return the cross-entropy."""
        del task
        return ChoiceObjective()

    def guessing_loss(self, task: Task, examples: Sequence[ChoiceExample]) -> float:
        """Return the mean logarithm of the number of choices."""
        del task
        return float(np.mean([math.log(len(example.choices)) for example in examples]))

    def guess(
        self, task: Task, known: Sequence[ChoiceExample], examples: Sequence[ChoiceExample]
    ) -> NDArray[np.float32]:
        """Return how often each place holds the right choice, so that the most frequent place is taken."""
        del task
        places = max(len(example.choices) for example in (*known, *examples))
        counts = np.bincount(_labels(known), minlength=places) + 0.5
        logits = np.tile(np.log(counts / counts.sum()).astype(np.float32), (len(examples), 1))
        for row, example in zip(logits, examples, strict=True):
            row[len(example.choices) :] = -np.inf
        return logits

    def are_all_alike(self, task: Task, predictions: NDArray[np.float32]) -> bool:
        """Whether the choice with the same number is predicted for every question."""
        del task
        return len(np.unique(predictions.argmax(-1))) == 1

    def predict(
        self, task: Task, model: Pretrained, examples: Sequence[ChoiceExample], features: ChoiceFeatures
    ) -> NDArray[np.float32]:
        """Return the logits, (B, K)."""
        import torch

        from albert.model.task_models import AlbertForMultipleChoice

        del task, examples
        assert isinstance(model, AlbertForMultipleChoice)
        shape = (len(features), features.num_choices.max(initial=0))
        logits = np.full(shape, -np.inf, np.float32)
        model.eval()
        with torch.inference_mode():
            for indices in groups_of_similar_length(features.question_lengths):
                found = _packed_logits(model, features.take(indices)).float().cpu().numpy()
                logits[indices, : found.shape[1]] = found
        return logits

    def scores(
        self, task: Task, examples: Sequence[ChoiceExample], predictions: NDArray[np.float32]
    ) -> dict[str, float]:
        """Return the accuracy, overall and for every group of the benchmark, and the mean `loss`."""
        labels, chosen = _labels(examples), predictions.argmax(-1)
        groups = [example.group for example in examples]
        found = score(task.metrics, labels=labels, predictions=chosen)
        if all(groups):
            found |= accuracy_by_group(labels, chosen, groups)
        return {**found, "loss": float(self.losses(task, examples, predictions).mean())}

    def losses(
        self, task: Task, examples: Sequence[ChoiceExample], predictions: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return the cross-entropy of each prediction, (B,)."""
        from scipy.special import log_softmax

        del task
        labels = _labels(examples)
        return -log_softmax(predictions.astype(np.float64), axis=-1)[np.arange(len(labels)), labels]

    def records(
        self, task: Task, examples: Sequence[ChoiceExample], predictions: NDArray[np.float32]
    ) -> Iterator[dict[str, Any]]:
        """Yield the letter of the choice as `label`, its text as `answer`, its probability as `score`.

        `scores` holds the probabilities of all choices by letter.
        """
        from scipy.special import log_softmax

        del task
        for example, logits in zip(examples, predictions, strict=True):
            own = logits[: len(example.choices)].astype(np.float64)
            scores = score_by_name(LETTERS[: len(own)], np.exp(log_softmax(own)))
            chosen = int(own.argmax())
            letter = LETTERS[chosen]
            yield {
                "label": letter,
                "answer": example.choices[chosen],
                "score": scores[letter],
                "scores": scores,
            }

    def shown(self, task: Task, example: ChoiceExample) -> dict[str, str]:
        """Return the passage, the question, the choices with their letters, and the right one."""
        del task
        question = example.question or _IMPLIED_QUESTIONS[example.relation]
        lettered = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, example.choices, strict=False)]
        texts = {"passage": example.passage} | ({"question": question} if question else {})
        texts["choices"] = " ".join(lettered)
        return texts if example.label is None else texts | {"label": lettered[example.label]}

    def row_content(self, task: Task) -> RowContent:
        """Return the question, and the letter, its probability and the choice's text.

        Passages, which several questions share, are not repeated.
        """
        question = task.data.pair_column or DEFAULT_QUESTION
        return RowContent(
            inputs={question: attrgetter("question")}, outputs=recorded("label", "score", "answer")
        )

    def submission(self, task: Task) -> Submission:
        """Return the task's official file, or an object of letters by question."""
        return task.submission or Submission(layout="letters")

    def official_format(self, task: Task, submission: Submission) -> LineFormat | ObjectFormat:
        """Return C3's JSON lines, GLUE's table with letters, or an object of letters by question."""
        del task
        if submission.layout == "glue":
            return glue_table(lambda row: row.record["label"])
        if submission.layout == "c3":
            return clue_lines(lambda row: {"label": LETTERS.index(row.record["label"])})
        return ObjectFormat(
            members=lambda chunk: {PREDICTIONS_FILE: {row.id: row.record["label"] for row in chunk.rows}}
        )

    def scores_of_file(
        self, task: Task, examples: Sequence[ChoiceExample], file: PredictionFile
    ) -> dict[str, float]:
        """Return the scores of choices named by letter or number."""
        refuse_null_odds(task, file)
        path = file.path
        if path.suffix == ".json" and self.submission(task).layout == "letters":
            found = [
                Found(id=name, value=_choice(letter, str(path)), where=f"{path}: {name!r}")
                for name, letter in read_object(path, str, what="the letter of a choice for each question")
            ]
        else:
            found = read_values(path, ("prediction", "label"), _choice)
        chosen = matched(found, examples, path)
        for number, example in zip(chosen, examples, strict=True):
            if number >= len(example.choices):
                raise DataError(
                    f"{path}: the prediction for question {example.id!r} is choice {LETTERS[number]}, "
                    f"but it has only {len(example.choices)}"
                )
        logits = certain_logits(chosen, max(len(example.choices) for example in examples))
        return without_loss(self.scores(task, examples, logits.astype(np.float32)))


def _labels(examples: Sequence[ChoiceExample]) -> NDArray[np.int64]:
    labels = [example.label for example in examples if example.label is not None]
    assert len(labels) == len(examples)
    return np.array(labels, np.int64)


def _packed_logits(model: AlbertForMultipleChoice, batch: ChoiceFeatures) -> Tensor:
    """Return the logits, (B, K); -inf where a question has no such choice."""
    import torch

    num_choices = torch.from_numpy(batch.num_choices)
    return model.packed_logits(*model.packed_inputs(batch), num_choices=num_choices)


def _choice(text: str, where: str) -> int:
    """Return the number of a choice named by its letter from A, or its number from 0."""
    if text in tuple(LETTERS):
        return LETTERS.index(text)
    if text.isascii() and text.isdecimal() and int(text) < len(LETTERS):
        return int(text)
    raise DataError(f"{where}: expected the letter of a choice, or its number from 0, found {text[:60]!r}")
