"""Classifying texts and rating them with a number: the solver of `classification` and `regression`.

Stands on `features` and the model with one linear head. An answer is a row of logits.
Letters: B examples, K labels (1 for regression).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.metrics.scores import score
from albert.model.losses import LossSum, cross_entropy_sum, squared_error_sum
from albert.model.packing import on_device
from albert.model.pretrained import Pretrained
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.classification.clue_files import read_cluewsc, read_csl
from albert.tasks.features import TextFeatures, make_features
from albert.tasks.labels import labels_of_model, six_digits
from albert.tasks.solver import groups_of_similar_length
from albert.tasks.tables import Example, labels_in, read_examples
from albert.tasks.task import Kind, Lengths, Task
from albert.text.tokenizer import AlbertTokenizer


@dataclass(frozen=True, slots=True)
class ClassificationObjective:
    """What fine-tuning minimises: cross-entropy over the labels, or the squared error of the number."""

    kind: Kind

    def counts(self, batch: TextFeatures) -> dict[str, int]:
        """Returns the number of examples."""
        return {"task": len(batch)}

    def sums(self, model: AlbertForSequenceClassification, batch: TextFeatures) -> dict[str, LossSum]:
        """Returns the summed loss of the examples of `batch`."""
        logits = _packed_logits(model, batch)
        labels = on_device(batch.labels, logits.device)
        if self.kind == "regression":
            return {"task": squared_error_sum(logits.squeeze(-1), labels)}
        return {"task": cross_entropy_sum(logits, labels.long())}


class ClassificationSolver:
    """One label, or one number, for a text or a pair of texts."""

    def read(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool = True
    ) -> Iterator[Example]:
        """Reads tables, and the two layouts of CLUE that are none."""
        read = {"csl": read_csl, "cluewsc": read_cluewsc}.get(task.data.layout, read_examples)
        for path in paths:
            yield from read(task, path, split=split, labelled=labelled)

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Returns `task` with the labels that occur in its column: numbers in their order, then words.

        Raises:
            DataError: There is only one label, or so many that the column can hardly hold labels.
        """
        if task.labels or task.kind == "regression":
            return task
        return replace(task, labels=labels_in(task, paths))

    def encode(
        self, task: Task, examples: Sequence[Example], tokenizer: AlbertTokenizer, *, lengths: Lengths
    ) -> TextFeatures:
        """Returns `[CLS] text [SEP] pair [SEP]` of every example."""
        del task
        return make_features(examples, tokenizer, max_seq_length=lengths.max_seq_length)

    def model_class(self, task: Task) -> type[Pretrained]:
        """Returns the one class of this kind."""
        del task
        return AlbertForSequenceClassification

    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Returns the one class of this kind."""
        return (AlbertForSequenceClassification,)

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Returns labels, kind of loss, and dropout before the classifier."""
        return {
            "classifier_dropout_prob": task.recipe.classifier_dropout_prob,
            "problem_type": "regression" if task.kind == "regression" else "single_label_classification",
            "id2label": dict(enumerate(task.labels or ("score",))),
        }

    def with_labels_of(self, task: Task, config: AlbertConfig) -> Task:
        """Returns `task` with its labels in the order of the model's outputs.

        A model that does not name its labels (LABEL_0, LABEL_1, ...) is taken to have the task's order.

        Raises:
            ConfigError: The model predicts something else than the task asks for.
        """
        kind = kind_of_classifier(config)
        if kind != task.kind:
            raise ConfigError(
                f"the model was trained for {kind}, but task {task.name!r} is {task.kind}; "
                "give the model that was fine-tuned for it"
            )
        return task if kind == "regression" else replace(task, labels=labels_of_model(task, config))

    def objective(self, task: Task) -> ClassificationObjective:
        """Returns the loss of the task's kind."""
        return ClassificationObjective(task.kind)

    def answers(
        self, task: Task, model: Pretrained, examples: Sequence[Example], features: TextFeatures
    ) -> NDArray[np.float32]:
        """Returns the logits (B, K)."""
        del task, examples
        assert isinstance(model, AlbertForSequenceClassification)
        logits = np.zeros((len(features), model.config.num_labels), np.float32)
        model.eval()
        with torch.inference_mode():
            for indices in groups_of_similar_length(features.lengths):
                logits[indices] = _packed_logits(model, features.take(indices)).float().cpu().numpy()
        return logits

    def scores(
        self, task: Task, examples: Sequence[Example], answers: NDArray[np.float32]
    ) -> dict[str, float]:
        """Returns the task's metrics and the mean `loss`."""
        predictions = answers[:, 0] if task.kind == "regression" else answers.argmax(-1)
        named = score(task.metrics, labels=_labels(examples), predictions=predictions)
        return {**named, "loss": float(self.losses(task, examples, answers).mean())}

    def losses(
        self, task: Task, examples: Sequence[Example], answers: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Returns the cross-entropy or the squared error of each answer, (B,)."""
        labels, logits = _labels(examples), answers.astype(np.float64)
        if task.kind == "regression":
            return np.square(logits[:, 0] - labels)
        return -log_softmax(logits, axis=-1)[np.arange(len(labels)), labels.astype(np.int64)]

    def records(
        self, task: Task, examples: Sequence[Example], answers: NDArray[np.float32]
    ) -> Iterator[dict[str, Any]]:
        """Yields `label`, its probability `score` and `scores` of all labels; for a number, `score`."""
        del examples
        for logits in answers:
            if task.kind == "regression":
                yield {"score": six_digits(logits[0])}
                continue
            probabilities = map(six_digits, np.exp(log_softmax(logits.astype(np.float64))))
            scores = dict(zip(task.labels, probabilities, strict=True))
            label = task.labels[int(logits.argmax())]
            yield {"label": label, "score": scores[label], "scores": scores}

    def shown(self, task: Task, example: Example) -> dict[str, str]:
        """Returns the texts and the label."""
        texts = {"text": example.text} | ({} if example.pair is None else {"pair": example.pair})
        if example.label is None:
            return texts
        name = task.labels[int(example.label)] if task.labels else f"{example.label:g}"
        return texts | {"label": name}


def kind_of_classifier(config: AlbertConfig) -> Kind:
    """Returns what a classifier with `config` predicts."""
    regression = config.problem_type == "regression" or config.num_labels == 1
    return "regression" if regression else "classification"


def _labels(examples: Sequence[Example]) -> NDArray[np.float64]:
    return np.array([np.nan if example.label is None else example.label for example in examples], np.float64)


def _packed_logits(model: AlbertForSequenceClassification, batch: TextFeatures) -> Tensor:
    """Returns logits (B, K)."""
    return model.packed_logits(*model.packed_inputs(batch))
