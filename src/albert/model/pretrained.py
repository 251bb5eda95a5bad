"""The public models: the encoder, alone and with the heads of pretraining, from a folder and back.

The models of tasks stand in `task_models` and `answer_models`. Call shapes and output names are those of
transformers. Each model has two doors. `forward` takes the padded batches everybody makes (`input_ids`,
`attention_mask`, `token_type_ids`, each (B, T)); positions without a token come out as 0. `packed_logits`
takes the same sequences end to end (N,) with their lengths (B,) and is what training uses; both compute on
real tokens only.
Letters: B sequences, T padded length, N tokens, M masked tokens, H hidden size, V vocabulary, K classes,
C choices.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from albert.checkpoint.folder import load_weights, read_config, write_model
from albert.config import AlbertConfig
from albert.hub import local_path
from albert.model.encoder import AlbertEmbeddings, AlbertEncoder, check_length, initialize
from albert.model.heads import MaskedLMHead, SentenceOrderHead
from albert.model.linear import Dtype
from albert.model.losses import VocabularyLoss, cross_entropy_sum
from albert.model.packing import Packing, fill_up, on_device, pack, unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutput:
    """What `AlbertModel` returns."""

    last_hidden_state: Tensor
    """(B, T, H)"""
    pooler_output: Tensor | None
    """tanh of a dense layer on [CLS], (B, H)."""
    hidden_states: tuple[Tensor, ...] | None = None
    """Input of the first block and output of every block, (B, T, H) each."""
    attentions: tuple[Tensor, ...] | None = None
    """Attention probabilities of every block, (B, A, T, T) each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreTrainingOutput:
    """What `AlbertForPreTraining` returns."""

    loss: Tensor | None = None
    """Masked LM plus sentence order, of those whose labels were given."""
    prediction_logits: Tensor
    """(B, T, V)"""
    sop_logits: Tensor
    """(B, 2): 0 in order, 1 swapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitsOutput:
    """What a model with one head returns."""

    loss: Tensor | None = None
    """Mean over the labels, if labels were given."""
    logits: Tensor
    """(B, T, V) for masked LM, (B, K) for texts, (B, T, K) for tokens, (B, C) for choices."""


class PackedBatch(Protocol):
    """Sequences end to end, in arrays of int64."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Pieces, (N,)."""

    @property
    def token_type_ids(self) -> NDArray[np.int64]:
        """Segments, (N,)."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Pieces of each sequence, (B,), summing to N."""


class Pretrained(nn.Module):
    """A model that comes from a folder and goes back to one."""

    pipeline_task: ClassVar[str]
    """Name of the pipeline that uses the model, here and on the Hub."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_pretrained(cls, folder: str | Path, **changes: Any) -> Self:
        """Reads a model folder, ready for inference (dropout off).

        Args:
            folder: Holds `config.json` and `model.safetensors` or `pytorch_model.bin`; or the id of a
                model on the Hub.
            changes: Fields of the configuration to change, such as `hidden_dropout_prob` or `id2label`;
                `num_labels` names the classes of a new head LABEL_0, LABEL_1, ...

        Raises:
            CheckpointError: The folder holds no ALBERT weights, or only a part of the encoder.
            ConfigError: The configuration cannot be used.
        """
        if "num_labels" in changes:
            num_labels = changes.pop("num_labels")
            changes["id2label"] = {index: f"LABEL_{index}" for index in range(num_labels)}
        folder = local_path(folder)
        config = read_config(folder, **changes)
        model = cls(config)
        has_map = config.embedding_size != config.hidden_size
        load_weights(model, folder, has_map=has_map)
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors`, which transformers loads unchanged."""
        write_model(Path(folder), self.config, self.state_dict(), architecture=type(self).__name__)

    def freeze(self, dtype: Dtype = "float32") -> Self:
        """Makes the encoder ready to answer in `dtype`, dropout off; see `AlbertEncoder.freeze`."""
        self.eval()
        self.encoder_of_layers.freeze(dtype)
        return self

    @property
    def encoder_of_layers(self) -> AlbertEncoder:
        """The blocks, wherever they stand in this model."""
        return next(module for module in self.modules() if isinstance(module, AlbertEncoder))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def packed_inputs(self, batch: PackedBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Returns pieces (N,) and segments (N,) of a batch on the device, and lengths (B,) on the host.

        Boundaries are counted there, so that nobody waits for a GPU.
        """
        ids, types = (on_device(x, self.device) for x in (batch.input_ids, batch.token_type_ids))
        return ids, types, torch.from_numpy(batch.lengths)


class AlbertModel(Pretrained):
    """The encoder with its pooler: text representations without a task.

    Args:
        config: The shape.
        add_pooling_layer: Whether [CLS] is pooled; masked LM does without.
    """

    pipeline_task = "feature-extraction"

    def __init__(self, config: AlbertConfig, *, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = AlbertEmbeddings(config)
        self.encoder = AlbertEncoder(config)
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size) if add_pooling_layer else None
        initialize(self, std=config.initializer_range)

    def encode(
        self, input_ids: Tensor, token_type_ids: Tensor, packing: Packing, *, rows: Tensor | None = None
    ) -> Tensor:
        """Returns the last layer's output (N, H) for packed inputs (N,); only at `rows` (K,) if given."""
        check_length(packing.max_length, self.config)
        x = self.embed(input_ids, token_type_ids, packing)
        if rows is None:
            return self.encoder(x, packing)[: packing.num_tokens]
        return self.encoder(x, packing, rows=fill_up(rows))[: len(rows)]

    def encode_first(self, input_ids: Tensor, token_type_ids: Tensor, packing: Packing) -> Tensor:
        """Returns the pooled [CLS] (B, H) of packed inputs (N,), all that a head on whole sequences needs."""
        return self.pool(self.encode(input_ids, token_type_ids, packing, rows=packing.starts))

    def embed(self, input_ids: Tensor, token_type_ids: Tensor, packing: Packing) -> Tensor:
        """Returns the embeddings (R, E) of packed inputs (N,), filling included."""
        return self.embeddings(fill_up(input_ids), fill_up(token_type_ids), packing.position_ids)

    def pool(self, first: Tensor) -> Tensor:
        """Returns the pooled states (B, H) of [CLS] `first` (B, H)."""
        assert self.pooler is not None
        return torch.tanh(self.pooler(first))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> ModelOutput:
        """Encodes a padded batch.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 marks padding; all real where missing.
            token_type_ids: (B, T), 0 first and 1 second segment; all 0 where missing.
            output_hidden_states: Also return every block's output.
            output_attentions: Also return every block's attention probabilities.

        Raises:
            DataError: A sequence is longer than the model's positions, or has no token.
        """
        door = PaddedBatch.of(input_ids, attention_mask, token_type_ids)
        check_length(input_ids.shape[1], self.config)
        hidden_states: list[Tensor] | None = [] if output_hidden_states else None
        attentions: list[Tensor] | None = [] if output_attentions else None
        x = self.encoder(
            self.embed(door.input_ids, door.token_type_ids, door.packing),
            door.packing,
            hidden_states=hidden_states,
            attentions=attentions,
        )
        return ModelOutput(
            last_hidden_state=door.unpack(x),
            pooler_output=None if self.pooler is None else self.pool(x[door.packing.starts]),
            hidden_states=None if hidden_states is None else tuple(map(door.unpack, hidden_states)),
            attentions=None if attentions is None else tuple(attentions),
        )


class AlbertForPreTraining(Pretrained):
    """The encoder with both heads of pretraining: masked LM and sentence order."""

    pipeline_task = "fill-mask"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = AlbertModel(config)
        self.predictions = MaskedLMHead(config)
        self.sop_classifier = SentenceOrderHead(config)
        initialize(self.predictions, std=config.initializer_range)
        initialize(self.sop_classifier, std=config.initializer_range)

    def packed_logits(
        self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, masked_positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns masked LM logits (M, V) and sentence-order logits (B, 2).

        Args:
            input_ids: (N,).
            token_type_ids: (N,).
            lengths: (B,), summing to N.
            masked_positions: Indices into N of the tokens to predict, (M,).
        """
        first, x = self._states((input_ids, token_type_ids, lengths), masked_positions)
        return self._heads(first, x)

    def packed_losses(
        self, inputs: tuple[Tensor, Tensor, Tensor], masked_positions: Tensor, masked_labels: Tensor
    ) -> tuple[VocabularyLoss, Tensor]:
        """Returns the masked LM loss, without logits of all pieces at once, and sentence-order logits (B, 2).

        Args:
            inputs: Pieces (N,), segments (N,) and lengths (B,), which sum to N.
            masked_positions: Indices into N of the tokens to predict, (M,).
            masked_labels: What they are, (M,); none is left out.
        """
        first, x = self._states(inputs, masked_positions)
        loss = self.predictions.loss(x, self._table, masked_labels)
        return loss, self.sop_classifier(self.albert.pool(first))

    @property
    def _table(self) -> Tensor:
        """The word embeddings (V, E)."""
        return self.albert.embeddings.word_embeddings.weight

    def _states(
        self, inputs: tuple[Tensor, Tensor, Tensor], masked_positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the states of [CLS] (B, H) and of the tokens to predict (M, H)."""
        input_ids, token_type_ids, lengths = inputs
        packing = Packing.of_lengths(lengths, input_ids.device)
        rows = torch.cat([packing.starts, masked_positions])
        x = self.albert.encode(input_ids, token_type_ids, packing, rows=rows)
        return x[: len(lengths)], x[len(lengths) :]

    def _heads(self, first: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits of both heads for the states of [CLS] (B, H) and of some tokens (M, H)."""
        return self.predictions(x, self._table), self.sop_classifier(self.albert.pool(first))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
    ) -> PreTrainingOutput:
        """Predicts every token and the sentence order of a padded batch.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 marks padding.
            token_type_ids: (B, T).
            labels: (B, T), -100 where nothing is to be predicted.
            sentence_order_label: (B,), 0 in order, 1 swapped.
        """
        door = PaddedBatch.of(input_ids, attention_mask, token_type_ids)
        x = self.albert.encode(door.input_ids, door.token_type_ids, door.packing)
        predictions, order = self._heads(x[door.packing.starts], x)
        losses = []
        if labels is not None:
            losses.append(mean_cross_entropy(predictions, labels.flatten()[door.cells]))
        if sentence_order_label is not None:
            losses.append(mean_cross_entropy(order, sentence_order_label))
        return PreTrainingOutput(
            loss=torch.stack(losses).sum() if losses else None,
            prediction_logits=door.unpack(predictions),
            sop_logits=order,
        )


class AlbertForMaskedLM(Pretrained):
    """The encoder with the masked LM head."""

    pipeline_task = "fill-mask"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = AlbertModel(config, add_pooling_layer=False)
        self.predictions = MaskedLMHead(config)
        initialize(self.predictions, std=config.initializer_range)

    def packed_logits(
        self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, masked_positions: Tensor
    ) -> Tensor:
        """Returns logits (M, V) of the packed tokens at `masked_positions` (M,)."""
        packing = Packing.of_lengths(lengths, input_ids.device)
        x = self.albert.encode(input_ids, token_type_ids, packing, rows=masked_positions)
        return self.predictions(x, self.albert.embeddings.word_embeddings.weight)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> LogitsOutput:
        """Predicts every token of a padded batch (B, T); `labels` (B, T) are -100 where nothing is asked."""
        door = PaddedBatch.of(input_ids, attention_mask, token_type_ids)
        x = self.albert.encode(door.input_ids, door.token_type_ids, door.packing)
        logits = self.predictions(x, self.albert.embeddings.word_embeddings.weight)
        loss = None if labels is None else mean_cross_entropy(logits, labels.flatten()[door.cells])
        return LogitsOutput(loss=loss, logits=door.unpack(logits))


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """A padded batch, packed, with the way back."""

    input_ids: Tensor
    """(N,)"""
    token_type_ids: Tensor
    """(N,)"""
    packing: Packing
    """Where the sequences lie; position ids are the tokens' columns."""
    cells: Tensor
    """Flat index of each token in the padded batch, (N,)."""
    shape: tuple[int, int]
    """Of the padded batch, (B, T)."""

    @classmethod
    def of(
        cls, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None
    ) -> "PaddedBatch":
        """Packs a padded batch, each (B, T); no mask means that every cell holds a token."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        packing, cells = pack(mask)
        shape = (input_ids.shape[0], input_ids.shape[1])
        return cls(input_ids.flatten()[cells], segments.flatten()[cells], packing, cells, shape)

    def unpack(self, x: Tensor) -> Tensor:
        """Returns packed `x` (N, ...), filling left out, as (B, T, ...)."""
        return unpack(x[: self.packing.num_tokens], self.cells, self.shape)


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean cross-entropy over the labels that are not -100; 0 where there are none."""
    return cross_entropy_sum(logits, labels).total / (labels >= 0).sum().clamp(min=1)


def without_classes(config: AlbertConfig) -> AlbertConfig:
    """Returns `config` without what only a classifier of texts or tokens has."""
    return replace(config, problem_type=None, id2label=None)
