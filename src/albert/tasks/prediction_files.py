"""Read files of predictions to score them, whoever made them: official files and rows of our own.

What the kinds of task share. A prediction that is read becomes logits with all weight on what it names, so
that a solver scores it as it scores those of a model.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from albert.errors import DataError, did_you_mean
from albert.tasks.predictions import id_of
from albert.tasks.tables import Columns, read_rows
from albert.tasks.task import Task

_IDS = ("index", "id")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionFile:
    """A file of predictions, and how it is scored."""

    path: Path
    """The benchmark's official file, or what `albert predict` writes."""
    null_odds: Path | None = None
    """Spans: JSON of null odds by question."""
    threshold: float | None = None
    """Spans: null odds above which a question counts as having no answer; None for the official script's."""
    has_other_labels: bool = False
    """Whether labels may be predicted that the task does not have: those of own data are only the ones that
    occur in the examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """One prediction of a file."""

    id: str
    """Of its example; "" where the file names none."""
    value: T
    """What is predicted."""
    where: str
    """File and line."""


def read_object(path: Path, kind: type[T], *, what: str) -> Iterator[tuple[str, T]]:
    """Yield the members of a JSON object whose values are all of one kind.

    Raises:
        DataError: The file is something else; `what` says what was expected of it.
    """
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected an object with {what}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object with {what}, found {type(content).__name__}")
    for name, value in content.items():
        wanted = float(value) if kind is float and type(value) is int else value
        if not isinstance(wanted, kind):
            found = json.dumps(value, ensure_ascii=False)[:60]
            raise DataError(f"{path}: {name!r} holds {found}; expected {what}")
        yield name, wanted


def read_values(
    path: Path, columns: Sequence[str], parse: Callable[[str, str], T], *, may_be_empty: bool = False
) -> list[Found[T]]:
    """Read the first of some columns that a row of a table or JSON lines fills.

    Args:
        path: The file.
        columns: Names to try, in this order.
        parse: Makes a value of a text and its place, file and line.
        may_be_empty: Whether "" is a prediction, too.

    Raises:
        DataError: The file cannot be read, or a row has none of the columns.
    """
    found = []
    for row in read_rows(path, Columns(wanted=(), optional=(*_IDS, *columns), lists=tuple(columns))):
        where = f"{path}:{row.line}"
        index, id_, *cells = row.cells
        text = next((cell for cell in cells if cell.strip()), "" if may_be_empty else None)
        if text is None:
            raise DataError(f"{where}: no prediction; expected one in column {' or '.join(columns)}")
        found.append(Found(id=(index or id_).strip(), value=parse(text.strip(), where), where=where))
    return found


def matched(found: Sequence[Found[T]], examples: Sequence[Any], path: Path) -> list[T]:
    """Return the predicted value of each example, found by its id, or by its place where one has none.

    Raises:
        DataError: An example has no prediction, or two.
    """
    ids = [id_of(example, place) for place, example in enumerate(examples)]
    by_place = not all(prediction.id for prediction in found)
    named_by_place = not all(getattr(example, "id", None) for example in examples)
    if (by_place or named_by_place) and len(found) != len(examples):
        raise DataError(
            f"{path}: holds {len(found):,} predictions for {len(examples):,} examples; give one for each, "
            "in their order"
        )
    if by_place or [prediction.id for prediction in found] == ids:
        return [prediction.value for prediction in found]
    by_id: dict[str, Found[T]] = {}
    for prediction in found:
        earlier = by_id.setdefault(prediction.id, prediction)
        if earlier is not prediction:
            raise DataError(
                f"{prediction.where}: {prediction.id!r} is predicted at {earlier.where} already; "
                "keep one of both"
            )
    missing = [name for name in ids if name not in by_id]
    if missing:
        raise DataError(
            f"{path}: {len(missing):,} of {len(ids):,} examples have no prediction, "
            f"the first is {missing[0]!r}; is it the file of this split?"
        )
    return [by_id[name].value for name in ids]


def label_parser(task: Task, *, has_other_labels: bool) -> Callable[[str, str], str]:
    """Return a function that takes a text and its place and returns the label of `task` that it names.

    It raises DataError for any other label, unless there may be others.
    """
    known = {" ".join(label.split()): label for label in task.labels}

    def parse(text: str, where: str) -> str:
        name = " ".join(text.split())
        if name not in known and not has_other_labels:
            names = list(known)
            raise DataError(
                f"{where}: unknown label {name[:60]!r}{did_you_mean(name[:60], names)}; "
                f"known: {', '.join(names[:20])}"
            )
        return known.get(name, name)

    return parse


def with_more_labels(task: Task, names: Sequence[str]) -> Task:
    """Return `task` with its labels and, after them, those among `names` that it lacks."""
    return replace(task, labels=tuple(dict.fromkeys((*task.labels, *names))))


def ids_of(task: Task, names: Sequence[str]) -> list[int]:
    """Return the ids of labels of `task`."""
    label_ids = {label: number for number, label in enumerate(task.labels)}
    return [label_ids[name] for name in names]


def certain_logits(chosen: Sequence[int], count: int) -> NDArray[np.float64]:
    """Return logits (B, K) with all weight on `chosen`, (B,), of `count` labels."""
    return np.eye(count)[list(chosen)]
