"""Sets of labels in a cell: separated by commas, or a JSON list for labels that contain commas."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from albert.errors import DataError
from albert.tasks.bad_rows import UnknownLabelError, each, usable
from albert.tasks.tables import MAX_LABELS, Columns, Example, Row, check_text, table_rows
from albert.tasks.task import Task
from albert.tasks.text_files import parse_json

_BINARY = {"1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "true": 1.0, "false": 0.0}
MultiHot = tuple[float, ...]
"""1 for each label of an example, 0 for the others, (K,)."""


def split_labels(cell: str, where: str) -> list[str]:
    """Return the labels in a cell; an empty one has none.

    Raises:
        DataError: It starts as a JSON list, but is not a list of texts.
    """
    cell = cell.strip()
    if not cell.startswith("["):
        return [label for part in cell.split(",") if (label := part.strip())]
    try:
        labels = parse_json(cell)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f'{where}: the labels are not a JSON list ({error}); expected ["red", "blue"] or red,blue'
        ) from error
    if not all(isinstance(label, str | int) and not isinstance(label, bool) for label in labels):
        raise DataError(f"{where}: expected a list of texts as labels, found {cell[:60]}")
    return [label for value in labels if (label := str(value).strip())]


def join_labels(labels: Sequence[str]) -> str:
    """Return a cell from which `split_labels` reads `labels`."""
    if any("," in label or label.startswith("[") for label in labels):
        return json.dumps(list(labels), ensure_ascii=False)
    return ",".join(labels)


def known_labels_parser(labels: Sequence[str]) -> Callable[[str, str], list[str]]:
    """Return a parser of cells that raises a DataError for labels other than `labels`."""
    known = set(labels)

    def parse(cell: str, where: str) -> list[str]:
        found = split_labels(cell, where)
        for label in found:
            if label not in known:
                raise UnknownLabelError(label, labels, where)
        return found

    return parse


def multi_hot(found: Sequence[str], labels: Sequence[str]) -> MultiHot:
    """Return 1 for those of `labels` that were `found` in an example, 0 for the others, (K,)."""
    return tuple(float(label in found) for label in labels)


def label_columns(task: Task) -> tuple[str, ...]:
    """Return the columns that hold 1 or 0 for one label each, if `--label-column` names several; else ()."""
    names = tuple(name.strip() for name in task.data.label_column.split(","))
    return names if len(names) > 1 else ()


def read_binary_columns(task: Task, path: Path, names: Sequence[str]) -> Iterator[Example | DataError]:
    """Yield the examples of a table with a column for each label, which holds 1 or 0.

    A row with an empty text, or with something else in such a column, is yielded as its error.

    Raises:
        DataError: A column is missing.
    """
    data = task.data
    texts = (data.text_column,) if data.pair_column is None else (data.text_column, data.pair_column)
    optional = () if data.id_column is None else (data.id_column,)

    def make(row: Row) -> Example:
        where = f"{path}:{row.line}"
        cells = dict(zip((*texts, *names, *optional), row.cells, strict=True))
        for column in texts:
            check_text(cells[column], column, where)
        return Example(
            cells[data.text_column],
            None if data.pair_column is None else cells[data.pair_column],
            tuple(_one_or_zero(cells[name], name, where) for name in task.labels),
            id=None if data.id_column is None else cells[data.id_column].strip() or None,
        )

    columns = Columns(required=(*texts, *names), optional=optional, aliases=data.aliases)
    yield from each(table_rows(path, columns), make)


def _one_or_zero(cell: str, column: str, where: str) -> float:
    try:
        return _BINARY[cell.strip().lower()]
    except KeyError:
        raise DataError(
            f"{where}: expected 1 or 0 in column {column!r}, found {cell[:60]!r}; correct it, or name one "
            "column with the labels"
        ) from None


def labels_in_sets(task: Task, paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the labels that occur in the training files, from A to Z.

    Raises:
        DataError: There are none, or so many that the column can hardly hold labels.
    """
    column = task.data.label_column
    found: set[str] = set()
    bad: list[DataError] = []
    for path in paths:

        def split(row: Row) -> tuple[str, list[str]]:
            where = f"{path}:{row.line}"  # noqa: B023  # called before the next path
            return where, split_labels(row.cells[0], where)

        rows = table_rows(path, Columns(required=(column,), lists=(column,)))
        for where, labels in usable(each(rows, split), bad):
            found.update(labels)
            if len(found) > MAX_LABELS:
                raise DataError(
                    f"{where}: column {column!r} holds more than {MAX_LABELS} different labels; "
                    "name another with --label-column, or separate labels by commas"
                )
    if not found:
        raise (
            bad[0]
            if bad
            else DataError(f"{paths[0]}: column {column!r} holds no label; expected labels such as red,blue")
        )
    return tuple(sorted(found))


def best_threshold(probabilities: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, float]:
    """Return the threshold at which micro-F1 is best, and that F1.

    Args:
        probabilities: Probability of every label of every example, (B, K).
        labels: 1 for the right labels, 0 for others, (B, K).
    """
    order = np.argsort(-probabilities, axis=None, kind="stable")  # (B, K) -> (B * K,)
    sorted_probabilities = probabilities.ravel()[order]
    # How many are right if the first 1, 2, 3, ... labels are predicted.
    right = labels.ravel()[order].cumsum()
    f1 = 2 * right / (np.arange(1, len(order) + 1) + labels.sum())
    # Equal probabilities are predicted together or not at all.
    ends = np.flatnonzero(np.append(np.diff(sorted_probabilities) != 0, True))
    best = ends[f1[ends].argmax()]
    following = sorted_probabilities[best + 1] if best + 1 < len(order) else 0.0
    return float((sorted_probabilities[best] + following) / 2), float(f1[best])
