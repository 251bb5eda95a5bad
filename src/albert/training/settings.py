"""Settings that every kind of training shares; each field is a flag of its commands."""

import math
from dataclasses import dataclass
from typing import Literal

from albert.errors import ConfigError
from albert.optim.schedules import ScheduleName

Precision = Literal["auto", "float32", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings:
    """How the weights are updated."""

    optimizer: Literal["lamb", "adamw"] = "lamb"
    """Optimiser: lamb as in the paper's pretraining, adamw as in the original's fine-tuning."""
    learning_rate: float = 1.76e-3
    """Peak learning rate; 1.76e-3 is the paper's for batches of 4096."""
    warmup_steps: int | None = None
    """Steps over which the rate rises to its peak. Default: --warmup-share of all steps."""
    warmup_share: float = 3125 / 125_000
    """Share of all steps for the warm-up, if --warmup-steps is not given; 0.025 is the original's 3125 of
    125 000."""
    schedule: ScheduleName = "decay-from-start"
    """How the rate decays: decay-from-start, as the original does, counts from step 0, the others from the
    end of the warm-up."""
    weight_decay: float = 0.01
    """Decoupled weight decay; not applied to biases and layer normalisations."""
    adam_beta2: float = 0.999
    """Decay of the second moment; 0.999 is the original's."""
    max_grad_norm: float = 1.0
    """Global norm to which gradients are clipped."""

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_share <= 1:
            raise ConfigError(f"--warmup-share is {self.warmup_share}; expected a share from 0 to 1")

    def warmup(self, max_steps: int) -> int:
        """Return the steps of warm-up in a training of so many steps."""
        return round(self.warmup_share * max_steps) if self.warmup_steps is None else self.warmup_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """How long, on what device, and how often to save."""

    max_steps: int = 125_000
    """Optimiser steps; 125 000 is the paper's."""
    batch_size: int = 256
    """Examples per optimiser step; the paper's is 4096."""
    micro_batch_size: int | Literal["auto"] | None = None
    """Examples computed at once, with gradients accumulated; a whole batch if not given. auto: as many as fit
    into a GPU's memory, found by trial."""
    save_steps: int = 1000
    """Steps between checkpoints."""
    keep_checkpoints: int = 2
    """Number of newest checkpoints that are kept."""
    keep_every: int | None = None
    """Checkpoints of multiples of this many steps are kept for good."""
    eval_steps: int = 1000
    """Steps between evaluations on held-out data."""
    log_steps: int = 10
    """Steps between records in log.jsonl."""
    seed: int = 0
    """Seed of weights, data order, masks and dropout."""
    precision: Precision = "auto"
    """Type of matrix products; auto: bf16 if the device computes it natively. Weights are always float32."""
    tf32: bool = False
    """Multiply float32 matrices with 10 bits of mantissa, on GPUs that support it."""
    compile: bool = False
    """Compile the shared layer, once for all layers and all batches; takes a minute at the start."""
    activation_checkpointing: bool = False
    """Keep only the input of each layer for the backward pass and recompute the rest: a third more work, much
    less memory."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "save_steps", "keep_checkpoints", "eval_steps", "log_steps"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} is {getattr(self, name)}; expected at least 1")
        if self.micro_size < 1 or self.batch_size % self.micro_size:
            raise ConfigError(
                f"--micro-batch-size {self.micro_batch_size} does not divide --batch-size {self.batch_size}"
            )

    @property
    def micro_size(self) -> int:
        """Examples computed at once, unless found by trial."""
        return self.micro_batch_size if isinstance(self.micro_batch_size, int) else self.batch_size

    def micro_batches(self, ranks: int = 1) -> int:
        """Return the number of micro-batches per step of each of `ranks` processes."""
        return math.ceil(math.ceil(self.batch_size / ranks) / self.micro_size)
