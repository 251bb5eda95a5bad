"""The meaning of a trained model's outputs: labels, their scores, and numbers as they are written."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.tasks.task import Task

ScoreFunction = Literal["softmax", "sigmoid", "none"]
"""How logits become scores: softmax over the labels, a sigmoid for each label, or unchanged."""


def activation_of(config: AlbertConfig) -> ScoreFunction:
    """Return the function that turns the logits of a classifier with `config` into scores.

    Regression takes none; several labels at once, or a single output, a sigmoid each; one label of several a
    softmax. Source: `TextClassificationPipeline` of transformers.
    """
    if config.problem_type == "regression":
        return "none"
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    return "softmax"


def scores_of_logits(
    logits: NDArray[np.floating[Any]], activation: ScoreFunction
) -> NDArray[np.floating[Any]]:
    """Return the scores of logits, both (..., K), under `activation`."""
    match activation:
        case "softmax":
            return softmax(logits, axis=-1)
        case "sigmoid":
            return expit(logits)
        case "none":
            return logits


def labels_of_model(task: Task, config: AlbertConfig) -> tuple[str, ...]:
    """Return the labels of `task` in the order of a model's outputs.

    A model that does not name its labels (LABEL_0, LABEL_1, ...) is taken to have the task's order.

    Raises:
        ConfigError: The model has other labels than the task.
    """
    names = label_names(config)
    unnamed = names == tuple(f"LABEL_{index}" for index in range(len(names)))
    if unnamed and len(names) == len(task.labels):
        return task.labels
    if task.labels and set(names) != set(task.labels):
        raise ConfigError(
            f"the model has the labels {', '.join(names[:20])}, but task {task.name!r} has "
            f"{', '.join(task.labels[:20])}; give the model that was fine-tuned for it"
        )
    return names


def label_names(config: AlbertConfig) -> tuple[str, ...]:
    """Return the labels of a classifier in the order of its outputs."""
    names = config.id2label or {}
    return tuple(names.get(index, f"LABEL_{index}") for index in range(config.num_labels))


def six_digits(number: float) -> float:
    """Return the number rounded to six digits, the precision of float32."""
    return float(f"{number:.6g}")
