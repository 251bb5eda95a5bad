"""What a task is: a frozen record. Nothing here computes; readers, features and scores read the record.

A benchmark is a few rows in a table of such records (`albert.tasks.glue`), the user's own data is two
more (`albert.tasks.own`), and `albert.tasks.catalogue` finds them by name. Adding a task of a known kind
means adding a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Kind = Literal["classification", "regression"]


@dataclass(frozen=True, kw_only=True)
class TableFiles:
    """Where the examples of a task lie and which columns hold them."""

    folder: str = ""
    """Folder the benchmark unpacks to; the files may also lie in the data folder itself."""
    files: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"train": "train", "dev": "dev", "test": "test"})
    )
    """Name of the file of each split, without its suffix (.tsv, .csv or .jsonl)."""
    text_column: str = "text"
    """Column of the text, or of the first text of a pair."""
    pair_column: str | None = None
    """Column of the second text; None where an example is a single text."""
    label_column: str = "label"
    """Column of the label."""
    headerless: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Column names of those splits whose file has no header line."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings a published result was trained with; flags override each."""

    learning_rate: float
    """Peak learning rate."""
    batch_size: int
    """Examples per optimiser step."""
    max_steps: int | None = None
    """Optimiser steps; None where `num_epochs` decides."""
    num_epochs: int = 3
    """Passes over the training data, where `max_steps` is None."""
    warmup_steps: int | None = None
    """Steps until the peak learning rate; None for a tenth of all steps."""
    max_seq_length: int = 512
    """Pieces an example is cut to, special ones included."""
    hidden_dropout_prob: float = 0.0
    """Dropout inside the encoder, hidden states and attention alike."""
    classifier_dropout_prob: float = 0.1
    """Dropout before the classifier."""
    source: str
    """Where the numbers are from."""

    def steps(self, num_examples: int, batch_size: int) -> int:
        """Returns the optimiser steps for `num_examples` training examples in batches of `batch_size`."""
        if self.max_steps is not None:
            return self.max_steps
        return self.num_epochs * -(-num_examples // batch_size)

    def warmup(self, num_steps: int) -> int:
        """Returns the warm-up for a run of `num_steps`: the same share of them as in the recipe."""
        if self.warmup_steps is None or self.max_steps is None:
            return num_steps // 10
        return num_steps * self.warmup_steps // self.max_steps


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: its data, its labels, how it is scored, and the recipe that is known to work."""

    name: str
    """Name on the command line."""
    title: str
    """Name and subject in words."""
    kind: Kind
    """What is predicted: one of `labels`, or a number."""
    data: TableFiles
    """Where the examples lie."""
    labels: tuple[str, ...] = ()
    """Label strings; the position is the id. Empty for regression, and where the training file tells them."""
    metrics: tuple[str, ...]
    """Scores reported; the first chooses the best checkpoint."""
    recipe: Recipe
    """Default training settings."""

    @property
    def best_metric(self) -> str:
        """Returns the score that chooses the best checkpoint."""
        return self.metrics[0]
