"""The plan of a fine-tuning: task, data and model are read, and a recipe completes the hyperparameters.

Everything is read and checked here, before a run folder is created, so a mistake costs no training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from albert.checkpoint.folder import WEIGHTS_FILE, read_config
from albert.config import AlbertConfig
from albert.console import say
from albert.conversion.conversion import model_folder
from albert.conversion.depth import at_depth, depths_of
from albert.errors import CheckpointError, ConfigError, TokenizerError
from albert.finetuning.data import Examples
from albert.finetuning.settings import FinetuneSettings, filled_in, given
from albert.finetuning.start import refuse_another_kind, start_model
from albert.hub import local_path
from albert.inference.opening import read_tokenizer, sequence_length
from albert.model.pretrained import Pretrained
from albert.optim.schedules import Schedule, make_schedule
from albert.tasks.baseline import baseline_score
from albert.tasks.cuts import Cuts
from albert.tasks.files import digest_of
from albert.tasks.held_out import HeldOut
from albert.tasks.published import hyperparameter_rows, recipe_for
from albert.tasks.solver import Features, Solver
from albert.tasks.task import Hyperparameters, Lengths, Task
from albert.text.tokenizer import AlbertTokenizer
from albert.training.devices import find_device
from albert.training.settings import LoopSettings, OptimizerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class DevSet:
    """The examples of the dev split."""

    examples: Sequence[Any]
    """The examples as read."""
    features: Features
    """The examples as encoded."""
    cuts: Cuts
    """What encoding cut off them; nothing is counted for features from a cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a run needs."""

    task: Task
    """The task, with its labels and the hyperparameters of the chosen recipe."""
    solver: Solver
    """The solver of the task's kind."""
    model: Path
    """Folder of configuration and tokenizer."""
    config: AlbertConfig
    """The configuration in that folder."""
    depth: int | None = None
    """Layers of that model that are used; None for all."""
    weights: Path | None
    """Folder of the initial weights; None if all start at random."""
    tokenizer: AlbertTokenizer
    """The tokenizer of the model."""
    lengths: Lengths
    """Lengths to which examples are cut."""
    train: Features
    """The encoded training examples."""
    num_examples: int
    """Number of training examples; a long one may be several items of `train`."""
    dev: DevSet | None
    """The dev examples; None if there are none."""
    held_out: HeldOut | None = None
    """Which examples of the training file are dev; None if dev has a file of its own, or there is none."""
    cuts: Mapping[str, Cuts]
    """What was cut off the examples of each split."""
    loop: LoopSettings
    """Length and batches of the training."""
    optimizer: OptimizerSettings
    """Optimizer settings."""
    hidden_dropout_prob: float | None
    """Dropout inside the encoder; None for the model's own."""
    baseline: float | None
    """Score on dev of the best guess that ignores the text; None if unknown."""
    guessing_loss: float | None
    """Training loss of guessing by the frequency of labels; None if unknown."""
    rows: Sequence[dict[str, object]]
    """The settings used, each with its value and its source."""
    long_warmup: bool = False
    """Whether the warm-up may be longer than the training, as in the original."""
    notes: Sequence[str] = ()
    """What was skipped or repaired in the data, as it was reported."""
    inputs: dict[str, Any]
    """Facts, besides the settings, that must be unchanged for a run to resume."""

    @property
    def schedule(self) -> Schedule:
        """The learning rate of every step."""
        return make_schedule(
            self.optimizer.schedule,
            peak=self.optimizer.learning_rate,
            warmup_steps=self.optimizer.warmup(self.loop.max_steps),
            train_steps=self.loop.max_steps,
            long_warmup=self.long_warmup,
        )

    def attempt(self, number: int) -> "Plan":
        """Return the plan after `number` collapses: half the rate for each of them, and another seed."""
        rate = self.optimizer.learning_rate / 2**number
        return replace(
            self,
            loop=replace(self.loop, seed=self.loop.seed + 1000 * number),
            optimizer=replace(self.optimizer, learning_rate=rate),
        )

    def new_model(self) -> Pretrained:
        """Return the model before its first step."""
        torch.manual_seed(self.loop.seed)
        model = start_model(
            self.solver,
            self.task,
            self.weights or self.model,
            hidden_dropout_prob=self.hidden_dropout_prob,
            depth=self.depth,
            from_scratch=self.weights is None,
        )
        return model.to(find_device(self.loop.device))


def make_plan(settings: FinetuneSettings, found: Examples) -> Plan:
    """Read the model, encode the examples that were found, and complete the settings by a recipe.

    Raises:
        AlbertError: Model, task and data do not fit together, or cannot be read.
    """
    task, solver, examples = found.task, found.solver, found.train
    model, weights = _find_models(settings)
    config = at_depth(read_config(model), settings.depth, model)
    if weights == model:
        refuse_another_kind(task, model, config)
    tokenizer = read_tokenizer(model, config)
    hyperparameters = recipe_for(task, config, name=settings.recipe)
    task = replace(task, hyperparameters=hyperparameters)
    lengths = _lengths(settings, config, hyperparameters)
    # Stored with the tokenizer, too, so that other libraries use the length of the training.
    tokenizer.model_max_length = lengths.max_seq_length
    loop, optimizer = filled_in(settings, hyperparameters, num_examples=len(examples))
    task = _with_depths(task, solver, settings, config)
    _check_loss(task, solver, loop, config)
    dev, cuts = _dev_set(task, solver, found.dev, tokenizer, lengths), Cuts()
    say(f"{task.name}: encoding {len(examples):,} training examples")
    plan = Plan(
        task=task,
        solver=solver,
        model=model,
        config=config,
        depth=settings.depth,
        weights=weights,
        tokenizer=tokenizer,
        lengths=lengths,
        train=solver.encode(task, examples, tokenizer, lengths=lengths, cuts=cuts),
        num_examples=len(examples),
        dev=dev,
        cuts={"train": cuts} | ({} if dev is None else {"dev": dev.cuts}),
        loop=loop,
        optimizer=optimizer,
        hidden_dropout_prob=given(settings.hidden_dropout_prob, hyperparameters.hidden_dropout_prob),
        baseline=baseline_score(solver, task, examples, found.dev) if found.dev else None,
        guessing_loss=solver.guessing_loss(task, examples),
        held_out=found.held_out,
        rows=(),
        inputs={},
    )
    assert plan.schedule(0) >= 0  # raises if the settings of the schedule contradict each other
    used = _used(plan)
    given_names = [name for name in used if getattr(settings, name) is not None]
    return replace(
        plan,
        rows=hyperparameter_rows(hyperparameters, used=used, given=given_names),
        inputs=found.digests | _inputs(plan, used),
    )


def _with_depths(task: Task, solver: Solver, settings: FinetuneSettings, config: AlbertConfig) -> Task:
    """Return the task with the layers after which its loss is computed.

    Raises:
        ConfigError: Its kind is learnt after the last one only, or the model has no such layer.
    """
    if not settings.depths:
        return task
    if not solver.trains_depths:
        raise ConfigError(
            f"--depths: a task of the kind {task.kind} is learnt after the last layer only; drop the flag"
        )
    return replace(task, depths=depths_of(settings.depths, config.num_hidden_layers))


def _check_loss(task: Task, solver: Solver, loop: LoopSettings, config: AlbertConfig) -> None:
    """Refuse a division of batches that would change the loss, and lengths that vectors do not have."""
    if solver.contrasts_batch and loop.micro_size < loop.batch_size:
        raise ConfigError(
            f"--micro-batch-size {loop.micro_size}: task {task.name!r} compares all texts of a batch, so "
            "dividing it would change the loss; drop the flag, or lower --batch-size"
        )
    if task.dimensions and not 0 < min(task.dimensions) <= max(task.dimensions) < config.hidden_size:
        raise ConfigError(
            f"--matryoshka {' '.join(map(str, task.dimensions))}: expected lengths from 1 to "
            f"{config.hidden_size - 1}, as the vectors have {config.hidden_size} numbers"
        )


def _lengths(settings: FinetuneSettings, config: AlbertConfig, hyperparameters: Hyperparameters) -> Lengths:
    """Return the lengths to which examples are cut, no longer than the model's positions allow."""
    return Lengths(
        max_seq_length=sequence_length(
            settings.max_seq_length, config, default=hyperparameters.max_seq_length
        ),
        max_query_length=settings.max_query_length,
        doc_stride=settings.doc_stride,
        max_qa_length=settings.max_qa_length,
    )


def _find_models(settings: FinetuneSettings) -> tuple[Path, Path | None]:
    """Return the folder of configuration and tokenizer, and that of the initial weights.

    From scratch there are no weights, and the folder need not have any.
    """
    if settings.from_scratch:
        return local_path(settings.model), None
    try:
        model = model_folder(settings.model)
    except CheckpointError as error:
        raise CheckpointError(f"{error} (only --from-scratch starts without weights)") from error
    if settings.init_from is None:
        return model, model
    weights = model_folder(settings.init_from)
    fingerprints = {AlbertTokenizer.from_pretrained(folder).fingerprint for folder in (model, weights)}
    if len(fingerprints) > 1:
        raise TokenizerError(
            f"--init-from {settings.init_from}: has another vocabulary than --model {settings.model}; "
            "give a model that was fine-tuned from it"
        )
    return model, weights


def _dev_set(
    task: Task, solver: Solver, examples: Sequence[Any], tokenizer: AlbertTokenizer, lengths: Lengths
) -> DevSet | None:
    if not examples:
        return None
    cuts = Cuts()
    features = solver.encode(task, examples, tokenizer, lengths=lengths, cuts=cuts)
    return DevSet(examples=examples, features=features, cuts=cuts)


def _used(plan: Plan) -> dict[str, object]:
    """Return the values used for the settings that a recipe has."""
    return {
        "learning_rate": plan.optimizer.learning_rate,
        "batch_size": plan.loop.batch_size,
        "max_steps": plan.loop.max_steps,
        "warmup_steps": plan.optimizer.warmup(plan.loop.max_steps),
        "max_seq_length": plan.lengths.max_seq_length,
        "adam_beta2": plan.optimizer.adam_beta2,
        "hidden_dropout_prob": plan.hidden_dropout_prob,
    } | ({"class_weights": _weights_as_text(plan.task)} if plan.task.class_weights else {})


def _weights_as_text(task: Task) -> str:
    """Return the weight of each label by name."""
    pairs = zip(task.labels, task.class_weights, strict=True)
    return ", ".join(f"{label} {weight:g}" for label, weight in pairs)


def _inputs(plan: Plan, used: dict[str, object]) -> dict[str, Any]:
    weights = [] if plan.weights is None else [plan.weights / WEIGHTS_FILE]
    return {
        "model_weights": digest_of([path for path in weights if path.is_file()]),
        "tokenizer": plan.tokenizer.fingerprint,
        "labels": list(plan.task.labels),
        "recipe": used,
    }
