"""Formats in which predictions are written: CSV, TSV, JSON lines, and the official files of benchmarks.

What the kinds of task share. Each kind chooses among these formats, or adds its own in its room.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from albert.tasks.bad_rows import SkippedRow
from albert.tasks.labels import six_digits


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """The prediction for one example."""

    place: int
    """Place of the example in the input, from 0."""
    example: Any
    """The example, of the kind's own type."""
    record: dict[str, Any]
    """The solver's record of the prediction; empty for a row that was left out."""

    @property
    def id(self) -> str:
        """The benchmark's id of the example, or its place if it has none."""
        return id_of(self.example, self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some examples in the order of the input, with their predictions."""

    examples: Sequence[Any]
    """The examples, of the kind's own type."""
    predictions: Any
    """What `Solver.predict` returned for them."""
    rows: tuple[PredictionRow, ...]
    """A row for each example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFormat:
    """Format of a file that holds one prediction after the other."""

    header: str = ""
    """First line, with its line end; "" for none."""
    line: Callable[[PredictionRow], str]
    """Function that returns the line or lines of a prediction, with their line ends."""
    skipped: Callable[[PredictionRow], str] | None = None
    """Function that returns the line of a row that was left out; None if the format has no such lines."""

    def lines(self, chunk: Chunk) -> str:
        """Return the lines of some predictions."""
        return "".join(map(self._line_of, chunk.rows))

    def _line_of(self, row: PredictionRow) -> str:
        if not isinstance(row.example, SkippedRow):
            return self.line(row)
        assert self.skipped is not None  # `albert predict` leaves no row out of such a file
        return self.skipped(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFormat:
    """Format of a JSON object by example id, and of others in files next to it."""

    members: Callable[[Chunk], dict[str, dict[str, Any]]]
    """Function that returns what some predictions add to each file, by file name, the submission first."""
    also: tuple[str, ...] = ()
    """Names of the files that may be written next to the submission."""


def id_of(example: Any, place: int) -> str:
    """Return the benchmark's id of `example`, or its place if it has none."""
    return getattr(example, "id", None) or str(place)


TableColumn = tuple[str, Callable[[dict[str, Any]], object]]
"""Name of a column, and a function that returns its cell for a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowContent:
    """What a row of predictions holds: id and texts of its example, and the prediction."""

    inputs: Mapping[str, Callable[[Any], str | None]]
    """By column of the input that is passed through, a function that returns it for an example."""
    outputs: Sequence[TableColumn]
    """The columns of a table with the prediction."""

    def format(self, suffix: str) -> LineFormat:
        """Return the format of a file with a suffix: .csv, .tsv or .jsonl."""
        if suffix == ".jsonl":
            return json_lines(lambda row: {"id": row.id, **self._given(row), **row.record})
        # A column of the input that has the name of a prediction stays recognisable.
        outputs = [name for name, _ in self.outputs]
        inputs = [f"input_{name}" if name in {"id", *outputs} else name for name in self.inputs]
        separator = "," if suffix == ".csv" else "\t"
        return table_format(["id", *inputs, *outputs], self._cells, separator=separator)

    def _given(self, row: PredictionRow) -> dict[str, str]:
        found = {name: cell(row.example) for name, cell in self.inputs.items()}
        return {name: cell for name, cell in found.items() if cell is not None}

    def _cells(self, row: PredictionRow) -> list[object]:
        given = [cell(row.example) or "" for cell in self.inputs.values()]
        return [row.id, *given, *(cell(row.record) for _, cell in self.outputs)]


def table_format(
    names: Sequence[str], cells: Callable[[PredictionRow], Sequence[object]], *, separator: str
) -> LineFormat:
    """Return a table with a header of `names` and the `cells` of each prediction.

    Cells of a CSV table, separated by commas, may hold anything; in a TSV table whitespace inside a cell,
    such as a tab or a line end, becomes one space.
    """
    line = _csv_line if separator == "," else _tsv_line
    return LineFormat(
        header=line(names),
        line=lambda row: line(cells(row)),
        skipped=lambda row: line([row.id, *[""] * (len(names) - 1)]),
    )


def recorded(*names: str) -> list[TableColumn]:
    """Return the columns whose cells are the values of the same names in a record."""
    return [(name, itemgetter(name)) for name in names]


def json_lines(record: Callable[[PredictionRow], dict[str, Any]]) -> LineFormat:
    """Return a format of JSON lines: an object for each prediction; for a row left out, the reason."""

    def line(fields: dict[str, Any]) -> str:
        return json.dumps(fields, ensure_ascii=False) + "\n"

    return LineFormat(
        line=lambda row: line(record(row)),
        skipped=lambda row: line({"id": row.id, "skipped": row.example.reason}),
    )


def glue_table(value: Callable[[PredictionRow], object]) -> LineFormat:
    """Return GLUE's table of `index` and `prediction`."""
    return LineFormat(header="index\tprediction\n", line=lambda row: f"{row.id}\t{value(row)}\n")


def clue_lines(fields: Callable[[PredictionRow], dict[str, Any]]) -> LineFormat:
    """Return CLUE's JSON lines of an `id` and some fields."""
    return json_lines(lambda row: {"id": _plain_id(row.id), **fields(row)})


def score_by_name(names: Sequence[str], probabilities: Iterable[float]) -> dict[str, float]:
    """Return probabilities by name, rounded to six digits, the precision of float32."""
    return dict(zip(names, map(six_digits, probabilities), strict=True))


def scores_of(labels: Sequence[str]) -> list[TableColumn]:
    """Return a column for the probability of each label, from the record's `scores`."""

    def column(label: str) -> TableColumn:
        return label, lambda record: record["scores"][label]

    return [column(label) for label in labels]


def listed(names: Sequence[str]) -> str:
    """Return names as "a, b or c"."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _tsv_line(cells: Iterable[object]) -> str:
    return "\t".join(" ".join(str(cell).split()) for cell in cells) + "\n"


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _plain_id(name: str) -> int | str:
    """Return an id as a number if the benchmark's files write it so."""
    return int(name) if name.isascii() and name.isdecimal() and str(int(name)) == name else name
