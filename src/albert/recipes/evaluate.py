"""`albert evaluate`: scores of a fine-tuned model on a split of its task."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.errors import DataError
from albert.recipes.trained_model import open_trained
from albert.tasks.files import require_files
from albert.tasks.hub_data import fetch
from albert.tasks.own import ColumnSettings


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Scores a fine-tuned model on a task."""

    task: str
    """Task, as listed by `albert tasks`; own data: classification, regression, choice, spans, tagging."""
    model: str
    """Model that `albert finetune` wrote, such as RUN/best; or anything that `albert convert` takes."""
    data: Path | None = None
    """Folder that holds the task's files: RTE/dev.tsv or dev.tsv (.csv, .jsonl); without it, the Hub's."""
    split: Literal["train", "dev", "test"] = "dev"
    """Which file is scored; it must have labels."""
    columns: ColumnSettings = ColumnSettings()
    """Which columns hold what."""
    max_seq_length: int | None = None
    """Pieces an example is cut to; the length of the fine-tuning where missing."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""


def evaluate(settings: EvaluateSettings) -> dict[str, object]:
    """Returns the task's scores under their official names, the mean loss and the number of examples.

    Raises:
        AlbertError: Model, task and data do not fit each other, or a file cannot be read.
    """
    trained = open_trained(
        settings.model,
        task=settings.task,
        columns=settings.columns,
        max_seq_length=settings.max_seq_length,
        device=settings.device,
    )
    task, solver = trained.task, trained.solver
    data = fetch(task) if settings.data is None else settings.data
    paths = require_files(task, data, settings.split)
    examples = list(solver.read(task, paths, split=settings.split))
    if not examples:
        raise DataError(f"{paths[0]}: holds no example; expected rows below the header")
    features = solver.encode(task, examples, trained.tokenizer, lengths=trained.lengths)
    answers = solver.answers(task, trained.model, examples, features)
    scores = solver.scores(task, examples, answers)
    return {"task": task.name, "split": settings.split, "examples": len(examples), **scores}
