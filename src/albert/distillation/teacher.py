"""The teacher: a sentence encoder, a classifier or a tagger, and its outputs for texts.

Letters: B texts, N tokens of all of them, H hidden size, D size of a vector, K classes.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from albert.checkpoint.folder import read_architecture, read_config
from albert.checkpoint.weight_files import find_weights, weight_files
from albert.config import AlbertConfig
from albert.conversion.conversion import model_folder
from albert.data.sentences import read_sentences
from albert.distillation.settings import DistillSettings, LossName
from albert.errors import ConfigError
from albert.inference.embedding import Embedder
from albert.inference.encoding import groups
from albert.inference.trained_model import TrainedModel, open_trained
from albert.model.albert_model import AlbertModel
from albert.model.linear import compute_dtype
from albert.model.packing import Packing
from albert.model.pooling import pool
from albert.tasks import catalogue
from albert.tasks.cuts import Cuts
from albert.tasks.features import taken_positions
from albert.text.tokenizer import AlbertTokenizer

KINDS_WITH_LOGITS = ("classification", "multi_label", "regression", "tagging")
"""Kinds of tasks whose models have one row of logits for each text or token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher(ABC):
    """A model to learn from, on its device, dropout off."""

    name: str
    """As the user named it."""
    encoder: AlbertModel
    """Its encoder."""
    tokenizer: AlbertTokenizer
    """Its tokenizer."""
    fingerprint: str
    """Digest of its weights."""

    default_losses: ClassVar[tuple[LossName, ...]] = ("vectors", "states")

    @property
    @abstractmethod
    def max_seq_length(self) -> int:
        """Tokens to which a text is truncated."""

    @property
    def config(self) -> AlbertConfig:
        """Its shape."""
        return self.encoder.config

    @abstractmethod
    def texts(self, settings: DistillSettings) -> Iterator[Any]:
        """Yield the texts to learn from, in the form that `encode` takes.

        Raises:
            DataError: They cannot be read.
        """

    @abstractmethod
    def encode(self, texts: Sequence[Any], tokenizer: AlbertTokenizer, *, cuts: Cuts | None = None) -> Any:
        """Return texts as tokens of a tokenizer, the teacher's or the student's own; count what is cut."""

    @abstractmethod
    def head(self, x: Tensor, packing: Packing) -> tuple[str, Tensor]:
        """Return the name and the value of what the teacher makes of its last states `x` (N, H)."""

    @torch.inference_mode()
    def outputs(self, features: Any, losses: Sequence[LossName]) -> dict[str, NDArray[np.float16]]:
        """Return what the losses compare, by name, for encoded texts, in their order.

        Vectors (B, D), states (N, H), relations (N, 3H), which are queries, keys and values of the last
        layer, and logits (B, K) or (N, K).
        """
        found: dict[str, NDArray[np.float16]] = {}
        for group in groups(features, self.encoder.device):
            tokens = taken_positions(features.lengths, group.indices)
            packing = Packing.of_lengths(group.lengths, self.encoder.device)
            inputs = (group.input_ids, group.token_type_ids, packing)
            for name, rows in self._outputs(inputs, losses):
                is_by_token = len(rows) == len(tokens)
                places = tokens if is_by_token else group.indices
                if name not in found:
                    total = len(features.input_ids) if is_by_token else len(features)
                    found[name] = np.zeros((total, rows.shape[1]), np.float16)
                found[name][places] = rows.float().cpu().numpy()
        return found

    def _outputs(
        self, inputs: tuple[Tensor, Tensor, Packing], losses: Sequence[LossName]
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and the value of each output for some texts."""
        last = self.config.num_hidden_layers
        rows = torch.arange(len(inputs[0]), device=self.encoder.device)
        before, states = self.encoder.encode_depths(*inputs, rows=rows, depths=(last - 1, last))
        if "states" in losses:
            yield "states", states
        if "relations" in losses:
            yield "relations", attention_inputs(self.encoder, before, last).flatten(1)
        if {"vectors", "similarities", "logits"} & set(losses):
            yield self.head(states, inputs[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceTeacher(Teacher):
    """A teacher whose vectors are learnt: any encoder, with the pooling of its folder."""

    embedder: Embedder
    """What makes vectors of its states."""

    @property
    def max_seq_length(self) -> int:
        """Tokens to which a text is truncated."""
        return self.embedder.max_seq_length

    def texts(self, settings: DistillSettings) -> Iterator[str]:
        """Yield the sentences of the input."""
        return read_sentences(settings, shows_progress=False)

    def encode(self, texts: Sequence[Any], tokenizer: AlbertTokenizer, *, cuts: Cuts | None = None) -> Any:
        """Return texts as tokens; the teacher's prompt goes before each only in its own tokens."""
        if tokenizer is self.tokenizer:
            return self.embedder.encode(texts, cuts=cuts)
        return replace(self.embedder, tokenizer=tokenizer, prompt="").encode(texts, cuts=cuts)

    def head(self, x: Tensor, packing: Packing) -> tuple[str, Tensor]:
        """Return the vectors (B, D)."""
        vectors = pool(x.float(), torch.tensor(packing.lengths), self.embedder.pooling)
        for layer in self.embedder.layers:
            vectors = layer(vectors)
        return "vectors", vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTeacher(Teacher):
    """A teacher whose logits are learnt: a classifier, a regression or a tagger."""

    trained: TrainedModel
    """Its head, labels, task and lengths."""

    default_losses: ClassVar[tuple[LossName, ...]] = ("logits", "states")

    @property
    def max_seq_length(self) -> int:
        """Tokens to which a text is truncated."""
        return self.trained.lengths.max_seq_length

    def texts(self, settings: DistillSettings) -> Iterator[Any]:
        """Yield the examples in the input's files, without labels: those of the task, or a text a line."""
        solver, task = self.trained.solver, self.trained.task
        own = [pattern for patterns in task.data.files.values() for pattern in patterns]
        for path in map(Path, settings.input):
            if path.suffix == ".txt" and not any(pattern.endswith(".txt") for pattern in own):
                yield from solver.read_text(task, path)
            else:
                yield from solver.read(task, (path,), split="train", labelled=False)

    def encode(self, texts: Sequence[Any], tokenizer: AlbertTokenizer, *, cuts: Cuts | None = None) -> Any:
        """Return examples as tokens."""
        trained = self.trained
        return trained.solver.encode(trained.task, texts, tokenizer, lengths=trained.lengths, cuts=cuts)

    def head(self, x: Tensor, packing: Packing) -> tuple[str, Tensor]:
        """Return the logits (B, K), or (N, K) of a tagger."""
        model: Any = self.trained.model  # of one of the classes for KINDS_WITH_LOGITS
        return "logits", model.logits_of_states(x, packing)


def attention_inputs(encoder: AlbertModel, x: Tensor, depth: int) -> Tensor:
    """Return queries, keys and values (N, 3, A, D) of layer `depth` for its input `x` (N, H)."""
    block = encoder.encoder.layers(depth)[-1]
    return block.project(x, block.weights(compute_dtype(x)))


def open_teacher(settings: DistillSettings) -> Teacher:
    """Open the teacher, as the model of its task, or as a sentence encoder where its logits are not learnt.

    Raises:
        CheckpointError: There is no such model.
        ConfigError: It has no output that a part of the loss needs.
    """
    folder = model_folder(settings.teacher)
    kind = catalogue.kind_of_model(read_architecture(folder), read_config(folder))
    wanted = settings.losses.loss
    is_for_task = kind in KINDS_WITH_LOGITS and (not wanted or "logits" in wanted)
    if "logits" in wanted and not is_for_task:
        found = f"a model for {kind}" if kind else "an encoder"
        raise ConfigError(
            f"--loss logits: {settings.teacher} is {found}, expected a classifier, a regression or a tagger; "
            "learn its vectors and states: --loss vectors states"
        )
    device, length = settings.loop.device, settings.max_seq_length
    weights = find_weights(folder)
    assert weights is not None  # It is a model folder.
    digest = hashlib.sha256()
    for path in weight_files(weights):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    fingerprint = digest.hexdigest()[:16]
    if is_for_task:
        trained = open_trained(settings.teacher, task=None, max_seq_length=length, device=device)
        encoder = trained.model.get_submodule("albert")
        assert isinstance(encoder, AlbertModel)
        return TaskTeacher(
            name=settings.teacher,
            encoder=encoder,
            tokenizer=trained.tokenizer,
            fingerprint=fingerprint,
            trained=trained,
        )
    embedder = Embedder.open(settings.teacher, max_seq_length=length, device=device)
    return SentenceTeacher(
        name=settings.teacher,
        encoder=embedder.model,
        tokenizer=embedder.tokenizer,
        fingerprint=fingerprint,
        embedder=embedder,
    )
