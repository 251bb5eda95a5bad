"""`albert predict`: the predictions of a fine-tuned model for the examples of a file, as a stream.

Examples are read, encoded, predicted and written a thousand at a time, in the order of the file, so memory
does not depend on its size.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from albert.commands.settings.predict import PredictSettings
from albert.console import collected_notes, command_line, progress, say, without_notes
from albert.errors import ConfigError, DataError
from albert.inference.early_exit import ExitRule
from albert.inference.precision import ensure_agreement
from albert.inference.prediction_files import Destination, find_destination
from albert.inference.prediction_stream import count_matches, encoded_chunks, predicted_chunks
from albert.inference.read_ahead import read_ahead
from albert.inference.trained_model import TrainedModel, open_trained
from albert.tasks.bad_rows import ADVICE, BadRows
from albert.tasks.cuts import Cuts
from albert.tasks.files import split_files
from albert.tasks.predictions import listed
from albert.tasks.solver import LINES
from albert.tasks.task import ColumnSettings, Task

__all__ = ["PredictSettings", "predict"]


def predict(settings: PredictSettings) -> dict[str, object]:
    """Write one prediction for each example; return the output file and the number of examples.

    `Solver.records` describes a prediction. An error before the first prediction leaves an earlier output
    untouched. After a later error, our own rows written so far remain, and an official file does not appear.

    Raises:
        AlbertError: The model is for another task, or the input cannot be read.
    """
    with collected_notes() as notes:
        result = _predict(settings)
        result["next"] = command_line("evaluate", task=settings.task, model=settings.model, data="FILE")
    return result | ({"notes": notes} if notes else {})


def _predict(settings: PredictSettings) -> dict[str, object]:
    trained = open_trained(
        settings.model,
        task=settings.task,
        columns=settings.columns,
        labels=settings.labels,
        max_seq_length=settings.max_seq_length,
        depth=settings.depth,
        early_exit=None if settings.early_exit is None else ExitRule.of(settings.early_exit),
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
