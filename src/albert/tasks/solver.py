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
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from albert.checkpoint.folder import WEIGHTS_FILE, load_weights, read_config
from albert.config import AlbertConfig
from albert.conversion.release import check_tokenizer
from albert.errors import CheckpointError, ConfigError
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


def start_model(
    solver: Solver, task: Task, folder: Path, *, hidden_dropout_prob: float | None, from_scratch: bool
) -> Pretrained:
    """Makes a model to be fine-tuned for `task` from the encoder in `folder`.

    A head that is there already stays if it fits the task and has its labels; else it starts at random. With
    `from_scratch` everything does, and only the configuration is read.

    Args:
        solver: Of the task's kind.
        task: With its labels.
        folder: A model folder.
        hidden_dropout_prob: Dropout inside the encoder, hidden states and attention; None for the model's.
        from_scratch: Whether the weights of the folder are passed over.

    Raises:
        CheckpointError: There are no weights, or only a part of the encoder's.
    """
    changes = solver.config_changes(task)
    if hidden_dropout_prob is not None:
        changes |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), hidden_dropout_prob)
    config = read_config(folder, **changes)
    model = solver.model_class(task)(config)
    if from_scratch:
        return model
    if not (folder / WEIGHTS_FILE).is_file():
        raise CheckpointError(
            f"{folder}: holds no {WEIGHTS_FILE}, and random weights are rarely wanted; give a pretrained "
            "model, or --from-scratch if they are"
        )
    own = read_config(folder)
    keeps = has_head(folder, model) and own.id2label == config.id2label
    encoder = model if keeps else model.get_submodule("albert")
    load_weights(encoder, folder, has_map=config.has_map)
    return model


def read_trained(solver: Solver, folder: Path) -> tuple[Pretrained, AlbertTokenizer]:
    """Reads a fine-tuned model folder with the first public class of the kind whose head it holds.

    Raises:
        CheckpointError: The folder holds no model, or one without such a head.
        TokenizerError: Its tokenizer belongs to another model.
    """
    config = read_config(folder)
    for model_class in solver.model_classes():
        with torch.device("meta"):
            shape = model_class(config)
        if has_head(folder, shape):
            return model_class.from_pretrained(folder), read_tokenizer(folder, config)
    names = " or ".join(model_class.__name__ for model_class in solver.model_classes())
    raise CheckpointError(
        f"{folder}: the model has no head of {names}; train one first: albert finetune --model {folder}"
    )


def read_tokenizer(folder: Path, config: AlbertConfig) -> AlbertTokenizer:
    """Reads the tokenizer of a model folder.

    Raises:
        TokenizerError: There is none, or it belongs to another model.
    """
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    check_tokenizer(tokenizer, config.vocab_size, source=str(folder))
    return tokenizer


def has_head(folder: Path, model: Pretrained) -> bool:
    """Tells whether a model folder has weights for everything in `model` outside its encoder.

    Raises:
        CheckpointError: It has no weights at all, or damaged ones.
    """
    path = folder / WEIGHTS_FILE
    head = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if _is_head(name)}
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            stored = {name: tuple(file.get_slice(name).get_shape()) for name in head if name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: missing or not a safetensors file: {error}") from error
    return stored == head


def check_length(max_seq_length: int | None, config: AlbertConfig, *, default: int) -> int:
    """Returns to how many pieces examples are cut: `max_seq_length`, else `default` as far as the model goes.

    Raises:
        ConfigError: More is asked than the model has positions.
    """
    positions = config.max_position_embeddings
    if max_seq_length is not None and max_seq_length > positions:
        raise ConfigError(
            f"--max-seq-length is {max_seq_length}, but the model has {positions} positions; lower it"
        )
    return min(default, positions) if max_seq_length is None else max_seq_length


def groups_of_similar_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yields the indices of items of `lengths` (B,) pieces, shortest first, `PIECES_AT_ONCE` at a time."""
    order = np.argsort(lengths, kind="stable")
    group = lengths[order].cumsum() // PIECES_AT_ONCE
    for indices in np.split(order, np.flatnonzero(np.diff(group)) + 1):
        if len(indices):
            yield indices


def _is_head(name: str) -> bool:
    return not name.startswith("albert.")
