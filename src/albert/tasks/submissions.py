"""The file a benchmark takes for a task: its name and its layout.

A task's record names its file; the solver of its kind writes it. GLUE takes a table of `index` and
`prediction` for each of eleven tasks. CLUE takes JSON lines of `id` and `label`, or one JSON object for
reading comprehension. The scripts of SQuAD take one object of answers by question id; for RACE we write such
an object of letters.

Source: the FAQ of gluebenchmark.com; CLUEbenchmark/CLUE, submission notes of September 2021, whose names are
those of version 1.1 of the test sets; `write_predictions_v2` (squad_utils.py) of the original.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

PREDICTIONS_FILE = "predictions.json"
"""Name of a submission that a script takes instead of a benchmark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The file a benchmark takes for one task."""

    benchmark: Literal["GLUE", "CLUE", ""] = ""
    """Benchmark that takes one archive of all its files; "" if each file is submitted alone."""
    file: str = PREDICTIONS_FILE
    """Name of the file."""
    layout: str
    """Layout of the file, one that the solver of the task's kind knows."""
    is_required: bool = True
    """Whether a complete archive needs the file."""
    label_descriptions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """A text written next to each label; empty for none."""


def glue(file: str) -> Submission:
    """Return the table that GLUE takes for one of its tasks."""
    return Submission(benchmark="GLUE", file=file, layout="glue")


def clue(
    file: str,
    *,
    layout: str = "clue",
    is_required: bool = True,
    label_descriptions: Mapping[str, str] = MappingProxyType({}),
) -> Submission:
    """Return the file that CLUE takes for one of its tasks."""
    return Submission(
        benchmark="CLUE",
        file=file,
        layout=layout,
        is_required=is_required,
        label_descriptions=label_descriptions,
    )
