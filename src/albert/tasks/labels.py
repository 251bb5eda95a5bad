"""The meaning of a trained model's outputs: labels, their scores, and numbers as they are written."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.console import say
from albert.errors import ConfigError
from albert.tasks.task import Task

FAR_BETTER = 0.25
"""Gain in accuracy from which on another order of the labels is reported."""

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
    from scipy.special import expit, softmax

    match activation:
        case "softmax":
            return softmax(logits, axis=-1)
        case "sigmoid":
            return expit(logits)
        case "none":
            return logits


def labels_of_model(task: Task, config: AlbertConfig) -> tuple[str, ...]:
    """Return the labels of `task` in the order of a model's outputs.

    Names are compared without case, accents, spaces, hyphens and underscores. A model that does not name its
    labels (LABEL_0, LABEL_1, ...) is taken to have the task's order, which is reported.

    Raises:
        ConfigError: The model has other labels than the task.
    """
    names = label_names(config)
    if is_unnamed(names) and len(names) == len(task.labels):
        _report_order(task.labels)
        return task.labels
    if not task.labels:
        return names
    own = {_plain(label): label for label in task.labels}
    plain = [_plain(name) for name in names]
    if sorted(plain) != sorted(own) or len(own) != len(task.labels):
        if set(names) == set(task.labels):
            return names  # They differ in nothing but case, for instance.
        raise ConfigError(
            f"the model has the labels {', '.join(names[:20])}, but task {task.name!r} has "
            f"{', '.join(task.labels[:20])}; give the model that was fine-tuned for it, or the task's labels "
            "in the order of its outputs, with --labels"
        )
    return tuple(own[name] for name in plain)


@cache
def _report_order(labels: tuple[str, ...]) -> None:
    """Report the assumed order of labels, once a process."""
    say(
        f"the model does not name its labels; its outputs are taken to be {', '.join(labels)}, in that order "
        "(give another with --labels)"
    )


def is_unnamed(names: Sequence[str]) -> bool:
    """Whether these are the names that transformers gives to labels without names."""
    return list(names) == [f"LABEL_{index}" for index in range(len(names))]


def with_given_labels(config: AlbertConfig, labels: Sequence[str]) -> AlbertConfig:
    """Return the configuration of a model whose outputs have the names `labels`.

    Raises:
        ConfigError: It has another number of outputs, or a name occurs twice.
    """
    if len(labels) != config.num_labels or len(set(labels)) < len(labels):
        raise ConfigError(
            f"--labels {','.join(labels)}: expected {config.num_labels} different names, one for each output "
            "of the model, separated by commas"
        )
    return config.changed(id2label=dict(enumerate(labels)))


def better_order(
    labels: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> tuple[tuple[str, ...], float] | None:
    """Return another order of a model's labels that fits far better, and its accuracy; None without one.

    Args:
        labels: The labels in the assumed order of the outputs.
        pairs: The right and the predicted label of each example.
    """
    from scipy.optimize import linear_sum_assignment

    if not pairs:
        return None
    place = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)  # predicted, right
    for right, predicted in pairs:
        counts[place[predicted], place[right]] += 1
    _, columns = linear_sum_assignment(counts, maximize=True)
    best = float(counts[np.arange(len(labels)), columns].sum() / len(pairs))
    if best < counts.trace() / len(pairs) + FAR_BETTER:
        return None
    return tuple(labels[column] for column in columns), best


def _plain(name: str) -> str:
    """Return a name without case, accents, spaces, hyphens and underscores."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(x for x in letters if not unicodedata.combining(x) and x not in " -_")


def label_names(config: AlbertConfig) -> tuple[str, ...]:
    """Return the labels of a classifier in the order of its outputs."""
    names = config.id2label or {}
    return tuple(names.get(index, f"LABEL_{index}") for index in range(config.num_labels))


def six_digits(number: float) -> float:
    """Return the number rounded to six digits, the precision of float32."""
    return float(f"{number:.6g}")
