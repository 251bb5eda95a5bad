"""`albert predict`: what a fine-tuned model answers to the examples of a file, as a stream.

Examples are read, encoded, answered and written a thousand at a time, in the order of the file, so memory
does not depend on its size.
"""

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from albert.tasks.predictions import Chunk, Prediction
from albert.tasks.spans.solver import SpanAnswers
from albert.tasks.tables import Example, read_text_lines
from albert.tasks.tagging.files import read_sentences
from albert.tasks.task import ColumnSettings, Task

EXAMPLES_AT_ONCE = 1024

_LINES = re.compile(rb"[^\n]\n|[^\n]\Z")
_QUESTIONS = re.compile(rb'"question"')
_SENTENCES = re.compile(rb"[^\r\n]\r?\n\r?\n|[^\r\n]\s*\Z")


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Write the predictions of a fine-tuned model: labels, numbers, choices, answers, tags."""

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
    null_threshold: float | None = None
    """Spans: null odds above which there is no answer; the best for F1 on dev, which the model brings, if not
    given."""
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
    """Writes one prediction for each example, and returns their number.

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
    threshold = _null_threshold(settings, trained)
    destination = find_destination(task, settings.output, output_format=settings.format)
    paths = _inputs(settings, task)
    for path in destination.paths():
        if path.resolve() in {source.resolve() for source in paths}:
            raise ConfigError(f"--output {path} is the input; name another file")
    is_text = _is_plain_text(settings, task)
    examples = (
        _text_examples(settings, task, paths[0]) if is_text else _task_examples(settings, trained, paths)
    )
    encoded = read_ahead(_encoded(trained, examples))
    first = next(encoded, None)  # What is wrong from the start must not cost an earlier output file.
    if first is None:
        raise DataError(f"{paths[0]}: holds no text; expected one or more")
    ensure_agreement(trained.model, first[1])
    total = _count(paths, _LINES) if is_text else _count(paths, _mark_of_example(task, paths[0]))
    count = 0
    with destination.open() as append, progress("predicting", total=total, unit=" examples") as bar:
        for chunk in _answered(trained, chain([first], encoded), threshold):
            append(chunk)
            count += len(chunk.predictions)
            bar.advance(len(chunk.predictions))
    result: dict[str, object] = {"output": str(destination.path), "examples": count}
    if destination.member is not None:
        result |= {"member": destination.member, "missing": destination.missing()}
    return result


def _inputs(settings: PredictSettings, task: Task) -> tuple[Path, ...]:
    """Returns the files to be read."""
    if settings.input is not None:
        return (settings.input,)
    return require_files(task, fetch(task) if settings.data is None else settings.data, settings.split)


def _is_plain_text(settings: PredictSettings, task: Task) -> bool:
    """Tells whether the input is text and no table: .txt is, unless files of the named task end so."""
    if settings.input is None or settings.input.suffix != ".txt":
        return False
    patterns = [pattern for files in task.data.files.values() for pattern in files]
    return settings.task is None or not any(pattern.endswith(".txt") for pattern in patterns)


def _text_examples(settings: PredictSettings, task: Task, path: Path) -> Iterator[Any]:
    """Returns the texts of a file without columns; problems of the file come up while it is read."""
    if settings.columns != ColumnSettings():
        raise ConfigError(
            f"--input {path}: lines of text have no columns; drop them, or give a .tsv, .csv or .jsonl file"
        )
    if task.kind == "tagging":
        return read_sentences(task, path)
    if task.kind in {"choice", "spans"} or task.data.pair_column is not None:
        raise ConfigError(
            f"--input {path}: lines of text are single texts, but task {task.name!r} asks for more; "
            "give a file with columns, or one of the task"
        )
    return _read_lines(path)


def _task_examples(
    settings: PredictSettings, trained: TrainedModel, paths: tuple[Path, ...]
) -> Iterator[Any]:
    return trained.solver.read(trained.task, paths, split=settings.split, labelled=False)


def _read_lines(path: Path) -> Iterator[Example]:
    for number, line in read_text_lines(path):
        if not line.strip():
            raise DataError(f"{path}:{number}: the line is empty; drop it, as each line is one text")
        yield Example(line)


def _encoded(trained: TrainedModel, examples: Iterator[Any]) -> Iterator[tuple[list[Any], Any]]:
    """Yields some examples at a time with their features."""
    while some := list(islice(examples, EXAMPLES_AT_ONCE)):
        yield (
            some,
            trained.solver.encode(trained.task, some, trained.tokenizer, lengths=trained.lengths),
        )


def _answered(
    trained: TrainedModel, encoded: Iterator[tuple[list[Any], Any]], null_threshold: float | None
) -> Iterator[Chunk]:
    """Yields the predictions for some examples at a time."""
    task, solver, place = trained.task, trained.solver, 0
    for examples, features in encoded:
        answers = solver.answers(task, trained.model, examples, features)
        if isinstance(answers, SpanAnswers):
            answers = replace(answers, null_threshold=null_threshold)
        records = zip(examples, solver.records(task, examples, answers), strict=True)
        predictions = tuple(
            Prediction(place=number, example=example, record=record)
            for number, (example, record) in enumerate(records, start=place)
        )
        yield Chunk(examples=examples, answers=answers, predictions=predictions)
        place += len(examples)


def _null_threshold(settings: PredictSettings, trained: TrainedModel) -> float | None:
    """Returns the null odds above which nothing is answered, as given or as the model's run found it best."""
    if settings.null_threshold is None:
        return trained.scores.get("best_f1_thresh")
    if trained.task.kind != "spans":
        raise ConfigError(
            f"--null-threshold is for questions that may have no answer, and task {trained.task.name!r} has "
            "none; drop it"
        )
    return settings.null_threshold


def _mark_of_example(task: Task, path: Path) -> re.Pattern[bytes] | None:
    """Returns what stands in a file about once for every example; None where nothing does."""
    if task.data.layout in {"race", "c3"}:
        return None
    if task.data.layout == "squad" and path.suffix == ".json":
        return _QUESTIONS
    if task.kind == "tagging" and path.suffix not in {".json", ".jsonl"}:
        return _SENTENCES
    return _LINES


def _count(paths: tuple[Path, ...], mark: re.Pattern[bytes] | None) -> int | None:
    """Returns how often a mark stands in some files; None where they cannot be read twice."""
    if mark is None or not all(path.is_file() for path in paths):
        return None
    total = 0
    for path in paths:
        if path.stat().st_size:  # Nothing cannot be mapped.
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                total += sum(1 for _ in mark.finditer(content))
    return total
