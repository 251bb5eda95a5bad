"""What a kind of task can do: one abstract class, a subclass for each kind.

`catalogue` finds the solver of a task. The rest of the package (commands, fine-tuning, the original's
scripts) leaves to it everything that differs between kinds: how files are read and encoded, what is
minimised, what a model predicts, and how predictions are scored, written and read. So a new kind is a room
of its own and a line in the catalogue. The price is a wide class; most of its methods have a default.

A solver holds no data. It reads *examples*, objects of its own type in the order of the file; it encodes
them into *features*, which hold many examples end to end as numpy arrays and return a batch with
`take(indices)`; it returns *predictions* of its own type, one for each example, in the order of the examples.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.errors import ConfigError, DataError
from albert.tasks.bad_rows import BadRows
from albert.tasks.cuts import Cuts
from albert.tasks.prediction_files import PredictionFile
from albert.tasks.predictions import LineFormat, ObjectFormat, RowContent
from albert.tasks.submissions import Submission
from albert.tasks.task import Lengths, Task
from albert.text.tokenizer import AlbertTokenizer

if TYPE_CHECKING:
    from albert.model.losses import LossSum
    from albert.model.pretrained import Pretrained

TOKENS_AT_ONCE = 8192
"""Tokens that go through a model at once in prediction."""
LINES = re.compile(rb"[^\n]\n|[^\n]\Z")
"""Matches once in every line that is not empty."""


class Features(Protocol):
    """Encoded examples, end to end."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Token ids of all sequences, (N,)."""

    def __len__(self) -> int:
        """Return the number of items that are shuffled and batched: texts, questions or windows."""

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return the items at `indices`, in that order."""


FeaturesT = TypeVar("FeaturesT", bound=Features)


BatchT_contra = TypeVar("BatchT_contra", bound=Features, contravariant=True)


class TaskObjective(Protocol[BatchT_contra]):
    """What is minimised, as `training.loop` takes it: one part, called `task`."""

    def counts(self, batch: BatchT_contra) -> Mapping[str, float]:
        """Return the number of items over which the loss is averaged, or the sum of their weights."""

    def sums(self, model: Any, batch: BatchT_contra) -> dict[str, LossSum]:
        """Return the summed loss of the items of `batch`."""


class Solver(ABC):
    """One kind of task. Examples, features and predictions are of the kind's own types.

    Methods that are not abstract are defaults; a kind overrides those that do not fit it.
    """

    features_class: ClassVar[type[Any]]
    """Class of the kind's features, a dataclass of arrays."""
    row_suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".jsonl")
    """Suffixes of files with a row for each prediction."""
    scores_are_percent: ClassVar[bool] = False
    """Whether scores go up to 100, as in the official scripts, instead of 1."""
    baseline_name: ClassVar[str] = "what guessing without the texts"
    """How the baseline of `guess` is made, for messages: "... reaches"."""
    trains_depths: ClassVar[bool] = False
    """Whether a model can be trained after several layers at once."""
    contrasts_batch: ClassVar[bool] = False
    """Whether the loss of an example depends on the others of its batch, so that no batch may be divided."""
    threshold_score: ClassVar[str | None] = None
    """Name of the score that is the best threshold on dev, stored with a trained model; None for none."""

    # Models

    @abstractmethod
    def model_class(self, task: Task) -> type[Pretrained]:
        """Return the public class that is fine-tuned for `task`."""

    @abstractmethod
    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Return all public classes that a trained model of this kind may have."""

    def is_made_for(self, config: AlbertConfig) -> bool:
        """Whether a trained model of one of these classes with `config` solves tasks of this kind."""
        del config
        return True

    @abstractmethod
    def config_changes(self, task: Task) -> dict[str, Any]:
        """Return the settings of the model's configuration that the head needs: `id2label`, dropout, ..."""

    def with_labels_of(self, task: Task, config: AlbertConfig) -> Task:
        """Return `task` with its labels in the order of a trained model's outputs.

        Raises:
            ConfigError: The model has other labels.
        """
        del config
        return task

    # Examples

    def read(
        self,
        task: Task,
        paths: Sequence[Path],
        *,
        split: str,
        labelled: bool = True,
        bad_rows: BadRows | None = None,
    ) -> Iterator[Any]:
        """Yield the examples of a split's files, with their labels if `labelled`.

        Args:
            task: The task.
            paths: The files.
            split: The split that they are.
            labelled: Whether labels are read.
            bad_rows: What happens to rows that cannot be used; by default they are an error.

        Raises:
            DataError: A file does not have the task's layout; the message names file and line or place.
        """
        return (bad_rows or BadRows()).sift(self.rows(task, paths, split=split, labelled=labelled))

    @abstractmethod
    def rows(
        self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool
    ) -> Iterator[Any | DataError]:
        """Yield the examples of a split's files; one that cannot be used as its error, in its place.

        Raises:
            DataError: A whole file cannot be used.
        """

    def read_text(self, task: Task, path: Path, *, bad_rows: BadRows | None = None) -> Iterator[Any]:
        """Yield the unlabelled examples of a plain text file, one a line.

        Raises:
            ConfigError: A line of text is not enough for an example.
            DataError: A line is empty; the message names file and line.
        """
        return (bad_rows or BadRows()).sift(self.text_rows(task, path))

    def text_rows(self, task: Task, path: Path) -> Iterator[Any | DataError]:
        """Yield the examples of a plain text file; an empty line as its error.

        Raises:
            ConfigError: A line of text is not enough for an example.
        """
        raise ConfigError(
            f"--input {path}: lines of text are single texts, but an example of task {task.name!r} has more "
            "than one; give a file with columns, or one of the task"
        )

    def example_pattern(self, task: Task, path: Path) -> re.Pattern[bytes] | None:
        """Return a pattern that occurs about once an example in a file, to estimate their number, or None."""
        del task, path
        return LINES

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Return `task` with the labels that occur in the training files, if its record names none.

        Raises:
            DataError: There are too few or too many of them to be labels.
        """
        del paths
        return task

    @abstractmethod
    def encode(
        self,
        task: Task,
        examples: Sequence[Any],
        tokenizer: AlbertTokenizer,
        *,
        lengths: Lengths,
        cuts: Cuts | None = None,
    ) -> Any:
        """Return the features of `examples`, labels included where they are known.

        What is cut off is counted in `cuts`, if given.

        Raises:
            ConfigError: `lengths` leaves no room for text.
        """

    @abstractmethod
    def shown(self, task: Task, example: Any) -> dict[str, str]:
        """Return an example as people read it: its texts, and as `label` the right answer if it is known."""

    def group_of(self, example: Any) -> str:
        """Return a text that examples of training and dev must not share: one would give the other away.

        By default it is the example's text; for a kind whose examples share passages it is the passage.
        """
        text: str = example.text
        return text

    def stratum_of(self, task: Task, example: Any) -> Any:
        """Return what should be as frequent in dev as in training, such as the label; None if nothing."""
        del task, example

    # Learning

    @abstractmethod
    def objective(self, task: Task) -> TaskObjective[Any]:
        """Return the training objective."""

    def class_weights(self, task: Task, examples: Sequence[Any], text: str) -> tuple[float, ...]:
        """Return the weight of each label in the loss, from `--class-weights`.

        Args:
            task: The task, with its labels.
            examples: The training examples.
            text: `balanced`, or a number for each label, separated by commas.

        Raises:
            ConfigError: The kind has no classes, or `text` does not give each a weight.
        """
        del examples
        raise ConfigError(
            f"--class-weights {text}: weights are for the labels of classification and multi-label tasks, "
            f"but {task.name!r} is a task of the kind {task.kind}; drop the flag"
        )

    def guessing_loss(self, task: Task, examples: Sequence[Any]) -> float | None:
        """Return the loss of the best guess that ignores the text, from the frequencies of the labels.

        None if no such loss is known; then a training is not watched for collapse.
        """
        del task, examples
        return None

    def are_all_alike(self, task: Task, predictions: Any) -> bool:
        """Whether every example gets the same prediction; called only if a guessing loss is known."""
        del task, predictions
        return False

    def guess(self, task: Task, known: Sequence[Any], examples: Sequence[Any]) -> Any:
        """Return predictions for `examples` that ignore the texts, from the frequencies of labels in `known`.

        Their scores are the baseline that a model must exceed. None if no such guess is known.
        """
        del task, known, examples

    # Predictions

    @abstractmethod
    def predict(self, task: Task, model: Pretrained, examples: Sequence[Any], features: Any) -> Any:
        """Return the model's prediction for each of `examples`, whose `features` are given.

        Computed in groups of similar length, without dropout.
        """

    def with_threshold(self, task: Task, predictions: Any, threshold: float | None) -> Any:
        """Return `predictions` decided at a threshold; None means the kind's default.

        Raises:
            ConfigError: A threshold is given, but the kind has no use for one.
        """
        if threshold is not None:
            raise ConfigError(f"--threshold {threshold:g}: task {task.name!r} uses no threshold; drop it")
        return predictions

    @abstractmethod
    def scores(self, task: Task, examples: Sequence[Any], predictions: Any) -> dict[str, float]:
        """Return the official scores for labelled examples, `task.metrics` included."""

    @abstractmethod
    def losses(self, task: Task, examples: Sequence[Any], predictions: Any) -> NDArray[np.float64]:
        """Return how wrong each prediction is, (B,): its loss, or 1 minus its score."""

    def label_pairs(self, task: Task, examples: Sequence[Any], predictions: Any) -> list[tuple[str, str]]:
        """Return the right and the predicted label of each example; empty if an example has not one label."""
        del task, examples, predictions
        return []

    @abstractmethod
    def records(self, task: Task, examples: Sequence[Any], predictions: Any) -> Iterator[dict[str, Any]]:
        """Yield a flat record for each prediction: what `albert predict` writes.

        Keys by kind: `label` and its probability `score` (one label; a choice, whose label is a letter),
        `labels` and `scores` (several labels), `score` (a number), `answer`, `score`, `start` and `end` (a
        span), `tags` and `entities` (tags).
        """

    # Files of predictions

    @abstractmethod
    def row_content(self, task: Task) -> RowContent:
        """Return the columns of a file of predictions."""

    def row_format(self, task: Task, suffix: str) -> LineFormat:
        """Return the format of a file of predictions with `suffix`, one of `row_suffixes`."""
        return self.row_content(task).format(suffix)

    def submission(self, task: Task) -> Submission | None:
        """Return the official file of `task`; None if there is none."""
        return task.submission

    def official_format(self, task: Task, submission: Submission) -> LineFormat | ObjectFormat:
        """Return the format of an official file."""
        del submission
        raise ConfigError(f"task {task.name!r} has no official format")

    @abstractmethod
    def scores_of_file(self, task: Task, examples: Sequence[Any], file: PredictionFile) -> dict[str, float]:
        """Return the official scores of the predictions in a file.

        Raises:
            DataError: The file cannot be read, or its predictions are not those of `examples`.
            ConfigError: Null odds or a threshold are given, but the kind has no use for them.
        """


def refuse_null_odds(task: Task, file: PredictionFile) -> None:
    """Refuse null odds and thresholds for a kind that has no use for them.

    Raises:
        ConfigError: One of them is given.
    """
    if file.null_odds is not None or file.threshold is not None:
        raise ConfigError(
            f"--null-odds and --threshold are for questions that may have no answer, task {task.name!r} has "
            "none; drop them"
        )


def without_loss(scores: dict[str, float]) -> dict[str, float]:
    """Return scores without the loss, which is unknown for predictions from a file."""
    return {name: value for name, value in scores.items() if name != "loss"}


def groups_of_similar_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of items of `lengths` (B,) tokens, shortest first, `TOKENS_AT_ONCE` at a time."""
    order = np.argsort(lengths, kind="stable")
    group = lengths[order].cumsum() // TOKENS_AT_ONCE
    for indices in np.split(order, np.flatnonzero(np.diff(group)) + 1):
        if len(indices):
            yield indices
