"""The settings of `albert demo`."""

from dataclasses import dataclass
from pathlib import Path

from albert.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Run all stages, small, on the documentation inside the running Python.

    Vocabulary, shards, pretraining with two baselines, filled masks, a classifier from pretrained and from
    random weights. Run again, it continues an interrupted demo, or pretrains further.
    """

    minutes: float = 3.5
    """Minutes of pretraining in this call; everything else takes about one more."""
    output: Path = Path("demo")
    """Folder for everything the demo writes."""

    def __post_init__(self) -> None:
        if not 0 < self.minutes < 100_000:
            raise ConfigError(f"--minutes is {self.minutes}; expected a number above 0, such as 4")
