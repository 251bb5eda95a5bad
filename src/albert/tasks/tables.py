"""Reads the rows of a table: TSV as the benchmarks publish it, CSV, JSONL, and plain lines of text.

Stands between a task's files and `features`. Everything is read as a stream, one row at a time.

- `.tsv`: tabs alone separate, and a quotation mark is a letter (GLUE's files hold single ones).
- `.csv`: commas separate, and quotation marks enclose, so that a cell may hold commas and line ends.
- `.jsonl`: one object a line; the columns are its fields.

A byte order mark and CRLF line ends are dropped; blank lines of a table are passed over.
"""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from albert.data.files import Tally, read_lines, report_skipped
from albert.errors import DataError, did_you_mean
from albert.tasks.task import Task

SUFFIXES = (".tsv", ".csv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Row:
    """Some cells of one row."""

    line: int
    """Line of the file the row begins on, from 1."""
    cells: tuple[str, ...]
    """The cells of the columns that were asked for, in that order."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a task, as text."""

    text: str
    """The text, or the first of a pair."""
    pair: str | None = None
    """The second text; None where there is none."""
    label: int | float | None = None
    """Label id, or the number to be predicted; None where it is not known."""


def find_table(task: Task, data: Path, split: str) -> Path | None:
    """Returns the file of `split` under the data folder, or None where there is none.

    It may lie in the folder itself or in the task's own sub-folder.

    Raises:
        DataError: `data` is no folder, or holds the split twice.
    """
    if not data.is_dir():
        raise DataError(f"{data}: no such folder; --data names the folder that holds the task's files")
    stem = task.data.files.get(split, split)
    folders = [data / task.data.folder, data] if task.data.folder else [data]
    for folder in folders:
        found = [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]
        if len(found) > 1:
            raise DataError(
                f"{folder}: holds both {found[0].name} and {found[1].name}; keep the one to be read"
            )
        if found:
            return found[0]
    return None


def require_table(task: Task, data: Path, split: str) -> Path:
    """Returns the file of `split` under the data folder.

    Raises:
        DataError: There is none.
    """
    path = find_table(task, data, split)
    if path is None:
        stem = task.data.files.get(split, split)
        inside = f"{task.data.folder}/{stem}.tsv or {stem}.tsv" if task.data.folder else f"{stem}.tsv"
        raise DataError(
            f"{data}: found no {split} file of task {task.name!r}; expected {inside} (or .csv, .jsonl)"
        )
    return path


def read_examples(task: Task, path: Path, *, split: str = "", labelled: bool = True) -> Iterator[Example]:
    """Reads the examples of the file `path` of `task`.

    `split` decides whether a benchmark's file has a header line; labels are read where `labelled`.

    Raises:
        DataError: A column is missing, a row is of another width, a text is empty, a label is missing or
            unknown; with file and line.
    """
    data = task.data
    texts = (data.text_column,) if data.pair_column is None else (data.text_column, data.pair_column)
    columns = (*texts, data.label_column) if labelled else texts
    label_ids = {label: number for number, label in enumerate(task.labels)}
    for row in read_columns(path, columns, header=data.headerless.get(split)):
        for column, cell in zip(texts, row.cells, strict=False):
            if not cell.strip():
                raise DataError(
                    f"{path}:{row.line}: the text in column {column!r} is empty; fill it or drop the row"
                )
        label = None
        if labelled:
            where = f"{path}:{row.line}"
            text = row.cells[-1].strip()
            label = _number(text, where) if task.kind == "regression" else _label_id(text, label_ids, where)
        yield Example(row.cells[0], row.cells[1] if len(texts) > 1 else None, label)


def read_columns(path: Path, columns: Sequence[str], *, header: Sequence[str] | None = None) -> Iterator[Row]:
    """Reads the cells of `columns` from the table `path`.

    `header` names the columns of a .tsv or .csv file that has no header line.

    Raises:
        DataError: The file cannot be read as its suffix says, or lacks a column; with file and line.
    """
    if path.suffix == ".jsonl":
        yield from _read_jsonl(path, columns)
    elif path.suffix in {".tsv", ".csv"}:
        yield from _read_separated(path, columns, header)
    else:
        raise DataError(
            f"{path}: expected a file ending in {', '.join(SUFFIXES)}, found {path.suffix or 'none'!r}"
        )


def read_text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Reads the lines of a UTF-8 text with their numbers from 1, without line ends and byte order mark.

    Raises:
        DataError: The file cannot be read, is not UTF-8, or has an endless line.
    """
    tally = Tally()
    for number, line in read_lines(path, tally=tally):
        yield number, line.removesuffix("\r")
    report_skipped(tally)  # NUL bytes


def _read_separated(path: Path, columns: Sequence[str], header: Sequence[str] | None) -> Iterator[Row]:
    rows = _split_csv(path) if path.suffix == ".csv" else _split_tsv(path)
    positions = _positions(path, columns, header) if header is not None else None
    for line, cells in rows:
        if positions is None or header is None:
            header, positions = cells, _positions(path, columns, cells)
        elif len(cells) != len(header):
            raise DataError(
                f"{path}:{line}: expected {len(header)} columns, found {len(cells)}; "
                f"the columns are {', '.join(header)}"
            )
        else:
            yield Row(line, tuple(cells[position] for position in positions))
    if header is None:
        raise DataError(f"{path}: the file is empty; expected a header line with {', '.join(columns)}")


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


def _positions(path: Path, columns: Sequence[str], header: Sequence[str]) -> list[int]:
    for column in columns:
        if column not in header:
            raise DataError(
                f"{path}:1: no column {column!r}{did_you_mean(column, list(header))}; "
                f"found {', '.join(header)}; name columns with --text-column, --pair-column, --label-column"
            )
    return [list(header).index(column) for column in columns]


def _read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    for line, text in read_text_lines(path):
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{line}: not a JSON object ({error})") from error
        if not isinstance(fields, dict):
            raise DataError(f"{path}:{line}: expected a JSON object, found {type(fields).__name__}")
        yield Row(line, tuple(_field(fields, column, f"{path}:{line}") for column in columns))


def _field(fields: dict[str, object], column: str, where: str) -> str:
    if column not in fields:
        raise DataError(
            f"{where}: no field {column!r}{did_you_mean(column, list(fields))}; found {', '.join(fields)}; "
            "name fields with --text-column, --pair-column, --label-column"
        )
    value = fields[column]
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float):
        return json.dumps(value)
    raise DataError(f"{where}: field {column!r} holds {type(value).__name__}, not a text or a number")


def _label_id(text: str, label_ids: dict[str, int], where: str) -> int:
    if text not in label_ids:
        if not text:
            raise DataError(f"{where}: the label is empty; fill it or drop the row")
        known = list(label_ids)
        raise DataError(
            f"{where}: unknown label {text[:60]!r}{did_you_mean(text[:60], known)}; "
            f"known: {', '.join(known[:20])}"
        )
    return label_ids[text]


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: expected a number as label, found {text[:60]!r}; fix it or drop the row")
    return number
