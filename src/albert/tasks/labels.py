"""The labels of a trained model, and numbers as predictions show them; for every kind with named outputs."""

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.tasks.task import Task


def labels_of_model(task: Task, config: AlbertConfig) -> tuple[str, ...]:
    """Returns the labels of `task` in the order of a model's outputs.

    A model that does not name its labels (LABEL_0, LABEL_1, ...) is taken to have the task's order.

    Raises:
        ConfigError: The model knows other labels than the task has.
    """
    names = label_names(config)
    unnamed = names == tuple(f"LABEL_{index}" for index in range(len(names)))
    if unnamed and len(names) == len(task.labels):
        return task.labels
    if task.labels and set(names) != set(task.labels):
        raise ConfigError(
            f"the model knows the labels {', '.join(names[:20])}, but task {task.name!r} has "
            f"{', '.join(task.labels[:20])}; give the model that was fine-tuned for it"
        )
    return names


def label_names(config: AlbertConfig) -> tuple[str, ...]:
    """Returns the labels of a classifier in the order of its outputs."""
    names = config.id2label or {}
    return tuple(names.get(index, f"LABEL_{index}") for index in range(config.num_labels))


def six_digits(number: float) -> float:
    """Returns the number with the six digits that float32 carries."""
    return float(f"{number:.6g}")
