"""Settings of `albert pretrain`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from albert.choices import Depth, NewPositions
from albert.config import size_names
from albert.data.examples.settings import ExampleSettings
from albert.errors import ConfigError
from albert.optim.schedules import Schedule, make_schedule
from albert.training.settings import LoopSettings, OptimizerSettings

_SIZE_HELP = (
    f"Published size, if no configuration is given; base by default. One of {', '.join(size_names())}."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveSettings:
    """What is minimised: masked LM, sentence order, and the divergence from a teacher."""

    sentence_loss_weight: float = 1.0
    """Weight of the sentence-order loss; that of the masked LM loss is 1."""
    depths: tuple[Depth, ...] = ()
    """Layers after which all losses are computed in addition to the last one, and averaged: numbers, or all;
    the model can then be used with fewer layers, too (--depth)."""
    teacher: str | None = None
    """Model of the same vocabulary, in any form; its predictions of the masked tokens are learnt, too."""
    teacher_weight: float = 1.0
    """Weight of the divergence from the teacher's predictions."""
    teacher_temperature: float = 1.0
    """Temperature of both predictions; above 1, tokens that the teacher finds less probable count more."""

    def __post_init__(self) -> None:
        for name in ("sentence_loss_weight", "teacher_weight"):
            if getattr(self, name) < 0:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} is {getattr(self, name)}; expected 0 or more")
        if self.teacher_temperature <= 0:
            raise ConfigError(f"--teacher-temperature is {self.teacher_temperature}; expected more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainSettings:
    """Pretrain a model on prepared data.

    Masked language model plus sentence order, both heads from the start. Running the same command again
    on an unfinished folder continues it.
    """

    data: tuple[Path, ...]
    """Folder that `albert prepare` wrote, whose tokenizer becomes the model's; or TFRecord files, as the
    original's create_pretraining_data.py wrote them."""
    output: Path
    """Folder of the run."""
    tokenizer: Path | None = None
    """Folder of the tokenizer that made the TFRecord files; prepared folders contain theirs."""
    eval_data: tuple[Path, ...] = ()
    """TFRecord files to evaluate on; prepared folders contain held-out documents."""
    workers: int = 1
    """Processes that make examples; 1: the training process itself. The examples are the same."""
    size: Annotated[str | None, tyro.conf.arg(help=_SIZE_HELP)] = None
    """A name that `AlbertConfig.of_size` knows."""
    config: Path | None = None
    """Configuration file instead of a size: config.json or the original's albert_config.json."""
    init_from: str | None = None
    """Model whose weights to start from, in any form; with --size or --config the depth and the number of
    positions may differ."""
    new_positions: NewPositions = "repeat"
    """How positions start that the model of --init-from lacks, if --config has more of them: repeat, as
    copies of its own in their order, or random."""
    eval_examples: int = 1000
    """Held-out examples per evaluation, every --eval-steps and after the last step; 0: do not evaluate."""
    init_from_group0: bool = False
    """Whether groups of layers that `init_from` lacks start as copies of its first group."""
    decay_power: float = 1.0
    """Exponent of the decay of --schedule decay-from-start; 1 is linear."""
    start_warmup_step: int = 0
    """Step at which the warm-up of --schedule decay-from-start starts; the rate is 0 before."""
    dry_run: bool = False
    """Only plan: the size of an epoch, and the steps, memory and hours the run takes; writes nothing."""
    price_per_hour: float | None = None
    """With --dry-run: price of one process with its device, for the cost of the run."""
    max_roll_backs: int = 3
    """How often a run whose loss diverges returns to its last checkpoint and skips the data since."""
    log_to: tuple[Literal["tensorboard", "trackio"], ...] = ()
    """Where the log goes in addition to log.jsonl."""
    examples: ExampleSettings = ExampleSettings()
    """How examples are made."""
    objective: ObjectiveSettings = ObjectiveSettings()
    """What is minimised."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """How the weights are updated."""
    loop: LoopSettings = LoopSettings()
    """How long to train, on what device, how often to save."""

    def __post_init__(self) -> None:
        if self.eval_examples < 0:
            raise ConfigError(f"--eval-examples is {self.eval_examples}; expected 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leniency:
    """What `albert pretrain` refuses as a likely mistake, but scripts of the original may do."""

    vocab_size: int | None = None
    """Size of the vocabulary of TFRecord files whose tokenizer is not given; the models then have none."""
    shared_folder: bool = False
    """Whether a run may start in a folder that contains other files."""
    long_warmup: bool = False
    """Whether the warm-up may be longer than the training."""


def schedule_of(settings: PretrainSettings, allow: Leniency = Leniency()) -> Schedule:
    """Return the learning rate of every step.

    Raises:
        ConfigError: The settings of the schedule contradict each other.
    """
    optimizer = settings.optimizer
    return make_schedule(
        optimizer.schedule,
        peak=optimizer.learning_rate,
        warmup_steps=optimizer.warmup(settings.loop.max_steps),
        train_steps=settings.loop.max_steps,
        power=settings.decay_power,
        start_warmup_step=settings.start_warmup_step,
        long_warmup=allow.long_warmup,
    )
