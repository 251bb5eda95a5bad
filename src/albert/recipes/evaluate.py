"""`albert evaluate`: scores a fine-tuned model on a split of its task."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.checkpoint.conversion import model_folder
from albert.errors import DataError
from albert.tasks.catalogue import find_task
from albert.tasks.classification import read_classifier, scores_of, sequence_length, with_labels_of_model
from albert.tasks.features import make_features
from albert.tasks.own import with_columns
from albert.tasks.tables import read_examples, require_table
from albert.training.settings import find_device


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Scores a fine-tuned model on a task."""

    task: str
    """Task, as listed by `albert tasks`; `classification` or `regression` for own data."""
    model: str
    """Model that `albert finetune` wrote, such as RUN/best; or anything that `albert convert` takes."""
    data: Path
    """Folder that holds the task's files: RTE/dev.tsv or dev.tsv (.csv, .jsonl)."""
    split: Literal["train", "dev", "test"] = "dev"
    """Which file is scored; it must have labels."""
    text_column: str | None = None
    """Column of the text; the task's own where missing, `text` for own data."""
    pair_column: str | None = None
    """Column of the second text of a pair; the task's own where missing."""
    label_column: str | None = None
    """Column of the label; the task's own where missing, `label` for own data."""
    max_seq_length: int | None = None
    """Pieces an example is cut to; the length of the fine-tuning where missing."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""


def evaluate(settings: EvaluateSettings) -> dict[str, object]:
    """Returns the task's scores under their official names, the mean loss and the number of examples.

    Raises:
        AlbertError: Model, task and data do not fit each other, or a file cannot be read.
    """
    task = with_columns(
        find_task(settings.task),
        text=settings.text_column,
        pair=settings.pair_column,
        label=settings.label_column,
    )
    path = require_table(task, settings.data, settings.split)
    model, tokenizer = read_classifier(model_folder(settings.model))
    task = with_labels_of_model(task, model.config)
    examples = read_examples(task, path, split=settings.split)
    length = sequence_length(settings.max_seq_length, model.config, default=tokenizer.model_max_length)
    features = make_features(examples, tokenizer, max_seq_length=length)
    if not len(features):
        raise DataError(f"{path}: holds no example; expected rows below the header")
    model.to(find_device(settings.device))
    scores = scores_of(task, model, features)
    return {"task": task.name, "split": settings.split, "examples": len(features), **scores}
