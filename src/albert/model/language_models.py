"""The public models of pretraining: masked LM, with sentence order or alone.

Letters: B sequences, T padded length, N tokens, M masked tokens, H hidden size, V vocabulary.
Source: run_pretraining.py of the original.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from albert.config import AlbertConfig
from albert.model.albert_model import AlbertModel
from albert.model.calls import Call, Wanted
from albert.model.heads import MaskedLMHead, SentenceOrderHead
from albert.model.layer import initialize
from albert.model.losses import Projection, class_labels, mean_cross_entropy
from albert.model.outputs import LogitsOutput, PreTrainingOutput
from albert.model.packing import Packing, PaddedInputs
from albert.model.pretrained import Pretrained


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
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_order_label: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> PreTrainingOutput:
        """Predict every token and the sentence order of a padded batch.

        `labels` (B, T) are -100 where nothing is predicted, and ignored at padding; `sentence_order_label`
        (B,) is 0 in order, 1 swapped. The other arguments are those of `AlbertModel`.
        """
        inputs = PaddedInputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        call = Call.of(self.config, inputs, Wanted(output_hidden_states, output_attentions, return_dict))
        x = self.albert.states(call)
        predictions = self.masked_lm_logits(x)
        order = self.sentence_order_logits(x[call.batch.packing.starts])
        losses = []
        if labels is not None:
            losses.append(mean_cross_entropy(predictions, call.labels(labels)))
        if sentence_order_label is not None:
            losses.append(mean_cross_entropy(order, class_labels(sentence_order_label, len(order))))
        return call.result(
            PreTrainingOutput(
                loss=torch.stack(losses).sum() if losses else None,
                prediction_logits=call.batch.unpack(predictions),  # (N, V) -> (B, T, V)
                sop_logits=order,
            )
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
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> LogitsOutput:
        """Predict every token of a padded batch.

        `labels` (B, T) are -100 where nothing is predicted, and ignored at padding. The other arguments are
        those of `AlbertModel`.
        """
        inputs = PaddedInputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        call = Call.of(self.config, inputs, Wanted(output_hidden_states, output_attentions, return_dict))
        logits = self.predictions(self.albert.states(call), self.albert.embeddings.word_embeddings.weight)
        loss = None if labels is None else mean_cross_entropy(logits, call.labels(labels))
        return call.result(LogitsOutput(loss=loss, logits=call.batch.unpack(logits)))
