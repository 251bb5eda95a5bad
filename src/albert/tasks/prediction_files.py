"""Reading files of predictions to score them: official files and our own rows, from whatever source.

What the kinds of task share. A prediction from a file becomes logits with all weight on the predicted label,
so a solver scores it as it scores those of a model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from albert.errors import DataError
from albert.tasks.bad_rows import UnknownLabelError
from albert.tasks.predictions import id_of
from albert.tasks.tables import Columns, read_rows
from albert.tasks.task import Task
from albert.tasks.text_files import kind_of_value, read_json

_IDS = ("index", "id")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionFile:
    """A file of predictions, and the settings for scoring it."""

    path: Path
    """The benchmark's official file, or what `albert predict` writes."""
    null_odds: Path | None = None
    """Spans: JSON of null odds by question."""
    threshold: float | None = None
    """Spans: null odds above which a question counts as having no answer; None for the official script's
    threshold."""
    has_other_labels: bool = False
    """Whether the file may predict labels that the task lacks; own data have only those that they contain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """One prediction of a file."""

    id: str
    """Id of its example; "" if the file has no ids."""
    value: T
    """The predicted value."""
    where: str
    """File and line."""


def read_object(path: Path, kind: type[T], *, what: str) -> Iterator[tuple[str, T]]:
    """Yield the members of a JSON file that is one object, whose values are all of one kind.

    Raises:
        DataError: The file is something else; the message says that `what` was expected.
    """
    content = read_json(path, expected=f"an object with {what}")
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object with {what}, found {kind_of_value(content)}")
    for name, member in content.items():
        value = float(member) if kind is float and type(member) is int else member
        if not isinstance(value, kind):
            raise DataError(f"{path}: expected {what}, found {member!r:.60} for {name!r}")
        yield name, value


def read_values(
    path: Path, columns: Sequence[str], parse: Callable[[str, str], T], *, may_be_empty: bool = False
) -> list[Found[T]]:
    """Read predictions from a table or JSON lines: in each row, the first of some columns that is not empty.

    Args:
        path: The file.
        columns: Names of columns, tried in this order.
        parse: Turns a cell and its place (file and line) into a value.
        may_be_empty: Whether "" is a valid prediction.

    Raises:
        DataError: The file cannot be read, or all these columns are empty in a row.
    """
    found = []
    for row in read_rows(path, Columns(required=(), optional=(*_IDS, *columns), lists=tuple(columns))):
        where = f"{path}:{row.line}"
        index, id_, *cells = row.cells
        text = next((cell for cell in cells if cell.strip()), "" if may_be_empty else None)
        if text is None:
            raise DataError(f"{where}: no prediction; expected one in column {' or '.join(columns)}")
        found.append(Found(id=(index or id_).strip(), value=parse(text.strip(), where), where=where))
    return found


def matched(found: Sequence[Found[T]], examples: Sequence[Any], path: Path) -> list[T]:
    """Return the predicted value of each example, matched by id, or by place if there are no ids.

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
                f"{prediction.where}: {prediction.id!r} already has a prediction at {earlier.where}; "
                "keep one of them"
            )
    missing = [name for name in ids if name not in by_id]
    if missing:
        raise DataError(
            f"{path}: {len(missing):,} of {len(ids):,} examples have no prediction, "
            f"the first of them {missing[0]!r}; check that the file is for this split"
        )
    return [by_id[name].value for name in ids]


def label_parser(task: Task, *, has_other_labels: bool) -> Callable[[str, str], str]:
    """Return a function that turns a cell and its place into a label of `task`, ignoring extra spaces.

    It raises DataError for any other label unless `has_other_labels`.
    """
    known = {" ".join(label.split()): label for label in task.labels}

    def parse(text: str, where: str) -> str:
        name = " ".join(text.split())
        if name not in known and not has_other_labels:
            raise UnknownLabelError(name, known, where)
        return known.get(name, name)

    return parse


def with_more_labels(task: Task, names: Sequence[str]) -> Task:
    """Return `task` with those of `names` that it lacks appended to its labels."""
    return replace(task, labels=tuple(dict.fromkeys((*task.labels, *names))))


def ids_of(task: Task, names: Sequence[str]) -> list[int]:
    """Return the ids of labels of `task`."""
    label_ids = {label: number for number, label in enumerate(task.labels)}
    return [label_ids[name] for name in names]


def certain_logits(chosen: Sequence[int], count: int) -> NDArray[np.float64]:
    """Return logits (B, K) of `count` labels, with all weight on the `chosen` ones, (B,)."""
    return np.eye(count)[list(chosen)]
