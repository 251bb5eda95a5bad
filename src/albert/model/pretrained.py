"""The public models: the encoder, alone and with the heads of pretraining, to and from model folders.

The models of tasks are in `task_models` and `answer_models`. Arguments and output names are those of
transformers. Each model has two entry points. `forward` takes padded batches (`input_ids`, `attention_mask`,
`token_type_ids`, each (B, T)); positions without a token come out as 0. `packed_logits` takes the same
sequences end to end (N,) with their lengths (B,), and is what training uses. Both compute on real tokens
only.
Letters: B sequences, T padded length, N tokens, M masked tokens, H hidden size, V vocabulary, K labels or
choices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

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
from albert.model.losses import Projection, cross_entropy_sum
from albert.model.packing import Packing, PaddedBatch, fill_up, on_device


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutput:
    """Output of `AlbertModel`."""

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
    """Output of `AlbertForPreTraining`."""

    loss: Tensor | None = None
    """Masked LM plus sentence order, as far as labels were given."""
    prediction_logits: Tensor
    """(B, T, V)"""
    sop_logits: Tensor
    """(B, 2): 0 in order, 1 swapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitsOutput:
    """Output of a model with one head."""

    loss: Tensor | None = None
    """Mean over the labels, if labels were given."""
    logits: Tensor
    """(B, T, V) for masked LM, (B, K) for texts and choices, (B, T, K) for tokens."""


class PackedBatch(Protocol):
    """Sequences end to end, in arrays of int64."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Tokens, (N,)."""

    @property
    def token_type_ids(self) -> NDArray[np.int64]:
        """Segments, (N,)."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence, (B,), summing to N."""


class Pretrained(nn.Module):
    """A model that is read from a folder and written to one."""

    pipeline_task: ClassVar[str]
    """Name of the pipeline that uses the model, here and on the Hub."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_pretrained(cls, folder: str | Path, **changes: Any) -> Self:
        """Read a model folder, ready for inference (dropout off).

        Args:
            folder: Contains `config.json` and `model.safetensors` or `pytorch_model.bin`; or the id of a
                model on the Hub.
            changes: Fields of the configuration to change, such as `hidden_dropout_prob` or `id2label`;
                `num_labels` names the classes of a new head LABEL_0, LABEL_1, ...

        Raises:
            CheckpointError: The folder contains no ALBERT weights, or only a part of the encoder.
            ConfigError: The configuration cannot be used.
        """
        if "num_labels" in changes:
            num_labels = changes.pop("num_labels")
            changes["id2label"] = {index: f"LABEL_{index}" for index in range(num_labels)}
        folder = local_path(folder)
        config = read_config(folder, **changes)
        model = cls(config)
        load_weights(model, folder, has_map=config.has_map)
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors`, which transformers loads unchanged."""
        write_model(Path(folder), self.config, self.state_dict(), architecture=type(self).__name__)

    def prepare_for_inference(self, dtype: Dtype = "float32") -> Self:
        """Prepare the encoder for inference in `dtype`, dropout off; see `AlbertEncoder`."""
        self.eval()
        self.encoder_of_layers.prepare_for_inference(dtype)
        return self

    @property
    def encoder_of_layers(self) -> AlbertEncoder:
        """The encoder, wherever it is in this model."""
        return next(module for module in self.modules() if isinstance(module, AlbertEncoder))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def packed_inputs(self, batch: PackedBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (N,) and segments (N,) of a batch on the device, and lengths (B,) on the host.

        Boundaries are computed from lengths on the host, so that nothing waits for a GPU.
        """
        ids, types = (on_device(x, self.device) for x in (batch.input_ids, batch.token_type_ids))
        return ids, types, torch.from_numpy(batch.lengths)


class AlbertModel(Pretrained):
    """The encoder with its pooler: text representations without a task.

    Args:
        config: The shape.
        add_pooling_layer: Whether [CLS] is pooled; masked LM does not need it.
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
        """Return the last layer's output (N, H) for packed inputs (N,); only at `rows` (M,) if given."""
        check_length(packing.max_length, self.config)
        x = self.embed(input_ids, token_type_ids, packing)
        if rows is None:
            return self.encoder(x, packing)[: packing.num_tokens]
        return self.encoder(x, packing, rows=fill_up(rows))[: len(rows)]  # (N, E) -> (M, H)

    def encode_depths(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        packing: Packing,
        *,
        rows: Tensor,
        depths: Sequence[int],
    ) -> list[Tensor]:
        """Return the hidden states (M, H) at `rows` (M,) after each of `depths` layers, for inputs (N,)."""
        check_length(packing.max_length, self.config)
        x = self.embed(input_ids, token_type_ids, packing)  # (N,) -> (num_rows, E)
        states = self.encoder.at_depths(x, packing, rows=fill_up(rows), depths=depths)
        return [state[: len(rows)] for state in states]

    def encode_first(self, input_ids: Tensor, token_type_ids: Tensor, packing: Packing) -> Tensor:
        """Return the pooled [CLS] (B, H) of packed inputs (N,), which heads on whole sequences need."""
        return self.pool(self.encode(input_ids, token_type_ids, packing, rows=packing.starts))

    def embed(self, input_ids: Tensor, token_type_ids: Tensor, packing: Packing) -> Tensor:
        """Return the embeddings of packed inputs (N,), with a row for each row of the packing."""
        return self.embeddings(fill_up(input_ids), fill_up(token_type_ids), packing.position_ids)

    def pool(self, first: Tensor) -> Tensor:
        """Return the pooled states (B, H) of `first` (B, H), the states of [CLS]."""
        assert self.pooler is not None
        return torch.tanh(self.pooler(first))  # (B, H) -> (B, H)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> ModelOutput:
        """Encode a padded batch.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 marks padding; without it there is none.
            token_type_ids: (B, T), 0 first and 1 second segment; without it all are 0.
            output_hidden_states: Also return the output of every block.
            output_attentions: Also return the attention probabilities of every block.

        Raises:
            DataError: A sequence has more tokens than the model has positions, or none.
        """
        batch = PaddedBatch.of(input_ids, attention_mask, token_type_ids)
        check_length(input_ids.shape[1], self.config)
        hidden_states: list[Tensor] | None = [] if output_hidden_states else None
        attentions: list[Tensor] | None = [] if output_attentions else None
        x = self.encoder(
            self.embed(batch.input_ids, batch.token_type_ids, batch.packing),
            batch.packing,
            hidden_states=hidden_states,
            attentions=attentions,
        )
        return ModelOutput(
            last_hidden_state=batch.unpack(x),  # (num_rows, H) -> (B, T, H)
            pooler_output=None if self.pooler is None else self.pool(x[batch.packing.starts]),
            hidden_states=None if hidden_states is None else tuple(map(batch.unpack, hidden_states)),
            attentions=None if attentions is None else tuple(attentions),
        )


class HeadStates(NamedTuple):
    """Hidden states that the pretraining heads use, after some layers."""

    first: Tensor
    """States of [CLS], (B, H)."""
    masked: Tensor
    """States of the masked tokens, (M, H)."""


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
        """Return masked LM logits (M, V) and sentence-order logits (B, 2).

        Args:
            input_ids: (N,).
            token_type_ids: (N,).
            lengths: (B,), summing to N.
            masked_positions: Indices into N of the tokens to predict, (M,).
        """
        (states,) = self.packed_states((input_ids, token_type_ids, lengths), masked_positions)
        return self.masked_lm_logits(states.masked), self.sentence_order_logits(states.first)

    def packed_states(
        self,
        inputs: tuple[Tensor, Tensor, Tensor],
        masked_positions: Tensor,
        *,
        depths: Sequence[int] = (),
    ) -> list[HeadStates]:
        """Return the hidden states that the heads use after each of some numbers of layers.

        Args:
            inputs: Tokens (N,), segments (N,) and lengths (B,), which sum to N.
            masked_positions: Indices into N of the tokens to predict, (M,).
            depths: Numbers of layers, ascending; the last layer only if not given.
        """
        input_ids, token_type_ids, lengths = inputs
        packing = Packing.of_lengths(lengths, input_ids.device)
        rows = torch.cat([packing.starts, masked_positions])  # (B,), (M,) -> (B + M,)
        states = self.albert.encode_depths(
            input_ids,
            token_type_ids,
            packing,
            rows=rows,
            depths=depths or (self.config.num_hidden_layers,),
        )
        return [HeadStates(x[: len(lengths)], x[len(lengths) :]) for x in states]

    def masked_lm_logits(self, x: Tensor) -> Tensor:
        """Return masked LM logits (M, V) for hidden states `x` (M, H)."""
        return self.predictions(x, self.albert.embeddings.word_embeddings.weight)

    def masked_lm_projection(self, x: Tensor) -> Projection:
        """Return the factors of the masked LM logits for `x` (M, H), for losses in slices."""
        return self.predictions.projection(x, self.albert.embeddings.word_embeddings.weight)

    def sentence_order_logits(self, first: Tensor) -> Tensor:
        """Return sentence-order logits (B, 2) for the states `first` (B, H) of [CLS]."""
        return self.sop_classifier(self.albert.pool(first))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
    ) -> PreTrainingOutput:
        """Predict every token and the sentence order of a padded batch.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 marks padding.
            token_type_ids: (B, T).
            labels: (B, T), -100 where nothing is predicted.
            sentence_order_label: (B,), 0 in order, 1 swapped.
        """
        batch = PaddedBatch.of(input_ids, attention_mask, token_type_ids)
        x = self.albert.encode(batch.input_ids, batch.token_type_ids, batch.packing)
        predictions, order = self.masked_lm_logits(x), self.sentence_order_logits(x[batch.packing.starts])
        losses = []
        if labels is not None:
            losses.append(mean_cross_entropy(predictions, labels.flatten()[batch.cells]))  # (B, T) -> (N,)
        if sentence_order_label is not None:
            losses.append(mean_cross_entropy(order, sentence_order_label))
        return PreTrainingOutput(
            loss=torch.stack(losses).sum() if losses else None,
            prediction_logits=batch.unpack(predictions),  # (N, V) -> (B, T, V)
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
        """Return logits (M, V) of the packed tokens at `masked_positions` (M,)."""
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
        """Predict every token of a padded batch (B, T); `labels` (B, T) may be -100, to be ignored."""
        batch = PaddedBatch.of(input_ids, attention_mask, token_type_ids)
        x = self.albert.encode(batch.input_ids, batch.token_type_ids, batch.packing)
        logits = self.predictions(x, self.albert.embeddings.word_embeddings.weight)
        loss = None if labels is None else mean_cross_entropy(logits, labels.flatten()[batch.cells])
        return LogitsOutput(loss=loss, logits=batch.unpack(logits))


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the labels that are not -100; 0 if there are none."""
    return cross_entropy_sum(logits, labels).total / (labels >= 0).sum().clamp(min=1)


def without_classes(config: AlbertConfig) -> AlbertConfig:
    """Return `config` without the fields of classifiers of texts or tokens."""
    return replace(config, problem_type=None, id2label=None)
