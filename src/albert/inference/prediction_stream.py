"""Predictions as a stream: examples are encoded, predicted and returned in chunks.

A chunk is a thousand examples, so memory does not depend on the size of the input, while sequences of similar
length can still be grouped.
"""

import mmap
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from albert.inference.trained_model import TrainedModel
from albert.tasks.bad_rows import SkippedRow
from albert.tasks.cuts import Cuts
from albert.tasks.predictions import Chunk, PredictionRow

EXAMPLES_AT_ONCE = 1024


def encoded_chunks(
    trained: TrainedModel, examples: Iterator[Any], *, cuts: Cuts
) -> Iterator[tuple[list[Any], Any]]:
    """Yield chunks of examples with the features of those that were not left out.

    What is cut off is counted in `cuts`.
    """
    solver, task, tokenizer, lengths = trained.solver, trained.task, trained.tokenizer, trained.lengths
    while chunk := list(islice(examples, EXAMPLES_AT_ONCE)):
        yield chunk, solver.encode(task, _usable(chunk), tokenizer, lengths=lengths, cuts=cuts)


def predicted_chunks(
    trained: TrainedModel, encoded: Iterator[tuple[list[Any], Any]], *, threshold: float | None
) -> Iterator[Chunk]:
    """Yield the predictions for each chunk of encoded examples, decided at `threshold`."""
    task, solver, place = trained.task, trained.solver, 0
    for chunk, features in encoded:
        examples = _usable(chunk)
        found = trained.predict(examples, features)
        predictions = solver.with_threshold(task, found, threshold)
        records = iter(solver.records(task, examples, predictions))
        rows = tuple(
            PredictionRow(
                place=number,
                example=example,
                record={} if isinstance(example, SkippedRow) else next(records),
            )
            for number, example in enumerate(chunk, start=place)
        )
        yield Chunk(examples=examples, predictions=predictions, rows=rows)
        place += len(chunk)


def _usable(chunk: list[Any]) -> list[Any]:
    return [example for example in chunk if not isinstance(example, SkippedRow)]


def count_matches(paths: tuple[Path, ...], pattern: re.Pattern[bytes] | None) -> int | None:
    """Return how often a pattern occurs in some files; None without a pattern or for a pipe."""
    if pattern is None or not all(path.is_file() for path in paths):
        return None
    total = 0
    for path in paths:
        if path.stat().st_size:  # An empty file cannot be mapped.
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                total += sum(1 for _ in pattern.finditer(content))
    return total
