"""The examples of a fine-tuning: read, checked, and split into training and dev."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from albert.checkpoint.bert_config import usable_config
from albert.checkpoint.layout import selected_model
from albert.config import CONFIG_FILE
from albert.console import note, warn
from albert.conversion.release import refuse_larger_tokenizer
from albert.errors import ConfigError, DataError
from albert.finetuning.settings import FinetuneSettings
from albert.hub import local_path
from albert.tasks.bad_rows import ADVICE, BadRows
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.files import digest_of, find_files, require_files
from albert.tasks.held_out import DEFAULT_SHARE, HeldOut
from albert.tasks.hub_data import fetch
from albert.tasks.similarity.form import in_form
from albert.tasks.solver import Solver
from albert.tasks.task import Task, with_columns
from albert.text.tokenizer import AlbertTokenizer
from albert.training.record import check_output, settings_as_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """The examples of a fine-tuning, as text."""

    task: Task
    """The task, with its labels and their weights."""
    solver: Solver
    """The solver of the task's kind."""
    train: Sequence[Any]
    """The training examples, at least one."""
    dev: Sequence[Any]
    """The dev examples; empty if there are none."""
    held_out: HeldOut | None
    """Which of the training file's examples are dev; None if dev has a file of its own, or there is none."""
    digests: dict[str, str]
    """SHA-256 of the files of training and dev."""


def read_examples(settings: FinetuneSettings) -> Examples:
    """Read the examples that `settings` name.

    Raises:
        AlbertError: There is no such task, or its files cannot be read.
    """
    task = with_columns(find_task(settings.task), settings.columns)
    task = in_form(task, _folder_of(settings.model), settings.form)
    if settings.matryoshka and task.kind not in {"similarity", "pairs"}:
        raise ConfigError(
            f"--matryoshka is for vectors, but task {task.name!r} is {task.kind}; drop it, or give --form "
            "bi-encoder"
        )
    task = replace(task, dimensions=settings.matryoshka)
    solver = solver_of(task)
    data = fetch(task) if settings.data is None else settings.data
    train_files, dev_files = require_files(task, data, "train"), find_files(task, data, "dev")
    if dev_files and settings.dev_share is not None:
        raise ConfigError(
            f"--dev-share {settings.dev_share:g}: {dev_files[0]} is the dev file; drop the flag, or give the "
            f"training file alone: --data {train_files[0]}"
        )
    task = solver.with_labels_in(task, train_files)
    train = _read(settings, solver, task, train_files, split="train")
    if not train:
        raise DataError(f"{data}: the train file holds no example; expected rows below the header")
    dev = _read(settings, solver, task, dev_files, split="dev") if dev_files else []
    held_out = None if dev_files else _held_out(settings, train_files)
    if held_out is not None:
        train, dev = _split(settings, solver, task, train, held_out)
    if not dev:
        warn(f"{data}: no dev examples, so nothing is evaluated and no best model is chosen")
    if settings.class_weights is not None:
        weights = solver.class_weights(task, train, settings.class_weights)
        task = replace(task, class_weights=weights)
    digests = {"train_file": digest_of(train_files), "dev_file": digest_of(dev_files)}
    return Examples(task=task, solver=solver, train=train, dev=dev, held_out=held_out, digests=digests)


def _held_out(settings: FinetuneSettings, train_files: Sequence[Path]) -> HeldOut | None:
    share = DEFAULT_SHARE if settings.dev_share is None else settings.dev_share
    if not share:
        return None
    return HeldOut(share=share, seed=settings.split_seed, digest=digest_of(train_files))


def _split(
    settings: FinetuneSettings, solver: Solver, task: Task, examples: list[Any], held_out: HeldOut
) -> tuple[list[Any], list[Any]]:
    """Return the examples of training and of dev, and report their numbers.

    Raises:
        ConfigError: The user asked for dev examples, and there are too few.
    """
    train, dev = held_out.parts(solver, task, examples)
    if dev:
        note(
            f"no dev file: {len(dev):,} of {len(examples):,} examples are held out as dev "
            f"(--dev-share {held_out.share:g} --split-seed {held_out.seed})"
        )
    elif settings.dev_share is not None:
        raise ConfigError(
            f"--dev-share {held_out.share:g}: {len(examples):,} examples are too few to hold some out; give "
            "a larger share, or --dev-share 0 to train without dev"
        )
    return train, dev


def _read(
    settings: FinetuneSettings, solver: Solver, task: Task, paths: Sequence[Path], *, split: str
) -> list[Any]:
    bad_rows = BadRows(settings.on_bad_row, advice=ADVICE)
    return list(solver.read(task, paths, split=split, bad_rows=bad_rows))


def _folder_of(model: str) -> Path:
    """Return the folder of a model that is one, otherwise its name as a path."""
    path = Path(model)
    return selected_model(path) if path.is_dir() else path


def check_start(settings: FinetuneSettings) -> None:
    """Check the task, the model to start from, its tokenizer and the output, as far as that takes no time.

    Raises:
        ConfigError: There is no such task.
        CheckpointError: There is no such model.
        TokenizerError: Its tokenizer belongs to another model.
        RunError: The output holds something else.
    """
    find_task(settings.task)
    for run in settings.each_seed():
        check_output(run.output, command="finetune", settings=settings_as_json(run))
    for source in (settings.model, settings.init_from):
        if source is None or Path(f"{source}.index").is_file():
            continue
        path = local_path(source)
        folder = selected_model(path) if path.is_dir() else path
        if (folder / CONFIG_FILE).is_file():
            vocab_size = usable_config(folder / CONFIG_FILE).vocab_size
            tokenizer = AlbertTokenizer.from_pretrained(folder)
            refuse_larger_tokenizer(tokenizer, vocab_size, source=str(folder))
