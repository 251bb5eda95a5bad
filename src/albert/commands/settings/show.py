"""The settings of `albert show`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from albert.choices import SplitName
from albert.data.examples.settings import ExampleSettings
from albert.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSettings:
    """Show masked examples as a model gets them.

    Words are separated by spaces, as whole-word masking sees words. Masked tokens are in brackets: [MASK→the]
    is replaced by [MASK], [cat→the] by another token, [the] by itself.
    """

    data: Positional[Annotated[tuple[Path, ...], arg(metavar="DATA")]]
    """Folder written by `albert prepare`, or TFRecord files."""
    tokenizer: Path | None = None
    """Folder of the tokenizer that made the TFRecord files; shards have their own."""
    count: int = 3
    """Number of examples to show."""
    seed: int = 0
    """Seed of all random draws; held-out examples are always the same."""
    split: SplitName = "train"
    """Which examples: those to train on, or those to evaluate on."""
    examples: ExampleSettings = ExampleSettings()
    """How examples are made; those in TFRecord files are already made."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError("no DATA given; name a folder written by albert prepare, or TFRecord files")
        if self.count < 1:
            raise ConfigError(f"--count is {self.count}; expected at least 1")
