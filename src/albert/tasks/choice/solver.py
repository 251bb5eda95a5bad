"""Choosing the right one of some choices: the solver of `choice`.

Stands on `choice_features` and the model that rates one choice at a time. An answer is a row of logits, one a
choice; a question with fewer choices than others has -inf behind its own.
Letters: B questions, C the most choices that one of them has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.metrics.scores import accuracy_by_group, score
from albert.model.losses import LossSum, cross_entropy_sum
from albert.model.packing import on_device
from albert.model.pretrained import Pretrained
from albert.model.task_models import AlbertForMultipleChoice
from albert.tasks.choice.features import ChoiceFeatures, make_choice_features
from albert.tasks.choice.files import ChoiceExample, read_choices
from albert.tasks.labels import six_digits
from albert.tasks.solver import groups_of_similar_length
from albert.tasks.task import Lengths, Task
from albert.text.tokenizer import AlbertTokenizer

_ASKED = {"answer": "", "cause": "What is the cause?", "effect": "What is the effect?"}


@dataclass(frozen=True, slots=True)
class ChoiceObjective:
    """What fine-tuning minimises: cross-entropy over the choices of each question."""

    def counts(self, batch: ChoiceFeatures) -> dict[str, int]:
        """Returns the number of questions."""
        return {"task": len(batch)}

    def sums(self, model: AlbertForMultipleChoice, batch: ChoiceFeatures) -> dict[str, LossSum]:
        """Returns the summed loss of the questions of `batch`."""
        logits = _packed_logits(model, batch)
        return {"task": cross_entropy_sum(logits, on_device(batch.labels, logits.device))}


class ChoiceSolver:
    """One of some choices for a question on a passage."""

    def read(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool = True
    ) -> Iterator[ChoiceExample]:
        """Reads the files of RACE, C3 or COPA, or own tables."""
        del split
        for path in paths:
            yield from read_choices(task, path, labelled=labelled)

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Returns `task`: every question has choices of its own."""
        del paths
        return task

    def encode(
        self, task: Task, examples: Sequence[ChoiceExample], tokenizer: AlbertTokenizer, *, lengths: Lengths
    ) -> ChoiceFeatures:
        """Returns `[CLS] passage [SEP] question and choice [SEP]` of every choice of every question."""
        del task
        return make_choice_features(examples, tokenizer, lengths=lengths)

    def model_class(self, task: Task) -> type[Pretrained]:
        """Returns the one class of this kind."""
        del task
        return AlbertForMultipleChoice

    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Returns the one class of this kind."""
        return (AlbertForMultipleChoice,)

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Returns dropout before the classifier, and that there are no labels."""
        return {
            "classifier_dropout_prob": task.recipe.classifier_dropout_prob,
            "problem_type": None,
            "id2label": None,
        }

    def with_labels_of(self, task: Task, config: AlbertConfig) -> Task:
        """Returns `task`.

        Raises:
            ConfigError: The model was trained to rate texts with a number; its head only looks the same.
        """
        if config.problem_type == "regression":
            raise ConfigError(
                f"the model was trained for regression, but task {task.name!r} is choice; "
                "give the model that was fine-tuned for it"
            )
        return task

    def objective(self, task: Task) -> ChoiceObjective:
        """Returns the one loss of this kind."""
        del task
        return ChoiceObjective()

    def answers(
        self, task: Task, model: Pretrained, examples: Sequence[ChoiceExample], features: ChoiceFeatures
    ) -> NDArray[np.float32]:
        """Returns the logits (B, C)."""
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
        self, task: Task, examples: Sequence[ChoiceExample], answers: NDArray[np.float32]
    ) -> dict[str, float]:
        """Returns the accuracy, that of every group of the benchmark, and the mean `loss`."""
        labels, predictions = _labels(examples), answers.argmax(-1)
        groups = [example.group for example in examples]
        found = score(task.metrics, labels=labels, predictions=predictions)
        if all(groups):
            found |= accuracy_by_group(labels, predictions, groups)
        return {**found, "loss": float(self.losses(task, examples, answers).mean())}

    def losses(
        self, task: Task, examples: Sequence[ChoiceExample], answers: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Returns the cross-entropy of each answer, (B,)."""
        del task
        labels = _labels(examples)
        return -log_softmax(answers.astype(np.float64), axis=-1)[np.arange(len(labels)), labels]

    def records(
        self, task: Task, examples: Sequence[ChoiceExample], answers: NDArray[np.float32]
    ) -> Iterator[dict[str, Any]]:
        """Yields the letter of the choice as `label`, its text as `answer`, its probability as `score`.

        `scores` has the probabilities of all choices by letter.
        """
        del task
        for example, logits in zip(examples, answers, strict=True):
            own = logits[: len(example.choices)].astype(np.float64)
            probabilities = map(six_digits, np.exp(log_softmax(own)))
            scores = dict(zip(LETTERS, probabilities, strict=False))
            chosen = int(own.argmax())
            letter = LETTERS[chosen]
            yield {
                "label": letter,
                "answer": example.choices[chosen],
                "score": scores[letter],
                "scores": scores,
            }

    def shown(self, task: Task, example: ChoiceExample) -> dict[str, str]:
        """Returns passage, question, choices with their letters, and the right one."""
        del task
        question = example.question or _ASKED[example.relation]
        lettered = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, example.choices, strict=False)]
        texts = {"passage": example.passage} | ({"question": question} if question else {})
        texts["choices"] = " ".join(lettered)
        return texts if example.label is None else texts | {"label": lettered[example.label]}


def _labels(examples: Sequence[ChoiceExample]) -> NDArray[np.int64]:
    labels = [example.label for example in examples if example.label is not None]
    assert len(labels) == len(examples)
    return np.array(labels, np.int64)


def _packed_logits(model: AlbertForMultipleChoice, batch: ChoiceFeatures) -> Tensor:
    """Returns logits (B, C), -inf where a question has no such choice."""
    num_choices = torch.from_numpy(batch.num_choices)
    return model.packed_logits(*model.packed_inputs(batch), num_choices=num_choices)
