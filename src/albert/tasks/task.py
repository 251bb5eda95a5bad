"""What a task is: a frozen record. Nothing here computes; readers, features and scores read the record.

A benchmark is a few rows in a table of such records (`glue`, `clue`, `reading`, `choices`, `entities`), the
user's own data is some more (`own`), and `catalogue` finds them by name. Adding a task of a known kind means
adding a row. How tasks of a kind are read, learnt and scored is its `solver`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from albert.tasks.submissions import Submission


@dataclass(frozen=True, kw_only=True)
class HubData:
    """A data set of the Hub that holds a task, in Parquet."""

    name: str
    """Id on the Hub, such as `nyu-mll/glue`."""
    config: str | None = None
    """One of several data sets under that name."""
    splits: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"train": "train", "dev": "validation", "test": "test"})
    )
    """The Hub's name of each split it has."""
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Our column for a column of the Hub, where the names differ."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """Where the examples of a task lie, how the files are laid out, and which columns hold what."""

    folder: str = ""
    """Folder the benchmark unpacks to; the files may also lie in the data folder itself."""
    files: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({"train": ("train",), "dev": ("dev",), "test": ("test",)})
    )
    """Names or patterns of the files of each split, the first that is found wins; a name without a suffix
    stands for .tsv, .csv and .jsonl."""
    layout: str = "table"
    """How a file is laid out: `table`, rows with columns (.tsv, .csv, .jsonl), or a benchmark's own layout,
    which the kind of task reads."""
    text_column: str = "text"
    """Column of the text: of the first of a pair, of the passage, of the words to be tagged."""
    pair_column: str | None = None
    """Column of the second text, or of the question; None where an example is a single text."""
    choices_column: str = "choices"
    """Column of the choices, a list; only where one of some choices is asked for."""
    label_column: str = "label"
    """Column of the label, the number, the right choice, the answers or the tags."""
    id_column: str | None = None
    """Column of the example's id; None where examples are known by their place, from 0."""
    headerless: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Column names of those splits whose table has no header line."""
    bare_columns: tuple[str, ...] = ()
    """Column names of tables that circulate with a header line and without, as far as a row goes; used where
    the first line names none of the columns that are wanted."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Other names of columns in files that circulate, tried in that order."""
    spellings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Labels by other words for them that some files have."""
    dropped_labels: tuple[str, ...] = ()
    """Labels that mean that an example has none and is passed over, counted and said."""
    rows_with: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What cells of a row must hold for it to belong to the task, where the table has such a column."""
    has_blemishes: bool = False
    """Whether the published files have blemishes: training rows with too few columns, which are passed over,
    counted and said, and empty texts, which are kept, both as in the original."""
    hub: HubData | None = None
    """Where to fetch the data if no folder is given; None where the Hub has none that we know."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The settings a published result was trained with; flags override each."""

    learning_rate: float
    """Peak learning rate."""
    batch_size: int
    """Examples per optimiser step."""
    max_steps: int | None = None
    """Optimiser steps; None where `num_epochs` decides."""
    num_epochs: float = 3
    """Passes over the training data, where `max_steps` is None."""
    warmup_steps: int | None = None
    """Steps until the peak learning rate; None where `warmup_share` decides."""
    warmup_share: float = 0.1
    """Share of all steps until the peak learning rate, where `warmup_steps` is None."""
    max_seq_length: int = 512
    """Pieces an example is cut to, special ones included."""
    hidden_dropout_prob: float | None = 0.0
    """Dropout inside the encoder, hidden states and attention alike; None for the model's own."""
    classifier_dropout_prob: float = 0.1
    """Dropout before the classifier."""
    source: str
    """Where the numbers are from."""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Where single numbers are from, by the name of their field, if not from `source`."""

    def steps(self, num_examples: int, batch_size: int) -> int:
        """Return the optimiser steps for `num_examples` training examples in batches of `batch_size`."""
        if self.max_steps is not None:
            return self.max_steps
        return max(1, round(self.num_epochs * -(-num_examples // batch_size)))

    def warmup(self, num_steps: int) -> int:
        """Return the warm-up for a run of `num_steps`: the same share of them as in the recipe."""
        if self.warmup_steps is None or self.max_steps is None:
            return int(num_steps * self.warmup_share)
        return num_steps * self.warmup_steps // self.max_steps


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How many pieces of what go into one sequence; travels with a fine-tuned model."""

    max_seq_length: int
    """Pieces of a sequence, special ones included."""
    max_query_length: int = 64
    """Spans: pieces of the question that are kept, its first."""
    doc_stride: int = 128
    """Spans: pieces from the start of one window of a long passage to that of the next."""
    max_qa_length: int = 128
    """Choice: pieces of question and choice that are kept, their last."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: its data, its labels, how it is scored, and the recipe that is known to work."""

    name: str
    """Name on the command line."""
    title: str
    """Name and subject in words."""
    kind: str
    """Kind of task, a key of `catalogue.SOLVERS`."""
    data: TaskData
    """Where the examples lie."""
    labels: tuple[str, ...] = ()
    """Label strings; the position is the id. Empty where nothing is chosen by name, and where the training
    file tells them."""
    metrics: tuple[str, ...]
    """Scores reported; the first chooses the best checkpoint."""
    hyperparameters: Hyperparameters
    """Default settings of a fine-tuning."""
    submission: Submission | None = None
    """File that the benchmark takes; None where none is known."""
    language: Literal["en", "zh"] = "en"
    """Language of the texts, where scores depend on it."""
    may_lack_answer: bool = False
    """Spans: whether a question may have no answer in its passage."""

    @property
    def best_metric(self) -> str:
        """Return the score that chooses the best checkpoint."""
        return self.metrics[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSettings:
    """Which columns of own tables hold what; a benchmark knows its own."""

    text_column: str | None = None
    """Column of the text, of the passage, or of the words to be tagged; the task's own if not given."""
    pair_column: str | None = None
    """Column of the second text of a pair, or of the question; the task's own if not given."""
    choices_column: str | None = None
    """Column of the list of choices; the task's own if not given."""
    label_column: str | None = None
    """Column of the label, answers or tags; the task's own if not given."""


def with_columns(task: Task, columns: ColumnSettings) -> Task:
    """Return `task` reading from the columns that are given."""
    given = {name: value for name, value in asdict(columns).items() if value is not None}
    return replace(task, data=replace(task.data, **given))
