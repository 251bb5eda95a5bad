"""Predictions as lines: TSV and JSON lines for every kind of task, columns for tags.

Stands above the solvers' records and below `albert predict`. What benchmarks want is in `submissions`.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from albert.errors import DataError
from albert.tasks.task import Kind, Task

OWN_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "classification": (".tsv", ".jsonl"),
    "regression": (".tsv", ".jsonl"),
    "choice": (".tsv", ".jsonl"),
    "spans": (".tsv", ".jsonl"),
    "tagging": (".tsv", ".jsonl", ".conll"),
}
"""How a file of rows may end, by the kind of task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says of one example."""

    place: int
    """Place of the example in the input, from 0."""
    example: Any
    """The example, of the solver's own kind."""
    record: dict[str, Any]
    """The solver's record of the answer."""

    @property
    def id(self) -> str:
        """Returns what the benchmark calls the example; its place where it has no name."""
        return id_of(self.example, self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some examples in the order of the input, with what a model answers."""

    examples: Sequence[Any]
    """Of the solver's own kind."""
    answers: Any
    """Likewise."""
    predictions: tuple[Prediction, ...]
    """One an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFormat:
    """A file that holds one prediction after the other."""

    header: str
    """First line, with its end; "" for none."""
    line: Callable[[Prediction], str]
    """Returns the line of a prediction, or its lines, with the end."""

    def lines(self, chunk: Chunk) -> str:
        """Returns the lines of some predictions."""
        return "".join(map(self.line, chunk.predictions))


def id_of(example: Any, place: int) -> str:
    """Returns what the benchmark calls `example`; its place where it has no name."""
    return getattr(example, "id", None) or str(place)


def own_format(task: Task, suffix: str) -> LineFormat:
    """Returns how predictions for `task`, which has its labels, are written to a file with `suffix`."""
    assert suffix in OWN_SUFFIXES[task.kind]
    if suffix == ".jsonl":
        return LineFormat(header="", line=_json_line)
    if suffix == ".conll":
        return LineFormat(header="", line=_columns)
    if task.kind == "classification":
        return _label_table(task.labels)
    names = {
        "regression": ("score",),
        "choice": ("label", "score", "answer"),
        "spans": ("id", "answer", "score", "start", "end"),
        "tagging": ("words", "tags"),
    }[task.kind]
    return LineFormat(header=_row(names), line=lambda prediction: _row(_cells(prediction, names)))


def listed(names: Sequence[str]) -> str:
    """Returns names as "a, b or c"."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _label_table(labels: Sequence[str]) -> LineFormat:
    """Returns rows of the label, its probability, and those of all labels."""

    def line(prediction: Prediction) -> str:
        record = prediction.record
        return _row([record["label"], record["score"], *record["scores"].values()])

    return LineFormat(header=_row(["label", "score", *labels]), line=line)


def _cells(prediction: Prediction, names: Sequence[str]) -> Iterator[object]:
    """Yields the named cells of a row; words and tags of a sentence are joined by blanks."""
    for name in names:
        if name == "words":
            yield " ".join(prediction.example.words)
        else:
            value = prediction.record[name]
            yield " ".join(value) if isinstance(value, list) else value


def _row(cells: Sequence[object] | Iterator[object]) -> str:
    """Returns a line of TSV; white space inside a cell, which might be a tab or a line end, is one blank."""
    return "\t".join(" ".join(str(cell).split()) for cell in cells) + "\n"


def _json_line(prediction: Prediction) -> str:
    record = prediction.record
    if "tags" in record:
        record = {"words": list(prediction.example.words), **record}
    elif "answer" in record and "id" not in record:
        record = {"id": prediction.id, **record}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _columns(prediction: Prediction) -> str:
    """Returns a line of word and tag for each word, and a blank line behind the sentence."""
    example = prediction.example
    for word in example.words:
        if not word.strip() or len(word.split()) > 1:
            raise DataError(
                f"{example.where}: the word {word[:40]!r} holds a blank, which separates columns; "
                "name an --output that ends in .jsonl or .tsv"
            )
    tagged = zip(example.words, prediction.record["tags"], strict=True)
    return "".join(f"{word} {tag}\n" for word, tag in tagged) + "\n"
