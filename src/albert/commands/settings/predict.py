"""The settings of `albert predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.choices import Dtype, OutputFormat
from albert.errors import ConfigError
from albert.tasks.bad_rows import OnBadRow
from albert.tasks.task import ColumnSettings


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Write the predictions of a fine-tuned model: labels, numbers, choices, answers, tags."""

    model: str
    """Model that `albert finetune` wrote, such as RUN/best; or anything that `albert convert` takes."""
    output: Path
    """Predictions with ids and texts, in the order of the input: .csv, .tsv or .jsonl, for tags also .conll,
    for answers and choices also .json; a folder or .zip for a benchmark's official file."""
    input: Path | None = None
    """Examples: .txt with one text a line (for labels, numbers or tags), .tsv, .csv, .jsonl with columns, or
    a file of the task."""
    task: str | None = None
    """Task of the files in --input or --data, as listed by `albert tasks`; own data if not given."""
    data: Path | None = None
    """Folder that holds the task's files, in place of --input; from the Hub if neither is given."""
    split: Literal["train", "dev", "test"] = "test"
    """Split of the task that --input is, or that is read from --data."""
    format: OutputFormat = "auto"
    """Our own rows, or the official file of the task's benchmark; auto is official for a folder, .zip, .json
    and the official name, such as RTE.tsv."""
    columns: ColumnSettings = ColumnSettings()
    """Which columns hold what; by default as in fine-tuning."""
    on_bad_row: OnBadRow = "error"
    """What to do if rows cannot be used, such as empty texts: error names them before anything is written;
    skip leaves their answers empty."""
    threshold: float | None = None
    """Spans: null odds above which there is no answer; default: the best for F1 on dev, as stored with the
    model. Several labels a text: lowest probability at which a label is predicted; default: 0.5."""
    labels: str | None = None
    """Names of the model's outputs in their order, such as no,yes; for models that do not name them."""
    depth: int | None = None
    """Layers that are used, from the first on; all if not given. See `albert info` for the depths at which a
    model was trained."""
    early_exit: str | None = None
    """Classification, for models trained with --depths all: stop for each text when layers agree, patience=N,
    or when a probability is reached, confidence=P."""
    max_seq_length: int | None = None
    """Tokens an example is cut to; the length used in fine-tuning if not given."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""
    dtype: Dtype = "float32"
    """Type of the matrix products: bf16 where the device has it; int8 on CPUs, refused if it changes the
    predictions for the first examples."""

    def __post_init__(self) -> None:
        if self.input is not None and self.data is not None:
            raise ConfigError("--input and --data both name the examples; choose one")
        if self.input is None and self.data is None and self.task is None:
            raise ConfigError(
                "expected --input FILE, or --task NAME with or without --data FOLDER; found neither"
            )
