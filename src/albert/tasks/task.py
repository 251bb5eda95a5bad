"""What a task is: a frozen record of its data, labels, metrics and hyperparameters.

The records are data; the solver of their kind reads, trains and scores by them. Each kind's room has a table
of records, for benchmarks and for the user's own data, and `catalogue` finds them by name. To add a task of
a known kind, add a record.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from albert.tasks.submissions import Submission


@dataclass(frozen=True, kw_only=True)
class HubData:
    """A data set of the Hub that holds a task, in Parquet."""

    name: str
    """Id on the Hub, such as `nyu-mll/glue`."""
    config: str | None = None
    """Name of one of several data sets under that id."""
    splits: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"train": "train", "dev": "validation", "test": "test"})
    )
    """The Hub's name of each split it has."""
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Our name for a column of the Hub, where the names differ."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """Where the examples of a task are, how the files are laid out, and which columns hold what."""

    folder: str = ""
    """Folder the benchmark unpacks to; the files may also be in the data folder itself."""
    files: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({"train": ("train",), "dev": ("dev",), "test": ("test",)})
    )
    """Names or patterns of the files of each split, tried in that order; a name without a suffix stands for
    .tsv, .csv and .jsonl."""
    layout: str = "table"
    """Layout of a file: `table`, rows with columns (.tsv, .csv, .jsonl), or a benchmark's own, which the
    reader of the kind knows."""
    text_column: str = "text"
    """Column of the text: of the first of a pair, of the passage, of the words to be tagged."""
    pair_column: str | None = None
    """Column of the second text, or of the question; None if an example is a single text."""
    choices_column: str = "choices"
    """Column of the list of choices; multiple choice only."""
    label_column: str = "label"
    """Column of the label, the number, the right choice, the answers or the tags."""
    id_column: str | None = None
    """Column of the example's id; None if examples are identified by their place, from 0."""
    headerless: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Column names of those splits whose table has no header line."""
    bare_columns: tuple[str, ...] = ()
    """Column names, from the left, of tables that circulate both with and without a header line; used if the
    first line names none of the columns."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Other names of columns in files that circulate, tried in that order."""
    spellings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The task's label for other spellings of it that occur in files."""
    dropped_labels: tuple[str, ...] = ()
    """Labels of examples without a gold label, which are skipped, counted and reported."""
    rows_with: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Cell values, by column, of the rows that belong to the task; ignored if the table lacks the column."""
    has_blemishes: bool = False
    """Whether the published files have blemishes: training rows with too few columns, which are skipped,
    counted and reported, and empty texts, which are kept, both as in the original."""
    may_end_early: bool = False
    """Whether rows may lack cells at their end that are not read, as in copies of the raw files whose tabs at
    line ends were stripped; such rows are counted and reported."""
    hub: HubData | None = None
    """Where to fetch the data if no folder is given; None if no data set of the Hub is known."""


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The numbers of a fine-tuning, each with its source; flags override each."""

    learning_rate: float
    """Peak learning rate."""
    batch_size: int
    """Examples per optimiser step."""
    max_steps: int | None = None
    """Optimiser steps; None if `num_epochs` decides."""
    num_epochs: float = 3
    """Passes over the training data, if `max_steps` is None."""
    min_steps: int = 0
    """Optimiser steps at least, if `max_steps` is None: small data are passed over more often."""
    max_epochs: float = 40
    """Passes over the training data that `min_steps` may lead to."""
    warmup_steps: int | None = None
    """Steps until the peak learning rate; None if `warmup_share` decides."""
    warmup_share: float = 0.1
    """Share of all steps until the peak learning rate, if `warmup_steps` is None."""
    max_seq_length: int = 512
    """Tokens an example is cut to, special tokens included."""
    hidden_dropout_prob: float | None = 0.0
    """Dropout inside the encoder, hidden states and attention alike; None for the model's own."""
    classifier_dropout_prob: float = 0.1
    """Dropout before the classifier."""
    adam_beta2: float = 0.999
    """Decay of the second moment of AdamW."""
    source: str
    """Source of the numbers."""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Sources of single numbers, by the name of their field, if not `source`."""

    def steps(self, num_examples: int, batch_size: int) -> int:
        """Return the number of optimiser steps for `num_examples` in batches of `batch_size`."""
        if self.max_steps is not None:
            return self.max_steps
        steps_of_pass = -(-num_examples // batch_size)
        enough = min(self.min_steps, round(self.max_epochs * steps_of_pass))
        return max(1, enough, round(self.num_epochs * steps_of_pass))

    def warmup(self, num_steps: int) -> int:
        """Return the warm-up steps of a run of `num_steps`: the same share as in these hyperparameters."""
        if self.warmup_steps is None or self.max_steps is None:
            return int(num_steps * self.warmup_share)
        return num_steps * self.warmup_steps // self.max_steps


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Lengths to which sequences and their parts are cut; stored with a fine-tuned model."""

    max_seq_length: int
    """Tokens of a sequence, special tokens included."""
    max_query_length: int = 64
    """Spans: tokens kept from the beginning of the question."""
    doc_stride: int = 128
    """Spans: tokens from the start of one window of a long passage to the start of the next."""
    max_qa_length: int = 128
    """Choice: tokens kept from the end of question and choice."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: its data, labels, metrics, and the hyperparameters known to work."""

    name: str
    """Name on the command line."""
    title: str
    """Name and subject, as shown to people."""
    kind: str
    """Kind of task, a key of `catalogue.SOLVERS`."""
    data: TaskData
    """Where the examples are."""
    labels: tuple[str, ...] = ()
    """Labels; the position is the id. Empty for kinds without labels, and if they are to be found in the
    training file."""
    class_weights: tuple[float, ...] = ()
    """Weight of each label in the training loss; empty if they weigh the same."""
    score_range: tuple[float, float] | None = None
    """Similarity: lowest and highest score of the training data, which become cosines of 0 and 1."""
    depths: tuple[int, ...] = ()
    """Texts: layers after which the loss is computed, ascending; empty for the last one only."""
    dimensions: tuple[int, ...] = ()
    """Similarity and pairs: numbers of a vector, from its first on, that are trained to be enough alone."""
    metrics: tuple[str, ...]
    """Scores reported; the first chooses the best checkpoint."""
    hyperparameters: Hyperparameters
    """Hyperparameters of a fine-tuning, unless a recipe or a flag says otherwise."""
    submission: Submission | None = None
    """File that the benchmark takes; None if none is known."""
    language: str = "en"
    """ISO 639 code of the language of the texts; scores and defaults may depend on it."""
    may_lack_answer: bool = False
    """Spans: whether a question may have no answer in its passage."""

    @property
    def best_metric(self) -> str:
        """The score that chooses the best checkpoint."""
        return self.metrics[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSettings:
    """Which columns of own tables hold what; for benchmarks they are known."""

    text_column: str | None = None
    """Column of the text, of the passage, or of the words to be tagged; the task's own if not given."""
    pair_column: str | None = None
    """Column of the second text of a pair, or of the question; the task's own if not given."""
    choices_column: str | None = None
    """Column of the list of choices; the task's own if not given."""
    label_column: str | None = None
    """Column of the label, answers or tags; the task's own if not given. Multi-label: several, separated by
    commas, that hold 1 or 0 for the label of their name."""
    id_column: str | None = None
    """Column of the example's id, which predictions repeat; by default the task's own, or "id"."""


def trained_on(task: Task) -> dict[str, Any]:
    """Return what is stored with a model that was trained on `task`: its name and its columns."""
    columns = {name: getattr(task.data, name) for name in ColumnSettings.__annotations__}
    return {"task": task.name, "columns": columns}


def columns_of(record: Mapping[str, Any]) -> ColumnSettings:
    """Return the columns that `trained_on` stored with a model; none if there are none."""
    columns = record.get("columns")
    known = ColumnSettings.__annotations__
    stored = columns if isinstance(columns, dict) else {}
    return ColumnSettings(**{name: value for name, value in stored.items() if name in known})


def with_columns(task: Task, columns: ColumnSettings) -> Task:
    """Return `task` with the columns that are given."""
    given = {name: value for name, value in asdict(columns).items() if value is not None}
    return replace(task, data=replace(task.data, **given))
