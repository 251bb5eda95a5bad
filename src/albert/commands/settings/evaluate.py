"""The settings of `albert evaluate`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.choices import Dtype
from albert.errors import ConfigError
from albert.tasks.bad_rows import OnBadRow
from albert.tasks.task import ColumnSettings

CURVE = "curve"
"""Value of --early-exit that compares all rules."""
RETRIEVAL = "retrieval"
"""Name, in place of a task, of the search in a folder of texts."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Score a fine-tuned model, or a file of predictions, on a task."""

    task: str
    """Task, as listed by `albert tasks`: a benchmark, or own data, such as classification; or retrieval: how
    well a sentence encoder finds texts."""
    model: str | None = None
    """Model that `albert finetune` wrote, such as RUN/best; or anything that `albert convert` takes."""
    predictions: Path | None = None
    """File of predictions to score in place of a model: the benchmark's official file, such as RTE.tsv or
    predictions.json, or one that `albert predict` wrote."""
    data: Path | None = None
    """Folder that holds the task's files: RTE/dev.tsv or dev.tsv (.csv, .jsonl); or the file itself; from the
    Hub if not given."""
    split: Literal["train", "dev", "test"] = "dev"
    """Split to score; it must have labels."""
    columns: ColumnSettings = ColumnSettings()
    """Which columns hold what; by default as in fine-tuning."""
    on_bad_row: OnBadRow = "error"
    """What to do if rows cannot be used, such as empty texts or unknown labels: error names them; skip leaves
    them out and counts them."""
    null_odds: Path | None = None
    """Spans, with --predictions: JSON file with the null odds of each question."""
    threshold: float | None = None
    """Spans: null odds above which a question counts as having no answer; default: for a model the best for
    F1 on this split, for --null-odds the official script's, 1.0. Several labels a text: lowest probability at
    which a label is predicted; default: 0.5."""
    labels: str | None = None
    """Names of the model's outputs in their order, such as no,yes; for models that do not name them."""
    dimensions: int | None = None
    """Retrieval: numbers of a vector that are kept, from the first on; all if not given."""
    depth: int | None = None
    """Layers that are used, from the first on; all if not given. See `albert info` for the depths at which a
    model was trained."""
    early_exit: str | None = None
    """Classification, for models trained with --depths all: stop for each text when layers agree, patience=N,
    or when a probability is reached, confidence=P; curve compares all rules."""
    max_loss: float = 0.5
    """With --early-exit curve: points of the score, of 100, that may be lost for speed."""
    curve: Path | None = None
    """With --early-exit curve: picture of score against work, .png or .svg."""
    max_seq_length: int | None = None
    """Tokens an example is cut to; the length used in fine-tuning if not given."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""
    dtype: Dtype = "float32"
    """Type of the matrix products: bf16 where the device has it; int8 on CPUs, refused if it changes the
    predictions for the first examples."""
    compare_float32: bool = False
    """Also report the scores in float32, as float32_NAME; int8 is then not refused."""

    def __post_init__(self) -> None:
        if (self.model is None) == (self.predictions is None):
            found = "neither" if self.model is None else "both"
            raise ConfigError(f"expected either --model or --predictions, to be scored; found {found}")
        if self.early_exit is not None and self.model is None:
            raise ConfigError("--early-exit needs a --model; predictions in a file are complete; drop it")
        if self.curve is not None and self.curve.suffix not in {".png", ".svg"}:
            raise ConfigError(f"--curve {self.curve}: expected a name ending in .png or .svg")
        if self.curve is not None and self.early_exit != CURVE:
            raise ConfigError("--curve draws what --early-exit curve compares; give both")
        if self.dimensions is not None and self.task != RETRIEVAL:
            raise ConfigError(f"--dimensions is for --task retrieval, not for {self.task}; drop it")
        if self.labels is not None and self.predictions is not None:
            raise ConfigError(
                "--labels names the outputs of a --model; predictions in a file have names; drop it"
            )
        if self.null_odds is not None and self.predictions is None:
            raise ConfigError("--null-odds needs --predictions; a model computes its own null odds")
        if self.compare_float32 and (self.model is None or self.dtype == "float32"):
            raise ConfigError(
                "--compare-float32 needs a --model and a --dtype other than float32, to have two to compare"
            )
