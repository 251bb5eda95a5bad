"""`albert predict`: the predictions of a fine-tuned model for the examples of a file, as a stream.

Examples are read, encoded, predicted and written a thousand at a time, in the order of the file, so memory
does not depend on its size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from albert.console import collected_notes, progress, say, without_notes
from albert.errors import ConfigError, DataError
from albert.inference.precision import ensure_agreement
from albert.inference.prediction_files import Destination, OutputFormat, find_destination
from albert.inference.prediction_stream import count_matches, encoded_chunks, predicted_chunks
from albert.inference.read_ahead import read_ahead
from albert.inference.trained_model import TrainedModel, open_trained
from albert.model.linear import Dtype
from albert.tasks.bad_rows import ADVICE, BadRows, OnBadRow
from albert.tasks.cuts import Cuts
from albert.tasks.files import split_files
from albert.tasks.predictions import listed
from albert.tasks.solver import LINES
from albert.tasks.task import ColumnSettings, Task


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Write the predictions of a fine-tuned model: labels, numbers, choices, answers, tags."""

    model: str
    """Model that `albert finetune` wrote, such as RUN/best; or anything that `albert convert` takes."""
    output: Path
    """Predictions with ids and texts, in the order of the input: .csv, .tsv or .jsonl, for tags also .conll,
    for answers and choices also .json; a folder or .zip for a benchmark's official file."""
    input: Path | None = None
    """Examples: .txt with one text a line (for labels, numbers or tags), .tsv, .csv, .jsonl with columns, or
    a file of the task."""
    task: str | None = None
    """Task of the files in --input or --data, as listed by `albert tasks`; own data if not given."""
    data: Path | None = None
    """Folder that holds the task's files, in place of --input; from the Hub if neither is given."""
    split: Literal["train", "dev", "test"] = "test"
    """Split of the task that --input is, or that is read from --data."""
    format: OutputFormat = "auto"
    """Our own rows, or the official file of the task's benchmark; auto is official for a folder, .zip, .json
    and the official name, such as RTE.tsv."""
    columns: ColumnSettings = ColumnSettings()
    """Which columns hold what; by default as in fine-tuning."""
    on_bad_row: OnBadRow = "error"
    """What to do if rows cannot be used, such as empty texts: error names them before anything is written;
    skip leaves their answers empty."""
    threshold: float | None = None
    """Spans: null odds above which there is no answer; default: the best for F1 on dev, as stored with the
    model. Several labels a text: lowest probability at which a label is predicted; default: 0.5."""
    labels: str | None = None
    """Names of the model's outputs in their order, such as no,yes; for models that do not name them."""
    max_seq_length: int | None = None
    """Tokens an example is cut to; the length used in fine-tuning if not given."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""
    dtype: Dtype = "float32"
    """Type of the matrix products: bf16 where the device has it; int8 on CPUs, refused if it changes the
    predictions for the first examples."""

    def __post_init__(self) -> None:
        if self.input is not None and self.data is not None:
            raise ConfigError("--input and --data both name the examples; choose one")
        if self.input is None and self.data is None and self.task is None:
            raise ConfigError(
                "expected --input FILE, or --task NAME with or without --data FOLDER; found neither"
            )


def predict(settings: PredictSettings) -> dict[str, object]:
    """Write one prediction for each example; return the output file and the number of examples.

    `Solver.records` describes a prediction. An error before the first prediction leaves an earlier output
    untouched. After a later error, our own rows written so far remain, and an official file does not appear.

    Raises:
        AlbertError: The model is for another task, or the input cannot be read.
    """
    with collected_notes() as notes:
        result = _predict(settings)
    return result | ({"notes": notes} if notes else {})


def _predict(settings: PredictSettings) -> dict[str, object]:
    trained = open_trained(
        settings.model,
        task=settings.task,
        columns=settings.columns,
        labels=settings.labels,
        max_seq_length=settings.max_seq_length,
        device=settings.device,
        dtype=settings.dtype,
    )
    task = trained.task
    threshold = _threshold(settings, trained)
    destination = find_destination(task, trained.solver, settings.output, output_format=settings.format)
    if settings.input is not None:
        paths: tuple[Path, ...] = (settings.input,)
    else:
        paths = split_files(task, settings.data, settings.split)
    for path in destination.paths():
        if path.resolve() in {source.resolve() for source in paths}:
            raise ConfigError(f"--output {path} is the input; name another file")
    is_text = _is_plain_text(settings, task)
    _check_rows(settings, trained, paths, destination, is_text=is_text)
    bad_rows = BadRows(settings.on_bad_row, advice=ADVICE, keeps_place=True)
    examples = _read(settings, trained, paths, is_text=is_text, bad_rows=bad_rows)
    cuts = Cuts()
    encoded = read_ahead(encoded_chunks(trained, examples, cuts=cuts))
    first = next(encoded, None)  # Bad input must fail before the output file is opened.
    if first is None:
        raise DataError(f"{paths[0]}: holds no example; expected one or more")
    ensure_agreement(trained.model, first[1])
    pattern = LINES if is_text else trained.solver.example_pattern(task, paths[0])
    total = count_matches(paths, pattern)
    count = 0
    with destination.open() as append, progress("predicting", total=total, unit=" examples") as bar:
        for chunk in predicted_chunks(trained, chain([first], encoded), threshold=threshold):
            append(chunk)
            count += len(chunk.rows)
            bar.advance(len(chunk.rows))
    if cuts.cut:
        say(f"{paths[0]}: {cuts}")
    result: dict[str, object] = {"output": str(destination.path), "examples": count}
    result["lengths"] = cuts.to_dict()
    if bad_rows.count:
        result["skipped"] = bad_rows.count
    if destination.member is not None:
        result |= {"member": destination.member, "missing": destination.missing()}
    return result


def _is_plain_text(settings: PredictSettings, task: Task) -> bool:
    """Whether the input is plain text: a .txt file, unless files of the named task are .txt."""
    if settings.input is None or settings.input.suffix != ".txt":
        return False
    patterns = [pattern for files in task.data.files.values() for pattern in files]
    return settings.task is None or not any(pattern.endswith(".txt") for pattern in patterns)


def _check_rows(
    settings: PredictSettings,
    trained: TrainedModel,
    paths: tuple[Path, ...],
    destination: Destination,
    *,
    is_text: bool,
) -> None:
    """Read the whole input once, before anything is computed, so that an error names all its bad rows.

    Raises:
        DataError: There are some, and they are not to be left out.
        ConfigError: They are to be left out of an official file, which needs an answer for each.
    """
    if settings.on_bad_row == "skip":
        if destination.submission is not None:
            raise ConfigError(
                f"--on-bad-row skip: the official file {destination.path} needs every answer; name an "
                f"--output ending in {listed(trained.solver.row_suffixes)}, or drop the flag"
            )
        return
    with without_notes():
        for _ in _read(settings, trained, paths, is_text=is_text, bad_rows=BadRows(advice=ADVICE)):
            pass


def _read(
    settings: PredictSettings,
    trained: TrainedModel,
    paths: tuple[Path, ...],
    *,
    is_text: bool,
    bad_rows: BadRows,
) -> Iterator[Any]:
    """Return the examples, without labels; errors in the files are raised while they are read."""
    if not is_text:
        return trained.solver.read(
            trained.task, paths, split=settings.split, labelled=False, bad_rows=bad_rows
        )
    if settings.columns != ColumnSettings():
        raise ConfigError(
            f"--input {paths[0]}: lines of text have no columns; drop the column flags, or give a .tsv, .csv "
            "or .jsonl file"
        )
    return trained.solver.read_text(trained.task, paths[0], bad_rows=bad_rows)


def _threshold(settings: PredictSettings, trained: TrainedModel) -> float | None:
    """Return the given threshold, or the best one on dev, as stored with the model."""
    if settings.threshold is not None:
        return settings.threshold
    name = trained.solver.threshold_score
    return None if name is None else trained.scores.get(name)
