"""The settings of `albert finetune`, completed by the hyperparameters of a recipe."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from albert.choices import Depth
from albert.errors import ConfigError
from albert.optim.schedules import ScheduleName
from albert.tasks.bad_rows import OnBadRow
from albert.tasks.similarity.form import Form
from albert.tasks.task import ColumnSettings, Hyperparameters
from albert.training.settings import LoopSettings, OptimizerSettings, Precision

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSettings:
    """Fine-tune a model on a task.

    Numbers that are not given come from the task's recipe, see `albert tasks`. The same command on an
    unfinished folder continues it.
    """

    task: str
    """Task, as listed by `albert tasks`: a benchmark, or own data, such as classification."""
    model: str
    """Model to start from: a folder, a Hub id, or anything that `albert convert` takes."""
    output: Path
    """Folder of the run."""
    data: Path | None = None
    """The file with the examples (.csv, .tsv, .jsonl, or of the task); or the folder that holds the task's
    files: RTE/train.tsv or train.tsv, and dev next to it; from the Hub if not given."""
    columns: ColumnSettings = ColumnSettings()
    """Which columns hold what."""
    dev_share: float | None = None
    """Share of the examples that are held out as dev, with equal texts on one side and with the same share of
    every label; 0.1 if there is no dev file; 0 for none."""
    split_seed: int = 1
    """Seed of the choice of the examples that are held out."""
    on_bad_row: OnBadRow = "error"
    """What to do if rows cannot be used, such as empty texts or unknown labels: error names them; skip leaves
    them out and counts them."""
    form: Form | None = None
    """Pairs with a number, such as STS-B: bi-encoder, the cosine of two vectors, or cross-encoder, which
    reads both texts at once; by default bi-encoder for models that are sentence encoders."""
    depths: tuple[Depth, ...] = ()
    """Texts: layers after which the loss is computed in addition to the last one, weighted by their number:
    numbers, or all. The model can then be used with fewer layers, and texts can exit early."""
    matryoshka: tuple[int, ...] = ()
    """Vectors that are compared: lengths, such as 64 128, to which they can be cut and still are good."""
    init_from: str | None = None
    """Model whose encoder is used in place of that of --model, such as one fine-tuned on MNLI for RTE, STS-B
    and MRPC; it must have the same shape and vocabulary."""
    depth: int | None = None
    """Layers of the model to start from that are used, from the first on; all if not given."""
    from_scratch: bool = False
    """Start from random weights; only configuration and tokenizer of the model folder are read."""
    recipe: str = "auto"
    """Published hyperparameters: auto chooses by task and model; see docs/fine-tuning.md for others."""
    max_steps: int | None = None
    """Optimiser steps; the recipe's if not given."""
    num_epochs: float | None = None
    """Passes over the training data, in place of --max-steps."""
    batch_size: int | None = None
    """Examples per optimiser step; the recipe's if not given."""
    max_seq_length: int | None = None
    """Tokens an example is cut to; the recipe's if not given, but no more than the model's positions."""
    max_query_length: int = 64
    """Spans: tokens of the question that are kept; 64 is the original's."""
    doc_stride: int = 128
    """Spans: tokens between the starts of two windows of a long passage; 128 is the original's."""
    max_qa_length: int = 128
    """Choice: tokens of question and choice that are kept; 128 is the original's."""
    learning_rate: float | None = None
    """Peak learning rate; the recipe's if not given."""
    warmup_steps: int | None = None
    """Steps over which the rate rises to its peak; the recipe's share of all steps if not given."""
    class_weights: str | None = None
    """Weights of the labels in the loss, for classification and multi-label: balanced, so that rare labels
    count as much as frequent ones, or a number for each label, such as 1,2.5; all weigh 1 if not given."""
    hidden_dropout_prob: float | None = None
    """Dropout inside the encoder; the recipe's if not given."""
    optimizer: Literal["lamb", "adamw"] = "adamw"
    """Optimiser; adamw is the original's for fine-tuning."""
    schedule: ScheduleName = "decay-from-start"
    """How the rate falls: decay-from-start, the original's, counts the decay from step 0, the others from the
    end of the warm-up."""
    weight_decay: float = 0.01
    """Decoupled weight decay; biases and layer normalisations are never decayed."""
    adam_beta2: float | None = None
    """Decay of the second moment; the recipe's if not given."""
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
    select: Literal["best", "last"] = "best"
    """Which evaluation is the result: the best on dev, as in published results, or that of the last step."""
    patience: int | None = None
    """Evaluations in a row without a better score after which training ends; never if not given."""
    seeds: int = 1
    """Number of runs, with seeds from --seed on; the result is their median score, with the spread."""
    on_collapse: Literal["stop", "restart", "warn"] = "stop"
    """What to do if the training collapses (the loss is that of guessing, all predictions are the same):
    restart starts again with half the rate and another seed, three times at most."""
    seed: int = 0
    """Seed of the new head, data order and dropout."""
    precision: Precision = "auto"
    """Type of matrix products: bf16 where the device computes it natively (auto), weights always float32."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""

    def __post_init__(self) -> None:
        if self.dev_share is not None and not 0 <= self.dev_share < 1:
            raise ConfigError(f"--dev-share is {self.dev_share:g}; expected 0 for none, or less than 1")
        if self.max_steps is not None and self.num_epochs is not None:
            raise ConfigError("--max-steps and --num-epochs both set the length of the training; choose one")
        for name in ("num_epochs", "patience", "seeds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"--{name.replace('_', '-')} is {value}; expected more than 0")

    def each_seed(self) -> Iterator["FinetuneSettings"]:
        """Yield the settings of each run: these, or one for each of several seeds, in `OUTPUT/seed-N`."""
        if self.seeds == 1:
            yield self
            return
        for seed in range(self.seed, self.seed + self.seeds):
            yield replace(self, seeds=1, seed=seed, output=self.output / f"seed-{seed}")


def filled_in(
    settings: FinetuneSettings, hyperparameters: Hyperparameters, *, num_examples: int
) -> tuple[LoopSettings, OptimizerSettings]:
    """Return the settings of loop and optimiser, with `hyperparameters` for numbers that are not given."""
    batch_size = given(settings.batch_size, hyperparameters.batch_size)
    steps = hyperparameters.steps(num_examples, batch_size)
    if settings.num_epochs is not None:
        steps = max(1, round(settings.num_epochs * num_examples / batch_size))
    max_steps = given(settings.max_steps, steps)
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
        learning_rate=given(settings.learning_rate, hyperparameters.learning_rate),
        warmup_steps=given(settings.warmup_steps, hyperparameters.warmup(max_steps)),
        schedule=settings.schedule,
        weight_decay=settings.weight_decay,
        adam_beta2=given(settings.adam_beta2, hyperparameters.adam_beta2),
        max_grad_norm=settings.max_grad_norm,
    )
    return loop, optimizer


def given(value: T | None, default: T) -> T:
    """Return `value`, or `default` if it is None."""
    return default if value is None else value
