"""What `albert pretrain` is asked to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.data.examples.settings import ExampleSettings
from albert.optim.schedules import Schedule, make_schedule
from albert.training.settings import LoopSettings, OptimizerSettings


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
    """Folder of the tokenizer that made the TFRecord files; shards bring their own."""
    eval_data: tuple[Path, ...] = ()
    """TFRecord files to evaluate on; shards bring held-out documents."""
    workers: int = 1
    """Processes that make examples; 1: the one that trains, when it needs them. The examples are the same."""
    size: str | None = None
    """Published size: base, large, xlarge, xxlarge (-v1 with dropout), tiny, small; else base."""
    config: Path | None = None
    """Configuration file instead of a size: config.json or the original's albert_config.json."""
    init_from: str | None = None
    """Model whose weights to start from, in any form; with --size or --config it may have another depth."""
    eval_examples: int = 1000
    """Held-out examples an evaluation looks at."""
    init_from_group0: bool = False
    """Whether groups of layers that `init_from` lacks begin as copies of its first."""
    decay_power: float = 1.0
    """Exponent of the falling rate of --schedule original; 1 is a line."""
    start_warmup_step: int = 0
    """Step at which the warm-up of --schedule original begins; the rate is 0 before."""
    dry_run: bool = False
    """Only plan: what an epoch holds, what the run costs in steps, memory and hours; writes nothing."""
    price_per_hour: float | None = None
    """With --dry-run: price of one process with its device, for the cost of the run."""
    max_roll_backs: int = 3
    """How often a run whose loss goes astray returns to its last checkpoint, passing over the data since."""
    log_to: tuple[Literal["tensorboard", "trackio"], ...] = ()
    """Where the log goes beside log.jsonl."""
    examples: ExampleSettings = ExampleSettings()
    """How examples are made."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """How the weights are moved."""
    loop: LoopSettings = LoopSettings()
    """How long, on what, how often to save."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leniency:
    """What `albert pretrain` refuses because it mostly is a mistake, and scripts of the original may do."""

    vocab_size: int | None = None
    """Pieces of the vocabulary behind TFRecord files whose tokenizer is not named; the models have none."""
    shared_folder: bool = False
    """Whether a run may begin in a folder that holds other files."""
    long_warmup: bool = False
    """Whether the warm-up may be longer than the training."""


def schedule_of(settings: PretrainSettings, allow: Leniency = Leniency()) -> Schedule:
    """Return the learning rate of every step.

    Raises:
        ConfigError: The settings of the schedule do not go together.
    """
    moves = settings.optimizer
    return make_schedule(
        moves.schedule,
        peak=moves.learning_rate,
        warmup_steps=moves.warmup_steps,
        train_steps=settings.loop.max_steps,
        power=settings.decay_power,
        start_warmup_step=settings.start_warmup_step,
        long_warmup=allow.long_warmup,
    )
