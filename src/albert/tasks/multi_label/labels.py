"""Sets of labels in a cell: separated by commas, or a list in JSON for labels that hold commas themselves."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from albert.errors import DataError, did_you_mean
from albert.tasks.tables import MAX_LABELS, Columns, read_rows
from albert.tasks.task import Task

MultiHot = tuple[float, ...]
"""1 for each label that an example has, 0 for the others, (K,)."""


def split_labels(cell: str, where: str) -> list[str]:
    """Return the labels in a cell; none in an empty one.

    Raises:
        DataError: It begins as a list in JSON and is none of texts.
    """
    cell = cell.strip()
    if not cell.startswith("["):
        return [label for part in cell.split(",") if (label := part.strip())]
    try:
        labels = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f'{where}: the labels are no list in JSON ({error}); expected ["red", "blue"] or red,blue'
        ) from error
    if not all(isinstance(label, str | int) and not isinstance(label, bool) for label in labels):
        raise DataError(f"{where}: expected labels that are texts, found {cell[:60]}")
    return [label for value in labels if (label := str(value).strip())]


def join_labels(labels: Sequence[str]) -> str:
    """Return the cell that `split_labels` reads as `labels`."""
    if any("," in label or label.startswith("[") for label in labels):
        return json.dumps(list(labels), ensure_ascii=False)
    return ",".join(labels)


def known_labels_parser(labels: Sequence[str]) -> Callable[[str, str], list[str]]:
    """Return a parser of cells that raises DataError for a label that is not among `labels`."""
    known = set(labels)

    def parse(cell: str, where: str) -> list[str]:
        found = split_labels(cell, where)
        for label in found:
            if label not in known:
                raise DataError(
                    f"{where}: unknown label {label[:60]!r}{did_you_mean(label[:60], list(labels))}; "
                    f"known: {', '.join(labels[:20])}"
                )
        return found

    return parse


def multi_hot(found: Sequence[str], labels: Sequence[str]) -> MultiHot:
    """Return which of `labels` are among those of an example, (K,)."""
    return tuple(float(label in found) for label in labels)


def labels_in_sets(task: Task, paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the labels that occur in the training files, from A to Z.

    Raises:
        DataError: There are none, or so many that the column can hardly hold labels.
    """
    column = task.data.label_column
    found: set[str] = set()
    for path in paths:
        for row in read_rows(path, Columns(wanted=(column,), lists=(column,))):
            where = f"{path}:{row.line}"
            found.update(split_labels(row.cells[0], where))
            if len(found) > MAX_LABELS:
                raise DataError(
                    f"{where}: column {column!r} holds more than {MAX_LABELS} different labels; "
                    "name another with --label-column, or separate labels by commas"
                )
    if not found:
        raise DataError(f"{paths[0]}: column {column!r} holds no label; expected such as red,blue")
    return tuple(sorted(found))


def best_threshold(probabilities: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, float]:
    """Return the threshold at which micro-F1 is best, and that F1.

    Args:
        probabilities: Of every label of every example, (B, K).
        labels: 1 for the right ones, 0 for others, (B, K).
    """
    order = np.argsort(-probabilities, axis=None, kind="stable")
    sorted_probabilities = probabilities.ravel()[order]
    # (B * K,): right among the first 1, 2, 3, ... labels, if so many are predicted
    right = labels.ravel()[order].cumsum()
    f1 = 2 * right / (np.arange(1, len(order) + 1) + labels.sum())
    # Equal probabilities are predicted together or not at all.
    ends = np.flatnonzero(np.append(np.diff(sorted_probabilities) != 0, True))
    best = ends[f1[ends].argmax()]
    following = sorted_probabilities[best + 1] if best + 1 < len(order) else 0.0
    return float((sorted_probabilities[best] + following) / 2), float(f1[best])
