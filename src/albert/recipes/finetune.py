"""`albert finetune`: a pretrained model to one that solves a task, resumable at any moment."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch

from albert.checkpoint.conversion import model_folder
from albert.checkpoint.folder import WEIGHTS_FILE, read_config
from albert.checkpoint.release import check_tokenizer, model_card, write_model_folder
from albert.checkpoint.snapshots import Place
from albert.checkpoint.task_models import AlbertForSequenceClassification
from albert.console import progress, say, warn
from albert.errors import CheckpointError, DataError
from albert.hub import local_path
from albert.optim.optimizers import make_optimizer
from albert.optim.schedules import Schedule, ScheduleName, make_schedule
from albert.tasks.catalogue import find_task
from albert.tasks.classification import ClassificationObjective, new_classifier, scores_of, sequence_length
from albert.tasks.features import Features, make_features, shuffled_batches
from albert.tasks.own import with_columns, with_labels_of
from albert.tasks.tables import find_table, read_examples, require_table
from albert.tasks.task import Task
from albert.text.tokenizer import AlbertTokenizer
from albert.training.log import StepLog
from albert.training.loop import train
from albert.training.runs import Run, settings_as_json
from albert.training.settings import LoopSettings, OptimizerSettings, Precision, find_device
from albert.training.stopping import graceful_stop

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings:
    """Fine-tunes a model on a task.

    What is not given comes from the task's recipe, see `albert tasks`. Running the same command again on
    an unfinished folder continues it.
    """

    task: str
    """Task, as listed by `albert tasks`; `classification` or `regression` for own data."""
    model: str
    """Model to start from: a folder, a Hub id, or anything that `albert convert` takes."""
    data: Path
    """Folder that holds the task's files: RTE/train.tsv or train.tsv (.csv, .jsonl), and dev beside it."""
    output: Path
    """Folder of the run."""
    text_column: str | None = None
    """Column of the text; the task's own if not given, `text` for own data."""
    pair_column: str | None = None
    """Column of the second text of a pair; the task's own if not given."""
    label_column: str | None = None
    """Column of the label; the task's own if not given, `label` for own data."""
    from_scratch: bool = False
    """Start from random weights, reading only configuration and tokenizer of the model folder."""
    max_steps: int | None = None
    """Optimiser steps; the recipe's if not given, three passes over own data."""
    batch_size: int | None = None
    """Examples per optimiser step; the recipe's if not given."""
    max_seq_length: int | None = None
    """Pieces an example is cut to; the recipe's if not given, as far as the model goes."""
    learning_rate: float | None = None
    """Peak learning rate; the recipe's if not given."""
    warmup_steps: int | None = None
    """Steps over which the rate rises to its peak; the recipe's share of all steps if not given."""
    hidden_dropout_prob: float | None = None
    """Dropout inside the encoder; the recipe's if not given."""
    optimizer: Literal["lamb", "adamw"] = "adamw"
    """Optimiser; adamw is the original's for fine-tuning."""
    schedule: ScheduleName = "original"
    """How the rate falls: original counts the decay from step 0, the others from the end of the warm-up."""
    weight_decay: float = 0.01
    """Decoupled weight decay; biases and layer normalisations are never decayed."""
    max_grad_norm: float = 1.0
    """Global norm to which gradients are clipped."""
    micro_batch_size: int | None = None
    """Examples that go through the model at once, gradients accumulated; a whole batch if not given."""
    save_steps: int = 500
    """Steps between checkpoints."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept."""
    eval_steps: int = 100
    """Steps between evaluations on the dev file; 100 is the original's."""
    log_steps: int = 10
    """Steps between records in log.jsonl."""
    seed: int = 0
    """Seed of the new classifier, data order and dropout."""
    precision: Precision = "auto"
    """Type of matrix products: bf16 where the device computes it natively (auto), weights always float32."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a run does, with the recipe's numbers filled in."""

    task: Task
    model: Path
    tokenizer: AlbertTokenizer
    train: Features
    dev: Features | None
    loop: LoopSettings
    optimizer: OptimizerSettings
    schedule: Schedule
    hidden_dropout_prob: float


def finetune(settings: FinetuneSettings) -> dict[str, Any]:
    """Fine-tunes a model and returns the scores of its best and of its last evaluation.

    Raises:
        AlbertError: Model, task and data do not fit each other, a file cannot be read, or the output
            folder holds another run.
    """
    plan = _plan(settings)
    # Before the folder is begun: a model that cannot be made must leave nothing behind.
    torch.manual_seed(settings.seed)
    model = new_classifier(
        plan.task,
        plan.model,
        hidden_dropout_prob=plan.hidden_dropout_prob,
        from_scratch=settings.from_scratch,
    ).to(find_device(settings.device))
    run = Run.open(
        settings.output,
        command="finetune",
        settings=settings_as_json(settings),
        inputs=_inputs(settings, plan),
    )
    if run.result is not None:
        say(f"{settings.output}: already finished")
        return run.result
    _announce(plan)
    _train(plan, run, model)
    evaluations = list(_evaluations(run))
    _write_model(run.model, plan, run, model=model, scores=evaluations[-1] if evaluations else {})
    result = {"task": plan.task.name, "steps": plan.loop.max_steps, "model": str(run.model)}
    if evaluations:
        best = max(evaluations, key=lambda scores: scores[plan.task.best_metric])
        result |= {"best_model": str(run.best), "best": best, "last": evaluations[-1]}
    run.finish(result)
    return result


def _plan(settings: FinetuneSettings) -> _Plan:
    """Reads tokenizer and data and fills in the recipe; whatever is wrong with them shows here."""
    task = with_columns(
        find_task(settings.task),
        text=settings.text_column,
        pair=settings.pair_column,
        label=settings.label_column,
    )
    task = with_labels_of(task, require_table(task, settings.data, "train"))
    model = _find_model(settings)
    config = read_config(model)
    tokenizer = AlbertTokenizer.from_pretrained(model)
    check_tokenizer(tokenizer, config.vocab_size, source=settings.model)
    # The length travels with the tokenizer, so that the model is used as it was trained.
    tokenizer.model_max_length = sequence_length(
        settings.max_seq_length, config, default=task.recipe.max_seq_length
    )
    train_features = _read_features(task, settings.data, tokenizer, split="train")
    if train_features is None:
        raise DataError(f"{settings.data}: the train file holds no example; expected rows below the header")
    dev_features = _read_features(task, settings.data, tokenizer, split="dev")
    if dev_features is None:
        warn(f"{settings.data}: no dev examples, so nothing is evaluated and no best model chosen")
    loop, optimizer = _filled_in(settings, task, num_examples=len(train_features))
    return _Plan(
        task=task,
        model=model,
        tokenizer=tokenizer,
        train=train_features,
        dev=dev_features,
        loop=loop,
        optimizer=optimizer,
        schedule=make_schedule(
            optimizer.schedule,
            peak=optimizer.learning_rate,
            warmup_steps=optimizer.warmup_steps,
            train_steps=loop.max_steps,
        ),
        hidden_dropout_prob=_given(settings.hidden_dropout_prob, task.recipe.hidden_dropout_prob),
    )


def _find_model(settings: FinetuneSettings) -> Path:
    """Returns the folder to start from; from scratch, configuration and tokenizer are enough."""
    if settings.from_scratch:
        return local_path(settings.model)
    try:
        return model_folder(settings.model)
    except CheckpointError as error:
        raise CheckpointError(f"{error} (only --from-scratch starts without weights)") from error


def _read_features(task: Task, data: Path, tokenizer: AlbertTokenizer, *, split: str) -> Features | None:
    """Returns the encoded examples of a split; None where there are none."""
    path = find_table(task, data, split)
    if path is None:
        return None
    examples = read_examples(task, path, split=split)
    features = make_features(examples, tokenizer, max_seq_length=tokenizer.model_max_length)
    return features if len(features) else None


def _filled_in(
    settings: FinetuneSettings, task: Task, *, num_examples: int
) -> tuple[LoopSettings, OptimizerSettings]:
    """Returns the settings of loop and optimiser, the recipe's where none were given."""
    recipe = task.recipe
    batch_size = _given(settings.batch_size, recipe.batch_size)
    max_steps = _given(settings.max_steps, recipe.steps(num_examples, batch_size))
    loop = LoopSettings(
        max_steps=max_steps,
        batch_size=batch_size,
        micro_batch_size=settings.micro_batch_size,
        save_steps=settings.save_steps,
        keep_checkpoints=settings.keep_checkpoints,
        eval_steps=settings.eval_steps,
        log_steps=settings.log_steps,
        seed=settings.seed,
        precision=settings.precision,
        device=settings.device,
    )
    optimizer = OptimizerSettings(
        optimizer=settings.optimizer,
        learning_rate=_given(settings.learning_rate, recipe.learning_rate),
        warmup_steps=_given(settings.warmup_steps, recipe.warmup(max_steps)),
        schedule=settings.schedule,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
    )
    return loop, optimizer


def _inputs(settings: FinetuneSettings, plan: _Plan) -> dict[str, Any]:
    """Returns what a resumed run must find unchanged beside its settings."""
    weights = None if settings.from_scratch else plan.model / WEIGHTS_FILE
    return {
        "train_file": _digest(find_table(plan.task, settings.data, "train")),
        "dev_file": _digest(find_table(plan.task, settings.data, "dev")),
        "model_weights": _digest(weights),
        "tokenizer": plan.tokenizer.fingerprint,
        "labels": list(plan.task.labels),
        "recipe": {
            "max_steps": plan.loop.max_steps,
            "batch_size": plan.loop.batch_size,
            "max_seq_length": plan.tokenizer.model_max_length,
            "learning_rate": plan.optimizer.learning_rate,
            "warmup_steps": plan.optimizer.warmup_steps,
            "hidden_dropout_prob": plan.hidden_dropout_prob,
        },
    }


def _announce(plan: _Plan) -> None:
    """Says what is about to happen."""
    say(
        f"{plan.task.title}; {len(plan.train):,} examples, {plan.loop.max_steps:,} steps of "
        f"{plan.loop.batch_size}, learning rate {plan.optimizer.learning_rate:g}, "
        f"{plan.optimizer.warmup_steps:,} of warm-up, up to {plan.tokenizer.model_max_length} pieces "
        f"(recipe: {plan.task.recipe.source})"
    )


def _train(plan: _Plan, run: Run, model: AlbertForSequenceClassification) -> None:
    """Runs the steps that are missing: log, evaluate, keep the best, save."""
    loop, moves = plan.loop, plan.optimizer
    optimizer = make_optimizer(moves.optimizer, model, weight_decay=moves.weight_decay)
    steps_done = run.resume(model, optimizer).step
    batches = shuffled_batches(
        plan.train, loop.micro_size, seed=loop.seed, start=steps_done * loop.batch_size
    )
    if steps_done and _is_due(loop, steps_done) and steps_done not in {e["step"] for e in _evaluations(run)}:
        _evaluate(plan, run, model, step=steps_done)  # It was stopped before it could.
    with (
        graceful_stop() as stop,
        progress("fine-tuning", total=loop.max_steps, done=steps_done, unit=" steps") as bar,
    ):
        log = StepLog(run, bar, log_steps=loop.log_steps)
        for step in train(
            model,
            batches,
            ClassificationObjective(plan.task.kind),
            optimizer,
            learning_rate=plan.schedule,
            settings=loop,
            max_grad_norm=moves.max_grad_norm,
            steps_done=steps_done,
        ):
            log.add(step)
            if _is_due(loop, step.number) and not stop:
                _evaluate(plan, run, model, step=step.number)
            if step.number % loop.save_steps == 0 or step.number == loop.max_steps or stop:
                run.save(Place(step=step.number), model, optimizer, keep=loop.keep_checkpoints)
            if stop:
                stop.leave()


def _is_due(loop: LoopSettings, step: int) -> bool:
    """Tells whether the dev examples are scored behind `step`."""
    return step % loop.eval_steps == 0 or step == loop.max_steps


def _evaluate(plan: _Plan, run: Run, model: AlbertForSequenceClassification, *, step: int) -> None:
    """Scores the dev examples; a score above all before it makes this the best model."""
    if plan.dev is None:
        return
    metric = plan.task.best_metric
    before = [scores[metric] for scores in _evaluations(run)]
    scores = scores_of(plan.task, model, plan.dev)
    run.log({"step": step, "held_out": scores})
    is_best = not before or scores[metric] > max(before)
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
    say(f"step {step}: {numbers}{' (best so far)' if is_best else ''}")
    if is_best:
        _write_model(run.best, plan, run, model=model, scores={"step": step, **scores})


def _evaluations(run: Run) -> Iterator[dict[str, Any]]:
    """Yields the step and scores of every evaluation so far."""
    for record in run.log_records():
        if "held_out" in record:
            yield {"step": record["step"], **record["held_out"]}


def _write_model(
    folder: Path,
    plan: _Plan,
    run: Run,
    *,
    model: AlbertForSequenceClassification,
    scores: dict[str, Any],
) -> None:
    description = (
        f"An ALBERT model fine-tuned on {plan.task.title}; started from `{run.record['settings']['model']}`."
    )
    card = model_card(
        f"ALBERT, fine-tuned on {plan.task.name}",
        description=description,
        task="text-classification",
        scores=scores,
        record=run.record,
    )
    write_model_folder(folder, model, plan.tokenizer, card=card, record=run.record)


def _digest(path: Path | None) -> str:
    """Returns the SHA-256 of a file in hex, "" where there is none."""
    if path is None or not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _given(value: T | None, default: T) -> T:
    return default if value is None else value
