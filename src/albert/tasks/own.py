"""The user's own data as tasks: the columns come from flags, the labels from the training file.

Stands beside `glue`: records of the same kind, but with names to be filled in.
"""

from dataclasses import replace
from pathlib import Path

from albert.errors import DataError
from albert.tasks.tables import read_columns
from albert.tasks.task import Recipe, TableFiles, Task

MAX_LABELS = 1000

_RECIPE = Recipe(
    learning_rate=2e-5,
    batch_size=32,
    source="the middle of Lan et al. (2020), table 14; three passes over the data",
)

OWN_TASKS = (
    Task(
        name="classification",
        title="own data: one label for a text or a pair of texts",
        kind="classification",
        data=TableFiles(),
        metrics=("accuracy", "f1_macro"),
        recipe=_RECIPE,
    ),
    Task(
        name="regression",
        title="own data: one number for a text or a pair of texts",
        kind="regression",
        data=TableFiles(),
        metrics=("pearson", "spearman"),
        recipe=_RECIPE,
    ),
)


def with_columns(
    task: Task, *, text: str | None = None, pair: str | None = None, label: str | None = None
) -> Task:
    """Returns `task` reading from the columns given; None keeps a column as it is."""
    data = replace(
        task.data,
        text_column=task.data.text_column if text is None else text,
        pair_column=task.data.pair_column if pair is None else pair,
        label_column=task.data.label_column if label is None else label,
    )
    return replace(task, data=data)


def with_labels_of(task: Task, path: Path) -> Task:
    """Returns `task` with the labels that occur in the training file `path`.

    Numbers come in their order, then words from A to Z. A task that knows its labels, or predicts a
    number, is returned as it is.

    Raises:
        DataError: There is only one label, or so many that the column can hardly hold labels.
    """
    if task.labels or task.kind == "regression":
        return task
    column = task.data.label_column
    found: set[str] = set()
    for row in read_columns(path, (column,), header=task.data.headerless.get("train")):
        found.add(row.cells[0].strip())
        if len(found) > MAX_LABELS:
            raise DataError(
                f"{path}:{row.line}: column {column!r} holds more than {MAX_LABELS} different labels; "
                "name another with --label-column, or use --task regression for numbers"
            )
    found.discard("")
    if len(found) < 2:
        raise DataError(
            f"{path}: column {column!r} holds {len(found)} different labels; a classifier needs two or more"
        )
    return replace(task, labels=tuple(sorted(found, key=_number_first)))


def _number_first(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
