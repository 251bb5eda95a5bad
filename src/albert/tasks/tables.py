"""Read the rows of a table: TSV as the benchmarks publish it, CSV, JSON lines, and plain lines of text.

Stands between a task's files and `features`. Everything is read as a stream, one row at a time.

- `.tsv`, `.txt`: tabs alone separate, and a quotation mark is a letter (GLUE's files hold single ones).
- `.csv`: commas separate, and quotation marks enclose, so that a cell may hold commas and line ends.
- `.jsonl`, `.json`: one object a line, as CLUE publishes; the columns are its fields.

A byte order mark and CRLF line ends are dropped; blank lines of a table are passed over.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from albert.data.corpus.files import Tally, read_lines, report_skipped
from albert.errors import DataError, did_you_mean
from albert.tasks.files import TABLE_SUFFIXES
from albert.tasks.task import Task

LabelParser = Callable[[str, str], Any]
"""Make a label of a cell and its place, file and line."""

MAX_LABELS = 1000

_TABBED = (".tsv", ".txt")
_JSON = (".jsonl", ".json")
_HOW_TO_NAME = "with --text-column, --pair-column, --label-column"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a table are wanted, and what may be odd about the table."""

    wanted: tuple[str, ...]
    """Columns that must be there."""
    optional: tuple[str, ...] = ()
    """Columns that may be there."""
    aliases: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    """Other names of columns, tried in that order."""
    header: tuple[str, ...] | None = None
    """Names of all columns where the table has no header line; None where it has one."""
    bare: tuple[str, ...] = ()
    """Names of the columns, as far as a row goes, if the first line names none of those that are wanted."""
    short_rows: Tally | None = None
    """Counts rows with too few columns, which are skipped; None where they are an error."""
    lists: tuple[str, ...] = ()
    """Columns that may hold a list in JSON lines, which becomes a cell as JSON text."""

    def spellings(self, column: str) -> tuple[str, ...]:
        """Return all names under which `column` may stand, its own first."""
        return (column, *self.aliases.get(column, ()))


@dataclass(frozen=True, slots=True)
class Row:
    """Some cells of one row."""

    line: int
    """Line of the file the row begins on, from 1."""
    cells: tuple[str, ...]
    """The cells of the columns that were asked for, in that order; "" where an optional one is not there."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a task, as text."""

    text: str
    """The text, or the first of a pair."""
    pair: str | None = None
    """The second text; None where there is none."""
    label: Any = None
    """What the kind of task reads from the label's cell, such as a label id; None where it is not known."""
    id: str | None = field(default=None, kw_only=True)
    """What the benchmark calls the example; None where it is known by its place."""


def read_examples(
    task: Task,
    path: Path,
    *,
    parse: LabelParser,
    split: str = "",
    labelled: bool = True,
    lists: tuple[str, ...] = (),
) -> Iterator[Example]:
    """Read the examples of the table `path` of `task`.

    Args:
        task: Names the columns.
        path: Table.
        parse: Makes a label of its cell and its place, file and line; raises DataError for what is no label.
        split: Decides whether a benchmark's file has a header line.
        labelled: Whether labels are read. Examples labelled as having none are skipped and counted.
        lists: Columns that may hold a list in JSON lines, see `Columns`.

    Raises:
        DataError: A column is missing, a row is of another width, a text is empty, a label is missing or
            unknown; with file and line.
    """
    data, tally = task.data, Tally()
    texts = (data.text_column,) if data.pair_column is None else (data.text_column, data.pair_column)
    wanted = (*texts, data.label_column) if labelled else texts
    filters = tuple(data.rows_with)
    columns = Columns(
        wanted=wanted,
        optional=filters if data.id_column is None else (*filters, data.id_column),
        aliases=data.aliases,
        header=data.headerless.get(split),
        bare=data.bare_columns,
        # A row that is missing from the answers to a test set would shift all behind it.
        short_rows=tally if data.has_blemishes and labelled else None,
        lists=lists,
    )
    read_label = LabelReader(task, tally, parse)
    for row in read_rows(path, columns):
        cells = dict(zip((*wanted, *columns.optional), row.cells, strict=True))
        if any(cells[name] not in {"", value} for name, value in data.rows_with.items()):
            continue
        where = f"{path}:{row.line}"
        if not data.has_blemishes:
            for column in texts:
                check_text(cells[column], column, where)
        label = None
        if labelled:
            label = read_label(cells[data.label_column], where)
            if label is None:
                continue
        pair = None if data.pair_column is None else cells[data.pair_column]
        id_ = None if data.id_column is None else cells[data.id_column].strip() or None
        yield Example(cells[data.text_column], pair, label, id=id_)
    report_skipped(tally)


class LabelReader:
    """Turns the cells of a label column into labels."""

    def __init__(self, task: Task, tally: Tally, parse: LabelParser) -> None:
        self._data = task.data
        self._tally = tally
        self._parse = parse

    def __call__(self, text: str, where: str) -> Any:
        """Return the label, or None, and count it, where the cell says that there is none.

        Raises:
            DataError: The task has no such label.
        """
        text = text.strip()
        text = self._data.spellings.get(text, text)
        if text in self._data.dropped_labels:
            self._tally.skip(f"examples labelled {text!r}, that is without label", where)
            return None
        return self._parse(text, where)


def label_id_parser(task: Task) -> LabelParser:
    """Return a parser of the labels of `task`, which returns their ids."""
    ids = {label: number for number, label in enumerate(task.labels)}
    return lambda text, where: _label_id(text, ids, where)


def parse_number(text: str, where: str) -> float:
    """Return a label that is a finite number.

    Raises:
        DataError: It is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: expected a number as label, found {text[:60]!r}; fix it or drop the row")
    return number


def check_text(text: str, column: str, where: str) -> None:
    """Refuse an empty text.

    Raises:
        DataError: The text is empty.
    """
    if not text.strip():
        raise DataError(f"{where}: the text in column {column!r} is empty; fill it or drop the row")


def labels_in(task: Task, paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the labels that occur in the training files: numbers in their order, then words from A to Z.

    Raises:
        DataError: There is only one label, or so many that the column can hardly hold labels.
    """
    column = task.data.label_column
    found: set[str] = set()
    for path in paths:
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
            f"{paths[0]}: column {column!r} holds {len(found)} different labels; "
            "a classifier needs two or more"
        )
    return tuple(sorted(found, key=_number_first))


def read_columns(path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None) -> Iterator[Row]:
    """Read the cells of `columns` from the table `path`.

    `header` names the columns of a file of lines that has no header line.

    Raises:
        DataError: The file cannot be read as its suffix says, or lacks a column; with file and line.
    """
    return read_rows(path, Columns(wanted=tuple(columns), header=None if header is None else tuple(header)))


def read_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """Read the cells of `columns` from the table `path`, wanted ones first, then optional ones.

    Raises:
        DataError: The file cannot be read as its suffix says, or lacks a column; with file and line.
    """
    if path.suffix in _JSON:
        for line, fields in read_objects(path):
            yield Row(line, _cells_of(fields, columns, f"{path}:{line}"))
    elif path.suffix in {*_TABBED, ".csv"}:
        yield from _read_separated(path, columns)
    else:
        known = dict.fromkeys((*TABLE_SUFFIXES, *_TABBED, *_JSON))
        raise DataError(
            f"{path}: expected a file ending in {', '.join(known)}, found {path.suffix or 'none'!r}"
        )


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the JSON objects of a file, one a line, with their lines from 1.

    Raises:
        DataError: A line holds no JSON object; with file and line.
    """
    for line, text in read_text_lines(path):
        # A second mark stands where files were joined end to end.
        text = text.lstrip("\ufeff")  # noqa: PLW2901  # the mark is no part of the line
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}:{line}: not a JSON object ({error}); expected one on each line"
            ) from error
        if not isinstance(fields, dict):
            raise DataError(f"{path}:{line}: expected a JSON object, found {type(fields).__name__}")
        yield line, fields


def read_text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a UTF-8 text with their numbers from 1, without line ends and byte order mark.

    Raises:
        DataError: The file cannot be read, is not UTF-8, or has an endless line.
    """
    tally = Tally()
    for number, line in read_lines(path, tally=tally):
        yield number, line.removesuffix("\r")
    report_skipped(tally)  # NUL bytes


def text_field(fields: Mapping[str, Any], columns: Columns, column: str, where: str) -> str:
    """Return a field of a JSON object as text; "" where it is null, or optional and not there.

    Raises:
        DataError: It is not there though wanted, or is neither text nor number.
    """
    name = next((name for name in columns.spellings(column) if name in fields), None)
    if name is None:
        if column in columns.optional:
            return ""
        raise DataError(
            f"{where}: no field {column!r}{did_you_mean(column, list(fields))}; found {', '.join(fields)}; "
            f"name fields {_HOW_TO_NAME}"
        )
    value = fields[name]
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float) or (isinstance(value, list) and column in columns.lists):
        return json.dumps(value, ensure_ascii=False)
    raise DataError(f"{where}: field {name!r} holds {type(value).__name__}, not a text or a number")


def _cells_of(fields: Mapping[str, Any], columns: Columns, where: str) -> tuple[str, ...]:
    names = (*columns.wanted, *columns.optional)
    return tuple(text_field(fields, columns, name, where) for name in names)


def _read_separated(path: Path, columns: Columns) -> Iterator[Row]:
    rows = _split_csv(path) if path.suffix == ".csv" else _split_tsv(path)
    header: Sequence[str] | None = columns.header
    positions = None if header is None else _positions(path, columns, header)
    for line, cells in rows:
        if header is None or positions is None:
            bare = bool(columns.bare) and not _names_any(cells, columns)
            header = columns.bare[: len(cells)] if bare else cells
            positions = _positions(path, columns, header)
            if not bare:
                continue
        if len(cells) < len(header) and columns.short_rows is not None:
            columns.short_rows.skip("rows with too few columns", f"{path}:{line}")
        elif len(cells) != len(header):
            raise DataError(
                f"{path}:{line}: expected {len(header)} columns, found {len(cells)}; "
                f"the columns are {', '.join(header)}"
            )
        else:
            yield Row(line, tuple("" if at is None else cells[at] for at in positions))
    if header is None:
        names = ", ".join(columns.wanted)
        raise DataError(f"{path}: the file is empty; expected a header line with {names}")


def _split_tsv(path: Path) -> Iterator[tuple[int, list[str]]]:
    for line, text in read_text_lines(path):
        if text:
            yield line, text.split("\t")


def _split_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    # Line ends go back on: inside quotation marks they belong to the cell.
    reader = csv.reader((f"{text}\n" for _, text in read_text_lines(path)), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: not a row of CSV ({error}); check the quotation marks") from error


def _names_any(cells: Sequence[str], columns: Columns) -> bool:
    """Whether a first line names one of the columns, so that it is a header."""
    names = (*columns.wanted, *columns.optional, *columns.bare)
    known = {spelling for name in names for spelling in columns.spellings(name)}
    return any(cell.strip() in known for cell in cells)


def _positions(path: Path, columns: Columns, header: Sequence[str]) -> list[int | None]:
    """Return where the cells of wanted and optional columns stand in a row."""
    names = [name.strip() for name in header]
    positions: list[int | None] = []
    for column in (*columns.wanted, *columns.optional):
        at = next((names.index(name) for name in columns.spellings(column) if name in names), None)
        if at is None and column in columns.wanted:
            raise DataError(
                f"{path}:1: no column {column!r}{did_you_mean(column, names)}; "
                f"found {', '.join(names)}; name columns {_HOW_TO_NAME}"
            )
        positions.append(at)
    return positions


def _label_id(text: str, label_ids: Mapping[str, int], where: str) -> int:
    if text not in label_ids:
        if not text:
            raise DataError(f"{where}: the label is empty; fill it or drop the row")
        known = list(label_ids)
        raise DataError(
            f"{where}: unknown label {text[:60]!r}{did_you_mean(text[:60], known)}; "
            f"known: {', '.join(known[:20])}"
        )
    return label_ids[text]


def _number_first(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)
