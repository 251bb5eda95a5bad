"""Formats in which predictions are written: TSV, JSON lines, and the official files of benchmarks.

What the kinds of task share. Each kind chooses among these formats, or adds its own in its room.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from albert.tasks.labels import six_digits


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """The prediction for one example."""

    place: int
    """Place of the example in the input, from 0."""
    example: Any
    """The example, of the kind's own type."""
    record: dict[str, Any]
    """The solver's record of the prediction."""

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

    def lines(self, chunk: Chunk) -> str:
        """Return the lines of some predictions."""
        return "".join(map(self.line, chunk.rows))


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


def table_format(names: Sequence[str], cells: Callable[[PredictionRow], Iterable[object]]) -> LineFormat:
    """Return a TSV format with a header of `names` and the `cells` of each prediction."""
    return LineFormat(header=_row(names), line=lambda row: _row(cells(row)))


def recorded(names: Sequence[str]) -> Callable[[PredictionRow], Iterable[object]]:
    """Return a function that returns the values called `names` of a prediction's record."""
    return lambda row: [row.record[name] for name in names]


def json_lines(record: Callable[[PredictionRow], dict[str, Any]] = lambda row: row.record) -> LineFormat:
    """Return a format of JSON lines, an object for each prediction."""
    return LineFormat(line=lambda row: json.dumps(record(row), ensure_ascii=False) + "\n")


def with_id(row: PredictionRow) -> dict[str, Any]:
    """Return the record of a prediction with the `id` of its example in front."""
    return {"id": row.id, **row.record}


def glue_table(value: Callable[[PredictionRow], object]) -> LineFormat:
    """Return GLUE's table of `index` and `prediction`."""
    return LineFormat(header="index\tprediction\n", line=lambda row: f"{row.id}\t{value(row)}\n")


def clue_lines(fields: Callable[[PredictionRow], dict[str, Any]]) -> LineFormat:
    """Return CLUE's JSON lines of an `id` and some fields."""
    return json_lines(lambda row: {"id": _plain_id(row.id), **fields(row)})


def score_by_name(names: Sequence[str], probabilities: Iterable[float]) -> dict[str, float]:
    """Return probabilities by name, rounded to six digits, the precision of float32."""
    return dict(zip(names, map(six_digits, probabilities), strict=True))


def listed(names: Sequence[str]) -> str:
    """Return names as "a, b or c"."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _row(cells: Iterable[object]) -> str:
    """Return a line of TSV; whitespace inside a cell, such as a tab or a line end, becomes one space."""
    return "\t".join(" ".join(str(cell).split()) for cell in cells) + "\n"


def _plain_id(name: str) -> int | str:
    """Return an id as a number if the benchmark's files write it so."""
    return int(name) if name.isascii() and name.isdecimal() and str(int(name)) == name else name
