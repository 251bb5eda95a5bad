"""`albert predict`: what a fine-tuned model answers to the examples of a file, as a stream.

Examples are read, encoded, answered and written a thousand at a time, in the order of the file, so memory
does not depend on its size.
"""

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from albert.console import progress
from albert.errors import ConfigError, DataError
from albert.inference.precision import ensure_agreement
from albert.inference.prediction_files import OutputFormat, find_destination
from albert.inference.read_ahead import read_ahead
from albert.inference.trained_model import TrainedModel, open_trained
from albert.model.linear import Dtype
from albert.tasks.files import require_files
from albert.tasks.hub_data import fetch
from albert.tasks.predictions import Chunk, PredictionRow
from albert.tasks.solver import LINES
from albert.tasks.task import ColumnSettings, Task

EXAMPLES_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Write what a fine-tuned model answers: labels, numbers, choices, answers, tags."""

    model: str
    """Model that `albert finetune` wrote, such as RUN/best; or anything that `albert convert` takes."""
    output: Path
    """Predictions in the order of the input: .tsv or .jsonl, for tags also .conll, for answers and choices
    also .json; a folder or .zip for a benchmark's official file."""
    input: Path | None = None
    """Examples: .txt with a text a line (to be labelled, rated or tagged), .tsv, .csv, .jsonl with columns,
    or a file of the task."""
    task: str | None = None
    """Task whose files the input or --data holds, as listed by `albert tasks`; own data if not given."""
    data: Path | None = None
    """Folder that holds the task's files, in place of --input; from the Hub if neither is given."""
    split: Literal["train", "dev", "test"] = "test"
    """Which of the task's files the input is, or is read from --data."""
    format: OutputFormat = "auto"
    """Rows of our own, or the official file of the task's benchmark; auto is official for a folder, .zip,
    .json and the official name, such as RTE.tsv."""
    columns: ColumnSettings = ColumnSettings()
    """Which columns hold what."""
    threshold: float | None = None
    """Spans: null odds above which there is no answer; default: the best for F1 on dev, which the model has
    stored. Several labels a text: probability from which on a label is predicted; default: 0.5."""
    max_seq_length: int | None = None
    """Pieces an example is cut to; the length of the fine-tuning if not given."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""
    dtype: Dtype = "float32"
    """Type of the matrix products: bf16 where the device has it; int8 on CPUs, refused where the first
    examples show that it changes what the model says."""

    def __post_init__(self) -> None:
        if self.input is not None and self.data is not None:
            raise ConfigError("--input and --data both say what is read; choose one")
        if self.input is None and self.data is None and self.task is None:
            raise ConfigError("expected --input FILE, or --task NAME with --data FOLDER or without")


def predict(settings: PredictSettings) -> dict[str, object]:
    """Write one prediction for each example, and returns their number.

    A class comes as `label` with its probability `score` and the probability of every label; a number
    comes as `score`; other kinds as their solver's records say.

    Raises:
        AlbertError: The model is for another task, or the input cannot be read. Rows of our own that were
            written stay; what is wrong from the start costs no earlier output, and an official file appears
            whole or not at all.
    """
    trained = open_trained(
        settings.model,
        task=settings.task,
        columns=settings.columns,
        max_seq_length=settings.max_seq_length,
        device=settings.device,
        dtype=settings.dtype,
    )
    task = trained.task
    threshold = _threshold(settings, trained)
    destination = find_destination(task, trained.solver, settings.output, output_format=settings.format)
    paths = _inputs(settings, task)
    for path in destination.paths():
        if path.resolve() in {source.resolve() for source in paths}:
            raise ConfigError(f"--output {path} is the input; name another file")
    is_text = _is_plain_text(settings, task)
    examples = (
        _text_examples(settings, trained, paths[0]) if is_text else _task_examples(settings, trained, paths)
    )
    encoded = read_ahead(_encoded(trained, examples))
    first = next(encoded, None)  # What is wrong from the start must not cost an earlier output file.
    if first is None:
        raise DataError(f"{paths[0]}: holds no text; expected one or more")
    ensure_agreement(trained.model, first[1])
    pattern = LINES if is_text else trained.solver.example_pattern(task, paths[0])
    total = _count(paths, pattern)
    count = 0
    with destination.open() as append, progress("predicting", total=total, unit=" examples") as bar:
        for chunk in _predicted(trained, chain([first], encoded), threshold):
            append(chunk)
            count += len(chunk.rows)
            bar.advance(len(chunk.rows))
    result: dict[str, object] = {"output": str(destination.path), "examples": count}
    if destination.member is not None:
        result |= {"member": destination.member, "missing": destination.missing()}
    return result


def _inputs(settings: PredictSettings, task: Task) -> tuple[Path, ...]:
    """Return the files to be read."""
    if settings.input is not None:
        return (settings.input,)
    return require_files(task, fetch(task) if settings.data is None else settings.data, settings.split)


def _is_plain_text(settings: PredictSettings, task: Task) -> bool:
    """Whether the input is text and no table: .txt is, unless files of the named task end so."""
    if settings.input is None or settings.input.suffix != ".txt":
        return False
    patterns = [pattern for files in task.data.files.values() for pattern in files]
    return settings.task is None or not any(pattern.endswith(".txt") for pattern in patterns)


def _text_examples(settings: PredictSettings, trained: TrainedModel, path: Path) -> Iterator[Any]:
    """Return the examples of a file without columns; a line that is none is found while it is read."""
    if settings.columns != ColumnSettings():
        raise ConfigError(
            f"--input {path}: lines of text have no columns; drop them, or give a .tsv, .csv or .jsonl file"
        )
    return trained.solver.read_text(trained.task, path)


def _task_examples(
    settings: PredictSettings, trained: TrainedModel, paths: tuple[Path, ...]
) -> Iterator[Any]:
    return trained.solver.read(trained.task, paths, split=settings.split, labelled=False)


def _encoded(trained: TrainedModel, examples: Iterator[Any]) -> Iterator[tuple[list[Any], Any]]:
    """Yield some examples at a time with their features."""
    while some := list(islice(examples, EXAMPLES_AT_ONCE)):
        yield (
            some,
            trained.solver.encode(trained.task, some, trained.tokenizer, lengths=trained.lengths),
        )


def _predicted(
    trained: TrainedModel, encoded: Iterator[tuple[list[Any], Any]], threshold: float | None
) -> Iterator[Chunk]:
    """Yield the predictions for some examples at a time."""
    task, solver, place = trained.task, trained.solver, 0
    for examples, features in encoded:
        found = solver.predict(task, trained.model, examples, features)
        predictions = solver.with_threshold(task, found, threshold)
        records = zip(examples, solver.records(task, examples, predictions), strict=True)
        rows = tuple(
            PredictionRow(place=number, example=example, record=record)
            for number, (example, record) in enumerate(records, start=place)
        )
        yield Chunk(examples=examples, predictions=predictions, rows=rows)
        place += len(examples)


def _threshold(settings: PredictSettings, trained: TrainedModel) -> float | None:
    """Return the threshold that is given, or that the model's run found best on dev."""
    if settings.threshold is not None:
        return settings.threshold
    name = trained.solver.threshold_score
    return None if name is None else trained.scores.get(name)


def _count(paths: tuple[Path, ...], mark: re.Pattern[bytes] | None) -> int | None:
    """Return how often a mark stands in some files; None where they cannot be read twice."""
    if mark is None or not all(path.is_file() for path in paths):
        return None
    total = 0
    for path in paths:
        if path.stat().st_size:  # Nothing cannot be mapped.
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                total += sum(1 for _ in mark.finditer(content))
    return total
