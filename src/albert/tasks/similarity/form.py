"""Whether a task on pairs with scores is for a bi-encoder or a cross-encoder.

A cross-encoder reads both texts at once, as the original does for STS-B; a bi-encoder turns each into a
vector, and their cosine is the score, so that a million texts can be compared.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from albert.checkpoint.sentence_modules import MODULES_FILE
from albert.console import say
from albert.errors import ConfigError
from albert.tasks.task import Task

Form = Literal["bi-encoder", "cross-encoder"]


def is_sentence_encoder(model: Path) -> bool:
    """Return whether a folder is one of sentence-transformers, so that its vectors have a meaning."""
    return (model / MODULES_FILE).is_file()


def in_form(task: Task, model: Path, form: Form | None = None) -> Task:
    """Return a task as its form has it: by default bi-encoder for a model that is a sentence encoder.

    Raises:
        ConfigError: The task has no such form.
    """
    is_paired = task.kind in {"similarity", "pairs"}
    if form == "cross-encoder" and is_paired:
        raise ConfigError(
            f"--form cross-encoder: task {task.name!r} compares vectors; for a cross-encoder on pairs with a "
            "number give --task regression"
        )
    can_be_paired = task.kind == "regression" and task.data.pair_column is not None
    if form == "bi-encoder" and not (is_paired or can_be_paired):
        raise ConfigError(
            f"--form bi-encoder: task {task.name!r} is {task.kind}; expected pairs of texts with a number, "
            "or --task similarity or pairs"
        )
    if not can_be_paired or not (form == "bi-encoder" or (form is None and is_sentence_encoder(model))):
        return task
    if form is None:
        say(
            f"{model} is a sentence encoder: {task.name} compares its vectors "
            "(--form cross-encoder: both texts at once)"
        )
    return replace(task, kind="similarity", submission=None)
