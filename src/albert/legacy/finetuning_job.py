"""The job of a fine-tuning script: its task, model and lengths, how it reads data, and how it trains.

Training is `albert finetune` without dev examples: `finetuning_evaluation` scores those after it, or at the
same time in another process.
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from absl.flags import FlagValues

from albert.checkpoint.folder import WEIGHTS_FILE, read_config
from albert.checkpoint.layout import RUN_FILE
from albert.console import say, warn
from albert.errors import ConfigError, DataError, RunError
from albert.finetuning.plan import DevSet, Plan
from albert.finetuning.run import carry_out
from albert.finetuning.settings import FinetuneSettings, filled_in
from albert.inference.opening import has_head, load_model
from albert.legacy.checkpoints import newest_of_tensorflow
from albert.legacy.feature_cache import cached_features
from albert.legacy.finetuning_models import NamedModel, warn_of_random
from albert.model.pretrained import Pretrained
from albert.tasks.cuts import Cuts
from albert.tasks.files import digest_of
from albert.tasks.published import hyperparameter_rows
from albert.tasks.solver import Solver
from albert.tasks.task import Lengths, Task
from albert.training.devices import find_device

ALL_CHECKPOINTS = sys.maxsize
KEEP_FLAGS = ("keep_checkpoint_max", "num_keep_checkpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a script fine-tunes and evaluates."""

    script: str
    """The name of the script."""
    task: Task
    """The task, with the dropout of the flags."""
    solver: Solver
    """The solver of the task's kind, with the decoding of the flags."""
    model: NamedModel
    """The model to start from."""
    lengths: Lengths
    """Lengths to which examples are cut."""
    output: Path
    """Folder of checkpoints and results."""

    def __post_init__(self) -> None:
        # The tokenizer stores the length, so that other libraries use the model as it was trained.
        self.model.tokenizer.model_max_length = self.lengths.max_seq_length

    def read(
        self, paths: Sequence[Path], *, split: str, labelled: bool = True, caches: Sequence[Path] = ()
    ) -> DevSet:
        """Return the examples of some files with their features, which come from `caches` if possible.

        Raises:
            DataError: A file cannot be read, or there are no examples.
        """
        for path in paths:
            if not path.is_file():
                raise DataError(f"{path}: no such file")
        examples = list(self.solver.read(self.task, paths, split=split, labelled=labelled))
        if not examples:
            raise DataError(f"{paths[0]}: holds no example")
        facts = (
            digest_of(paths),
            self.task.name,
            self.task.labels,
            split,
            labelled,
            self.lengths,
            self.model.tokenizer.fingerprint,
        )
        cuts = Cuts()
        features = cached_features(
            caches,
            hashlib.sha256(repr(facts).encode()).hexdigest(),
            self.solver.features_class,
            lambda: self.solver.encode(
                self.task, examples, self.model.tokenizer, lengths=self.lengths, cuts=cuts
            ),
        )
        if cuts.cut and split != "train":  # A training reports its own.
            say(f"{split}: {cuts}")
        return DevSet(examples=examples, features=features, cuts=cuts)

    def new_model(self, folder: Path | None = None) -> Pretrained:
        """Return a model of the task's class, with the weights of a model folder if one is given.

        `inference.opening.open_model` does not fit here: checkpoints of a training have no tokenizer, and
        their labels are those of the task.

        Raises:
            CheckpointError: The folder lacks some of the weights.
        """
        config = read_config(folder or self.model.folder, **self.solver.config_changes(self.task))
        model_class = self.solver.model_class(self.task)
        model = model_class(config) if folder is None else load_model(folder, model_class, config)
        return model.to(find_device("auto"))

    @property
    def starts_fine_tuned(self) -> bool:
        """Whether the model to start from already has a head for the task."""
        if self.model.is_random:
            return False
        config = read_config(self.model.folder, **self.solver.config_changes(self.task))
        return has_head(self.model.folder, self.solver.model_class(self.task), config)

    def settings(
        self, flags: FlagValues, *, max_steps: int, warmup_steps: int, optimizer: Any = "adamw"
    ) -> FinetuneSettings:
        """Return our settings for the flags of a training."""
        return FinetuneSettings(
            task=self.task.name,
            model=self.model.name,
            output=self.output,
            from_scratch=self.model.is_random,
            max_steps=max_steps,
            batch_size=flags.train_batch_size,
            max_seq_length=self.lengths.max_seq_length,
            max_query_length=self.lengths.max_query_length,
            doc_stride=self.lengths.doc_stride,
            max_qa_length=self.lengths.max_qa_length,
            learning_rate=flags.learning_rate,
            warmup_steps=warmup_steps,
            hidden_dropout_prob=self.model.hidden_dropout_prob,
            optimizer=optimizer,
            save_steps=flags.save_checkpoints_steps,
            keep_checkpoints=kept_checkpoints(flags) or ALL_CHECKPOINTS,
            on_collapse="warn",
        )

    def train(self, settings: FinetuneSettings, data: DevSet, paths: Sequence[Path]) -> None:
        """Train to the end, or continue an earlier call of the same command.

        Raises:
            AlbertError: The settings cannot be used, or the folder holds another run.
        """
        if not (self.output / RUN_FILE).is_file() and (found := newest_of_tensorflow(self.output)):
            raise RunError(
                f"{self.output}: holds TensorFlow checkpoints; to start from their weights, give "
                f"--init_checkpoint={found.path} and another --output_dir"
            )
        warn_of_random(self.model)
        carry_out(self._plan(settings, data, paths), settings, shared_folder=True)

    def _plan(self, settings: FinetuneSettings, data: DevSet, paths: Sequence[Path]) -> Plan:
        hyperparameters = self.task.hyperparameters
        count = len(data.examples)
        loop, optimizer = filled_in(settings, hyperparameters, num_examples=count)
        used = {
            "learning_rate": optimizer.learning_rate,
            "batch_size": loop.batch_size,
            "max_steps": loop.max_steps,
            "warmup_steps": (warmup := optimizer.warmup(loop.max_steps)),
            "max_seq_length": self.lengths.max_seq_length,
        }
        if settings.hidden_dropout_prob is not None:
            used["hidden_dropout_prob"] = settings.hidden_dropout_prob
        weights = self.model.folder / WEIGHTS_FILE
        plan = Plan(
            task=self.task,
            solver=self.solver,
            model=self.model.folder,
            config=self.model.config,
            weights=None if self.model.is_random else self.model.folder,
            tokenizer=self.model.tokenizer,
            lengths=self.lengths,
            train=data.features,
            num_examples=count,
            dev=None,
            cuts={"train": data.cuts} if data.cuts.total else {},
            loop=loop,
            optimizer=optimizer,
            hidden_dropout_prob=settings.hidden_dropout_prob,
            baseline=None,
            guessing_loss=self.solver.guessing_loss(self.task, data.examples),
            long_warmup=True,
            rows=hyperparameter_rows(hyperparameters, used=used, given=list(used)),
            inputs={
                "train_file": digest_of(paths),
                "model_weights": "" if self.model.is_random else digest_of([weights]),
                "tokenizer": self.model.tokenizer.fingerprint,
                "labels": list(self.task.labels),
            },
        )
        if warmup > loop.max_steps:
            share = loop.max_steps / warmup
            warn(
                f"the warm-up of {warmup:,} steps is longer than the training of "
                f"{loop.max_steps:,}; the rate reaches {share:.1%} of --learning_rate"
            )
        assert plan.schedule(0) >= 0  # raises if the settings of the schedule contradict each other
        return plan


def kept_checkpoints(flags: FlagValues) -> int | None:
    """Return how many of the newest checkpoints the flags keep, 0 for all; None if they do not say."""
    for name in KEEP_FLAGS:
        if name in flags and flags[name].present:
            return max(0, int(getattr(flags, name)))
    return None


def steps_of_epochs(flags: FlagValues, num_examples: int) -> int:
    """Return the number of steps of --num_train_epochs, rounded down as in the original.

    Raises:
        ConfigError: There would be none.
    """
    steps = int(num_examples / max(1, flags.train_batch_size) * flags.num_train_epochs)
    if steps < 1:
        raise ConfigError(
            f"{num_examples} examples in batches of {flags.train_batch_size} make no full step in "
            f"{flags.num_train_epochs:g} passes; raise --num_train_epochs or lower --train_batch_size"
        )
    return steps


def with_classifier_dropout(task: Task, dropout: float) -> Task:
    """Return `task` with another dropout in its head."""
    return replace(task, hyperparameters=replace(task.hyperparameters, classifier_dropout_prob=dropout))
