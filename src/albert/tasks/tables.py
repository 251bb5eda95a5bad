"""Tables as examples: TSV as the benchmarks publish it, CSV, and JSON lines.

Everything is read as a stream, one row at a time.

- `.tsv`, `.txt`: separated by tabs alone; quotation marks are ordinary characters (GLUE has unpaired ones).
- `.csv`: separated by commas; a cell in quotation marks may hold commas and line ends.
- `.jsonl`, `.json`: one object a line, as in CLUE; the columns are its fields.

A byte order mark, CRLF line ends and blank lines are dropped.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from albert import console
from albert.data.corpus.files import Tally, report_skipped
from albert.data.corpus.separated import separator_hint, split_rows
from albert.errors import DataError, did_you_mean
from albert.tasks.bad_rows import UnknownLabelError, attempt, each, strict, usable
from albert.tasks.files import TABLE_SUFFIXES
from albert.tasks.task import Task
from albert.tasks.text_files import kind_of_value, object_rows, read_text_lines

LabelParser = Callable[[str, str], Any]
"""Function that turns a cell and its place (file and line) into a label."""

MAX_LABELS = 1000

_TABBED = (".tsv", ".txt")
_JSON = (".jsonl", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a table to read, and what may be unusual about the table."""

    required: tuple[str, ...]
    """Columns that the table must have."""
    optional: tuple[str, ...] = ()
    """Columns that the table may have."""
    aliases: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    """Other names of columns, tried in that order."""
    header: tuple[str, ...] | None = None
    """Names of all columns if the table has no header line; None if it has one."""
    bare: tuple[str, ...] = ()
    """Names of the columns, from the left, if the first line names none of the columns to read."""
    short_rows: Tally | None = None
    """Counter of rows with too few columns, which are skipped; None if they are an error."""
    early_ends: Tally | None = None
    """Counter of rows that lack cells at their end that are not read; None if they are an error."""
    lists: tuple[str, ...] = ()
    """Columns that may hold a list in JSON lines; the cell is its JSON text."""
    how_to_name: str = "--text-column, --pair-column, --label-column"
    """Flags that name columns, for messages."""

    def spellings(self, column: str) -> tuple[str, ...]:
        """Return all names that `column` may have in the table, its own first."""
        return (column, *self.aliases.get(column, ()))


@dataclass(frozen=True, slots=True)
class Row:
    """Some cells of one row."""

    line: int
    """First line of the row in the file, from 1."""
    cells: tuple[str, ...]
    """The cells of the required, then of the optional columns; "" for a column that the table lacks."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a task, as text."""

    text: str
    """The text, or the first of a pair."""
    pair: str | None = None
    """The second text; None if there is none."""
    label: Any = None
    """The parsed label, such as a label id; its type depends on the kind of task. None if unknown."""
    id: str | None = field(default=None, kw_only=True)
    """The benchmark's id of the example; None if it is identified by its place."""


def read_examples(
    task: Task,
    path: Path,
    *,
    parse: LabelParser,
    split: str = "",
    labelled: bool = True,
    lists: tuple[str, ...] = (),
) -> Iterator[Example | DataError]:
    """Yield the examples of the table `path` of `task`; a row that cannot be used as its error.

    Such a row has another width, an empty text, or a label that is missing or unknown.

    Args:
        task: The task, whose record names the columns.
        path: The table.
        parse: Turns a label's cell and its place into a label; raises DataError if it is not one.
        split: Split of the file, which decides whether a benchmark's table has a header line.
        labelled: Whether labels are read. Examples without a gold label are then skipped and counted.
        lists: Columns that may hold a list in JSON lines, see `Columns`.

    Raises:
        DataError: The file cannot be read, or a column is missing.
    """
    data, tally = task.data, Tally()
    texts = (data.text_column,) if data.pair_column is None else (data.text_column, data.pair_column)
    required = (*texts, data.label_column) if labelled else texts
    filters = tuple(data.rows_with)
    columns = Columns(
        required=required,
        optional=filters if data.id_column is None else (*filters, data.id_column),
        aliases=data.aliases,
        header=data.headerless.get(split),
        bare=data.bare_columns,
        # Predictions for a test set must not skip a row: all later ones would be shifted.
        short_rows=tally if data.has_blemishes and labelled else None,
        early_ends=tally if data.may_end_early else None,
        lists=lists,
    )
    read_label = LabelReader(task, tally, parse)

    def make(row: Row) -> Example | None:
        cells = dict(zip((*required, *columns.optional), row.cells, strict=True))
        if any(cells[name] not in {"", value} for name, value in data.rows_with.items()):
            return None
        where = f"{path}:{row.line}"
        if not data.has_blemishes:
            for column in texts:
                check_text(cells[column], column, where)
        label = None
        if labelled:
            label = read_label(cells[data.label_column], where)
            if label is None:
                return None
        pair = None if data.pair_column is None else cells[data.pair_column]
        id_ = None if data.id_column is None else cells[data.id_column].strip() or None
        return Example(cells[data.text_column], pair, label, id=id_)

    yield from each(table_rows(path, columns), make)
    report_skipped(tally)


class LabelReader:
    """Function that turns the cells of a label column into labels."""

    def __init__(self, task: Task, tally: Tally, parse: LabelParser) -> None:
        self._data = task.data
        self._labels = frozenset(task.labels)
        self._own_case = _without_ambiguity(task.labels)
        self._tally = tally
        self._parse = parse

    def __call__(self, text: str, where: str) -> Any:
        """Return the label; None, counted, if the cell says that the example has none.

        Raises:
            DataError: The task has no such label.
        """
        text = text.strip()
        text = self._data.spellings.get(text, text)
        if text in self._data.dropped_labels:
            self._tally.skip(f"examples labelled {text!r}, which means no label", where)
            return None
        if self._labels and text not in self._labels and text.casefold() in self._own_case:
            self._tally.accept("labels that are known in another case", where)
            text = self._own_case[text.casefold()]
        return self._parse(text, where)


def _without_ambiguity(labels: Sequence[str]) -> dict[str, str]:
    """Return the labels by their form without case, unless two have the same."""
    counts = Counter(label.casefold() for label in labels)
    return {folded: label for label in labels if counts[folded := label.casefold()] == 1}


def label_id_parser(task: Task) -> LabelParser:
    """Return a function that turns the labels of `task` into their ids."""
    ids = {label: number for number, label in enumerate(task.labels)}
    return lambda text, where: _label_id(text, ids, where)


def parse_number(text: str, where: str) -> float:
    """Return the finite number in a cell.

    Raises:
        DataError: The cell holds something else.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: expected a finite number, found {text[:60]!r}; correct it")
    return number


def check_text(text: str, column: str, where: str) -> None:
    """Raise a DataError if a text is empty."""
    if not text.strip():
        raise DataError(f"{where}: the text in column {column!r} is empty; fill it or drop the row")


def labels_in(task: Task, paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the labels that occur in the training files: numbers in order, then words from A to Z.

    Raises:
        DataError: There is only one label, or so many that the column can hardly hold labels.
    """
    column = task.data.label_column
    found: set[str] = set()
    bad: list[DataError] = []
    for path in paths:
        columns = Columns(required=(column,), header=task.data.headerless.get("train"))
        for row in usable(table_rows(path, columns), bad):
            found.add(row.cells[0].strip())
            if len(found) > MAX_LABELS:
                raise DataError(
                    f"{path}:{row.line}: column {column!r} holds more than {MAX_LABELS} different labels; "
                    "name another with --label-column, or use --task regression for numbers"
                )
    found.discard("")
    if len(found) < 2:
        raise (
            bad[0]
            if bad
            else DataError(
                f"{paths[0]}: column {column!r} holds {len(found)} different labels; "
                "a classifier needs two or more"
            )
        )
    folded = _without_ambiguity(sorted(found))
    if alike := sorted(label for label in found if label.casefold() not in folded):
        console.note(
            f"{paths[0]}: some labels differ only in case, and count as different: {', '.join(alike[:20])}",
            is_warning=True,
        )
    return tuple(sorted(found, key=_number_first))


def read_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """Yield the cells of `columns` in each row of the table `path`, required ones first.

    Raises:
        DataError: The file does not have the format of its suffix, lacks a column, or has a bad row; the
            message names file and line.
    """
    return strict(table_rows(path, columns))


def table_rows(path: Path, columns: Columns) -> Iterator[Row | DataError]:
    """Yield rows as `read_rows` does; a bad one as its error, in its place.

    Raises:
        DataError: The file does not have the format of its suffix, or lacks a column.
    """
    if path.suffix in _JSON:
        yield from _json_rows(path, columns)
    elif path.suffix in {*_TABBED, ".csv"}:
        yield from _read_separated(path, columns)
    else:
        known = dict.fromkeys((*TABLE_SUFFIXES, *_TABBED, *_JSON))
        raise DataError(
            f"{path}: expected a file ending in {', '.join(known)}, found {path.suffix or 'none'!r}"
        )


def _json_rows(path: Path, columns: Columns) -> Iterator[Row | DataError]:
    """Yield the rows of JSON lines; a field that the first one lacks is missing from the file."""
    is_first = True
    for item in object_rows(path):
        if isinstance(item, DataError):
            yield item
            continue
        line, fields = item
        cells = attempt(_cells_of, fields, columns, f"{path}:{line}")
        if isinstance(cells, DataError) and is_first:
            raise cells
        is_first = False
        yield cells if isinstance(cells, DataError) else Row(line, cells)


def text_field(fields: Mapping[str, Any], columns: Columns, column: str, where: str) -> str:
    """Return a field of a JSON object as text; "" if it is null, or optional and missing.

    Raises:
        DataError: It is required and missing, or is neither a text nor a number.
    """
    name = next((name for name in columns.spellings(column) if name in fields), None)
    if name is None:
        if column in columns.optional:
            return ""
        raise DataError(
            f"{where}: no field {column!r}{did_you_mean(column, list(fields))}; found {', '.join(fields)}; "
            f"name fields with {columns.how_to_name}"
        )
    value = fields[name]
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float) or (isinstance(value, list) and column in columns.lists):
        return json.dumps(value, ensure_ascii=False)
    raise DataError(f"{where}: expected a text or a number in field {name!r}, found {kind_of_value(value)}")


def _cells_of(fields: Mapping[str, Any], columns: Columns, where: str) -> tuple[str, ...]:
    names = (*columns.required, *columns.optional)
    return tuple(text_field(fields, columns, name, where) for name in names)


def _read_separated(path: Path, columns: Columns) -> Iterator[Row | DataError]:
    rows = split_rows(str(path), read_text_lines(path), is_tabbed=path.suffix in _TABBED)
    header: Sequence[str] | None = columns.header
    positions = None if header is None else _positions(path, columns, header)
    for line, cells in rows:
        if header is None or positions is None:
            bare = bool(columns.bare) and not _names_any(cells, columns)
            header = columns.bare[: len(cells)] if bare else cells
            positions = _positions(path, columns, header)
            if not bare:
                continue
        needed = 1 + max((at for at in positions if at is not None), default=-1)
        ends_early = columns.early_ends is not None and needed <= len(cells) < len(header)
        if columns.early_ends is not None and ends_early:
            columns.early_ends.accept("rows without their last cells, which are not read", f"{path}:{line}")
        if columns.short_rows is not None and len(cells) < len(header):
            columns.short_rows.skip("rows with too few columns", f"{path}:{line}")
        elif len(cells) != len(header) and not ends_early:
            yield DataError(
                f"{path}:{line}: expected {len(header)} columns, found {len(cells)}; "
                f"the columns are {', '.join(header)}"
            )
        else:
            yield Row(line, tuple("" if at is None else cells[at] for at in positions))
    if header is None:
        names = ", ".join(columns.required)
        raise DataError(f"{path}: the file is empty; expected a header line with {names}")


def _names_any(cells: Sequence[str], columns: Columns) -> bool:
    """Whether a first line names one of the columns, so that it is a header."""
    names = (*columns.required, *columns.optional, *columns.bare)
    known = {spelling for name in names for spelling in columns.spellings(name)}
    return any(cell.strip() in known for cell in cells)


def _positions(path: Path, columns: Columns, header: Sequence[str]) -> list[int | None]:
    """Return the position in a row of each required and optional column; None for one that is missing."""
    names = [name.strip() for name in header]
    positions: list[int | None] = []
    for column in (*columns.required, *columns.optional):
        at = next((names.index(name) for name in columns.spellings(column) if name in names), None)
        if at is None and column in columns.required:
            raise DataError(
                f"{path}:1: no column {column!r}{did_you_mean(column, names)}; "
                f"found {', '.join(names)}"
                f"{separator_hint(names) or f'; name columns with {columns.how_to_name}'}"
            )
        positions.append(at)
    return positions


def _label_id(text: str, label_ids: Mapping[str, int], where: str) -> int:
    if text not in label_ids:
        if not text:
            raise DataError(f"{where}: the label is empty; fill it or drop the row")
        raise UnknownLabelError(text, label_ids, where)
    return label_ids[text]


def _number_first(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
