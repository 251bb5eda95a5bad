"""The public models of tasks: the encoder with a head that classifies, chooses, or tags.

Those that find answers are in `answer_models`. All have the two entry points of `pretrained`: `forward` for
padded batches with the names of transformers, `packed_logits` for sequences end to end. Heads and parameter
names are those of transformers, whose classes of the same names load the folders.
Letters: B sequences, or questions with K choices each, T padded length, N tokens, H hidden size, K labels or
choices.
Source: `create_model` (classifier_utils.py, race_utils.py) of the original.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.errors import DataError
from albert.model.albert_model import AlbertModel
from albert.model.calls import Call, Wanted
from albert.model.layer import initialize
from albert.model.losses import class_labels, mean_cross_entropy, squared_error_sum
from albert.model.outputs import LogitsOutput
from albert.model.packing import Packing, PaddedInputs, check_shape, on_device
from albert.model.pretrained import Pretrained, without_classes

# The original initialises its fine-tuning heads with this, whatever the encoder's initializer_range.
CLASSIFIER_STD = 0.02


class AlbertForSequenceClassification(Pretrained):
    """The encoder with a linear layer on the pooled [CLS]: one class, several labels, or a real number."""

    pipeline_task = "text-classification"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = AlbertModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        initialize(self.classifier, std=CLASSIFIER_STD)

    def packed_logits(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> Tensor:
        """Return logits (B, K) for packed inputs (N,) of `lengths` (B,)."""
        packing = Packing.of_lengths(lengths, input_ids.device)
        return self.classifier(self.dropout(self.albert.encode_first(input_ids, token_type_ids, packing)))

    def logits_of_states(self, x: Tensor, packing: Packing) -> Tensor:
        """Return logits (B, K) for the hidden states `x` (N, H) of all tokens, after any layer."""
        return self.logits_of_first(x[packing.starts])  # (N, H) -> (B, K)

    def logits_of_first(self, first: Tensor) -> Tensor:
        """Return logits (B, K) for the hidden states of [CLS], (B, H), after any layer."""
        return self.classifier(self.dropout(self.albert.pool(first)))

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
        """Classify a padded batch.

        `labels` are class numbers (B,); for several labels at once 0.0 or 1.0 for each, (B, K); for
        regression real numbers, (B,), or (B, K) of several targets. The other arguments are those of
        `AlbertModel`.

        Raises:
            DataError: Labels have another shape or type.
        """
        inputs = PaddedInputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        call = Call.of(self.config, inputs, Wanted(output_hidden_states, output_attentions, return_dict))
        logits = self.classifier(self.dropout(self.albert.first_states(call)))
        loss = None if labels is None else self._loss(logits, labels)
        return call.result(LogitsOutput(loss=loss, logits=logits))

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss that `problem_type` names; without one the labels tell, as in transformers."""
        rows, number = logits.shape
        problem: str | None = self.config.problem_type
        if problem is None:
            several = "multi_label_classification" if labels.is_floating_point() else None
            problem = "regression" if number == 1 else several or "single_label_classification"
        if problem == "single_label_classification":
            return mean_cross_entropy(logits, class_labels(labels, rows))
        check_shape("labels", labels, (rows, number), *[(rows,)] * (number == 1 and problem == "regression"))
        if problem == "multi_label_classification":
            return F.binary_cross_entropy_with_logits(logits.float(), labels.float())
        return squared_error_sum(logits.flatten(), labels.flatten()).total / labels.numel()


class AlbertForMultipleChoice(Pretrained):
    """The encoder with a linear layer on the pooled [CLS] that scores one choice; the best of K is chosen."""

    pipeline_task = "multiple-choice"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(without_classes(config))
        self.albert = AlbertModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, 1)
        initialize(self.classifier, std=CLASSIFIER_STD)

    def packed_logits(
        self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor, *, num_choices: int | Tensor
    ) -> Tensor:
        """Return logits (B, K) for packed inputs (N,), the choices of a question one after the other.

        Args:
            input_ids: (N,).
            token_type_ids: (N,).
            lengths: Tokens of each choice, summing to N.
            num_choices: Choices of every question, or of each, (B,). K is the largest; a question with fewer
                has logits of -inf after its own, which have probability 0.
        """
        packing = Packing.of_lengths(lengths, input_ids.device)
        logits = self.classifier(self.dropout(self.albert.encode_first(input_ids, token_type_ids, packing)))
        if isinstance(num_choices, int):
            return logits.view(-1, num_choices)  # (B * K, 1) -> (B, K)
        counts = num_choices.cpu().numpy()
        is_choice = np.arange(counts.max(initial=0)) < counts[:, None]
        cells = on_device(np.flatnonzero(is_choice), logits.device)
        table = logits.new_full((is_choice.size,), -torch.inf)
        return table.index_copy(0, cells, logits.squeeze(-1)).view(is_choice.shape)  # (B, K)

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
        """Score the choices of a padded batch.

        `labels` (B,) are the right choices. The other arguments are those of `AlbertModel`, with a dimension
        for the choices: (B, K, T).

        Raises:
            DataError: A shape is wrong.
        """
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        first = inputs_embeds if input_ids is None else input_ids
        if first is None or first.ndim != (4 if input_ids is None else 3):
            found = "neither" if first is None else f"the shape {tuple(first.shape)}"
            raise DataError(
                f"expected input_ids (B, K, T) or inputs_embeds (B, K, T, E), K choices a row, found {found}"
            )
        inputs = PaddedInputs(*(None if x is None else x.flatten(0, 1) for x in given))
        call = Call.of(self.config, inputs, Wanted(output_hidden_states, output_attentions, return_dict))
        logits = self.classifier(self.dropout(self.albert.first_states(call)))  # (B * K, 1)
        logits = logits.view(first.shape[:2])  # (B, K)
        loss = None if labels is None else mean_cross_entropy(logits, class_labels(labels, len(logits)))
        return call.result(LogitsOutput(loss=loss, logits=logits))


class AlbertForTokenClassification(Pretrained):
    """The encoder with a linear layer on every token."""

    pipeline_task = "token-classification"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = AlbertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        initialize(self.classifier, std=config.initializer_range)

    def packed_logits(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> Tensor:
        """Return logits (N, K) for packed inputs (N,) of `lengths` (B,)."""
        packing = Packing.of_lengths(lengths, input_ids.device)
        return self.logits_of_states(self.albert.encode(input_ids, token_type_ids, packing), packing)

    def logits_of_states(self, x: Tensor, packing: Packing) -> Tensor:  # noqa: ARG002  # as other classes
        """Return logits (N, K) for the hidden states `x` (N, H) of all tokens, after any layer."""
        return self.classifier(self.dropout(x))

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
        """Classify the tokens of a padded batch.

        `labels` (B, T) are -100 where ignored; those of padding are ignored, too. The other arguments are
        those of `AlbertModel`.
        """
        inputs = PaddedInputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        call = Call.of(self.config, inputs, Wanted(output_hidden_states, output_attentions, return_dict))
        logits = self.classifier(self.dropout(self.albert.states(call)))
        loss = None if labels is None else mean_cross_entropy(logits, call.labels(labels))
        return call.result(LogitsOutput(loss=loss, logits=call.batch.unpack(logits)))
