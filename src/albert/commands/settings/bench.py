"""The settings of `albert bench`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from albert.choices import JobName, LengthsName
from albert.errors import ConfigError
from albert.training.settings import Precision

SHORTEST_LENGTH = 8
LONGEST_LENGTH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """Measure training, inference, text and optimiser against transformers and a lower bound.

    All candidates run in turns in one process with the same weights and inputs; their results are compared
    before they are timed. The lower bound of a job is the time of its matrix products alone. transformers is
    measured if it is installed.
    """

    jobs: tuple[JobName, ...] = get_args(JobName)
    """What to measure."""
    size: str = "base"
    """Size of the model, as in albert pretrain."""
    precision: Precision = "auto"
    """Number type of the matrix products; auto: bf16 if the device computes it natively."""
    lengths: LengthsName | Literal["auto"] = "auto"
    """Sequence lengths: full, or as in GLUE, SST-2 or SQuAD; auto: full for pretraining, else GLUE."""
    max_seq_length: int | Literal["auto"] = "auto"
    """Tokens of the longest sequence; auto: 128, for SQuAD 384."""
    batch_size: int = 8
    """Sequences per batch."""
    rounds: int = 5
    """Rounds; every candidate runs once per round, and the median is reported."""
    compiled: bool = True
    """Whether to measure compiled models where shapes repeat; compiling takes a minute or two each."""
    quick: bool = False
    """Less than two minutes: 3 rounds, one batch of 4, nothing compiled, transformers only with its defaults,
    memory only of pretraining."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: a GPU if there is one."""
    output: Path | None = None
    """File for the result as JSON."""

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("rounds", 1)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} is {getattr(self, name)}; expected at least {least}")
        if self.max_seq_length != "auto" and not SHORTEST_LENGTH <= self.max_seq_length <= LONGEST_LENGTH:
            raise ConfigError(
                f"--max-seq-length is {self.max_seq_length}; expected {SHORTEST_LENGTH} to {LONGEST_LENGTH}"
            )
        if not self.jobs:
            raise ConfigError(f"--jobs names none; known are {', '.join(get_args(JobName))}")
