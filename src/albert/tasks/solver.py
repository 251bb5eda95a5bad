"""How tasks of one kind are read, encoded, learnt, answered and scored: the protocol every kind fulfils.

Stands above `task` and below the kinds (`classification`, `choice`, `spans`, `tagging`); `catalogue` finds
the solver of a task. Recipes know solvers only, never a kind.

A solver holds no state. What it reads are examples, objects of its own kind in the order of the file; what
it encodes are features, which hold many examples end to end, as numpy arrays, and give a batch with
`take(indices)`; what it finds are answers, one an example, in the order of the examples.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from albert.config import AlbertConfig
from albert.model.losses import LossSum
from albert.model.pretrained import Pretrained
from albert.tasks.task import Lengths, Task
from albert.text.tokenizer import AlbertTokenizer

PIECES_AT_ONCE = 8192
"""Pieces that go through a model at once where nothing is learnt."""


class Features(Protocol):
    """Encoded examples, one behind the other."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Pieces of all sequences end to end, (N,)."""

    def __len__(self) -> int:
        """Returns the number of items that are shuffled and batched: texts, questions, windows."""

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Returns the items at `indices`, in that order."""


FeaturesT = TypeVar("FeaturesT", bound=Features)


BatchT_contra = TypeVar("BatchT_contra", bound=Features, contravariant=True)


class TaskObjective(Protocol[BatchT_contra]):
    """What is minimised, as `training.loop` wants it: one part, called `task`."""

    def counts(self, batch: BatchT_contra) -> dict[str, int]:
        """Returns over how many items the loss is averaged."""

    def sums(self, model: Any, batch: BatchT_contra) -> dict[str, LossSum]:
        """Returns the summed loss of the items of `batch`."""


class Solver(Protocol):
    """One kind of task. Examples, features and answers are the kind's own."""

    def read(self, task: Task, paths: Sequence[Path], *, split: str, labelled: bool = True) -> Iterator[Any]:
        """Reads the examples of a split's files as a stream, with their labels where `labelled`.

        Raises:
            DataError: A file is not what the task's layout says; with file and line or place.
        """

    def with_labels_in(self, task: Task, paths: Sequence[Path]) -> Task:
        """Returns `task` with the labels that occur in the training files, where it does not know them.

        Raises:
            DataError: There are too few or too many of them to be labels.
        """

    def encode(
        self, task: Task, examples: Sequence[Any], tokenizer: AlbertTokenizer, *, lengths: Lengths
    ) -> Any:
        """Returns the features of `examples`; those without label have none.

        Raises:
            ConfigError: `lengths` leaves no room for text.
        """

    def model_class(self, task: Task) -> type[Pretrained]:
        """Returns the public class that is fine-tuned for `task`."""

    def model_classes(self) -> tuple[type[Pretrained], ...]:
        """Returns all public classes of which a trained model may be used."""

    def config_changes(self, task: Task) -> dict[str, Any]:
        """Returns what the head wants in the model's configuration: `id2label`, `problem_type`, dropout."""

    def with_labels_of(self, task: Task, config: AlbertConfig) -> Task:
        """Returns `task` as a trained model with `config` knows it: labels in the order of its outputs.

        Raises:
            ConfigError: The model was trained for something else.
        """

    def objective(self, task: Task) -> TaskObjective[Any]:
        """Returns what is minimised."""

    def answers(self, task: Task, model: Pretrained, examples: Sequence[Any], features: Any) -> Any:
        """Returns what the model answers to each of `examples`, whose `features` are given.

        Computed in groups of similar length, dropout off.
        """

    def scores(self, task: Task, examples: Sequence[Any], answers: Any) -> dict[str, float]:
        """Returns the official scores for labelled examples, those in `task.metrics` among them."""

    def losses(self, task: Task, examples: Sequence[Any], answers: Any) -> NDArray[np.float64]:
        """Returns how wrong each answer is, (B,): its loss, or what it lacks to a full score."""

    def records(self, task: Task, examples: Sequence[Any], answers: Any) -> Iterator[dict[str, Any]]:
        """Yields a flat record for each answer: what `albert predict` writes.

        A class is `label`, its probability `score`; a number `score`; a choice `label` (its letter), `score`;
        a span `answer`, `score`, `start`, `end`; tags `tags` and `entities`.
        """

    def shown(self, task: Task, example: Any) -> dict[str, str]:
        """Returns an example for people: its texts, and under `label` what is right, if it is known."""


def groups_of_similar_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yields the indices of items of `lengths` (B,) pieces, shortest first, `PIECES_AT_ONCE` at a time."""
    order = np.argsort(lengths, kind="stable")
    group = lengths[order].cumsum() // PIECES_AT_ONCE
    for indices in np.split(order, np.flatnonzero(np.diff(group)) + 1):
        if len(indices):
            yield indices
