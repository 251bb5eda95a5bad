"""The encoder with its embeddings and pooler: text representations without a task.

Letters: B sequences, T padded length, N tokens, M rows whose output is used, E embedding size, H hidden size.
Source: `AlbertModel` (modeling.py) of the original.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.model.calls import Call, Wanted
from albert.model.encoder import AlbertEmbeddings, AlbertEncoder, check_length
from albert.model.layer import initialize
from albert.model.outputs import ModelOutput
from albert.model.packing import Packing, PaddedBatch, PaddedInputs, fill_up
from albert.model.pretrained import Pretrained


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

    def states(self, call: Call) -> Tensor:
        """Return the last layer's output (N, H) for the tokens of a padded batch."""
        check_length(call.batch.shape[1], self.config)
        x = self.encoder(self._embed(call.batch), call.batch.packing, inspection=call.inspection)
        return x[: call.batch.packing.num_tokens]

    def first_states(self, call: Call) -> Tensor:
        """Return the pooled [CLS] (B, H) of a padded batch, which heads on whole sequences need."""
        starts = call.batch.packing.starts
        if call.inspection is not None:
            return self.pool(self.states(call)[starts])
        check_length(call.batch.shape[1], self.config)
        x = self.encoder(self._embed(call.batch), call.batch.packing, rows=fill_up(starts))
        return self.pool(x[: len(starts)])

    def _embed(self, batch: PaddedBatch) -> Tensor:
        """Return the embeddings of a padded batch, with a row for each row of the packing."""
        inputs = (batch.input_ids, batch.token_type_ids, batch.packing.position_ids, batch.inputs_embeds)
        return self.embeddings(*(None if given is None else fill_up(given) for given in inputs))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> ModelOutput:
        """Encode a padded batch.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 0 marks padding; without it there is none.
            token_type_ids: (B, T), 0 first and 1 second segment; without it all are 0.
            position_ids: (B, T) or (1, T); the columns if not given.
            inputs_embeds: Word embeddings (B, T, E) in place of `input_ids`.
            output_attentions: Also return the attention probabilities of every block.
            output_hidden_states: Also return the output of every block.
            return_dict: False for a tuple. None, here and above, for what the configuration says.

        Raises:
            DataError: A sequence has more tokens than the model has positions, or none; or a shape is wrong.
        """
        inputs = PaddedInputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        call = Call.of(self.config, inputs, Wanted(output_hidden_states, output_attentions, return_dict))
        x = self.states(call)
        return call.result(
            ModelOutput(
                last_hidden_state=call.batch.unpack(x),  # (N, H) -> (B, T, H)
                pooler_output=None if self.pooler is None else self.pool(x[call.batch.packing.starts]),
            )
        )
