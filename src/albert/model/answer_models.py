"""The public models that find answers in a text: with one linear layer, or by beam search.

The former is the original's model for SQuAD 1.1 and transformers' class of the same name. The latter is the
original's for SQuAD 2.0. Its head is that of transformers' `XLNetForQuestionAnswering`; transformers has no
such class for ALBERT, and loads only the encoder of its folders. Entry points are those of `pretrained`.
Letters: B sequences, T padded length, N tokens, H hidden size.
Source: `create_v1_model` and `create_v2_model` (squad_utils.py) of the original.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.errors import DataError
from albert.model.albert_model import AlbertModel
from albert.model.calls import Call, Wanted
from albert.model.layer import initialize
from albert.model.losses import mean_cross_entropy
from albert.model.outputs import BeamSearchOutput, QuestionAnsweringOutput
from albert.model.packing import Packing, PaddedBatch, PaddedInputs, check_shape
from albert.model.pretrained import Pretrained, without_classes
from albert.model.spans import (
    NEVER,
    AnswerClass,
    AnswerRows,
    EndLogits,
    StartLogits,
    answerability_loss_sum,
    labels_of_positions,
    most_probable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanLogits:
    """Logits for a known start, as training needs them."""

    start_logits: Tensor
    """(B, T); -1e30 where no answer can start."""
    end_logits: Tensor
    """Given the start, (B, T); -1e30 where no answer can end."""
    cls_logits: Tensor
    """(B,); above 0 where no answer is more probable than one."""


class AlbertForQuestionAnswering(Pretrained):
    """The encoder with a linear layer that scores where in the text an answer starts and ends."""

    pipeline_task = "question-answering"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(without_classes(config))
        self.albert = AlbertModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        initialize(self.qa_outputs, std=config.initializer_range)

    def packed_logits(
        self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits of starts and ends, (B, T) each, for packed inputs (N,) of `lengths` (B,).

        T is the longest sequence; after the end of a shorter one logits are -1e30.
        """
        packing = Packing.of_lengths(lengths, input_ids.device)
        x = self.albert.encode(input_ids, token_type_ids, packing)
        logits = AnswerRows.of_packing(packing).spread(self.qa_outputs(x))  # (N, H) -> (B, T, 2)
        start, end = logits.unbind(-1)
        return start, end

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> QuestionAnsweringOutput:
        """Find answers in a padded batch.

        `start_positions` and `end_positions` are columns, (B,); those after the row are ignored, those before
        it are column 0. The other arguments are those of `AlbertModel`.

        Raises:
            DataError: A position is one of padding, where no answer can be.
        """
        inputs = PaddedInputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        call = Call.of(self.config, inputs, Wanted(output_hidden_states, output_attentions, return_dict))
        x = self.albert.states(call)
        start, end = _rows_of(call.batch).spread(self.qa_outputs(x)).unbind(-1)  # (N, H) -> two of (B, T)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = _span_loss((start, end), _columns(call, start_positions, end_positions))
        return call.result(QuestionAnsweringOutput(loss=loss, start_logits=start, end_logits=end))


class AlbertForQuestionAnsweringBeamSearch(Pretrained):
    """The encoder with the original's head for questions that may have no answer.

    The end is predicted given the start: the right one in training, otherwise the `start_n_top` best. A third
    part predicts whether there is no answer. `p_mask` is 1 where no answer may start or end: in the question
    and at [SEP]. [CLS] is allowed, because it is the answer of unanswerable questions in training.
    """

    pipeline_task = "question-answering"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(without_classes(config))
        self.albert = AlbertModel(config, add_pooling_layer=False)
        self.start_logits = StartLogits(config)
        self.end_logits = EndLogits(config)
        self.answer_class = AnswerClass(config)
        for head in (self.start_logits, self.end_logits, self.answer_class):
            initialize(head, std=config.initializer_range)

    def packed_logits(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        lengths: Tensor,
        *,
        p_mask: Tensor,
        start_positions: Tensor,
    ) -> SpanLogits:
        """Return the logits for known starts; T is the longest sequence.

        Args:
            input_ids: (N,).
            token_type_ids: (N,).
            lengths: (B,), summing to N.
            p_mask: (N,); 1 where no answer may start or end.
            start_positions: Counted from each sequence's [CLS], (B,).
        """
        packing = Packing.of_lengths(lengths, input_ids.device)
        x = self.albert.encode(input_ids, token_type_ids, packing)
        return self._logits(x, AnswerRows.of_packing(packing), p_mask.bool(), start_positions)

    def packed_candidates(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        lengths: Tensor,
        *,
        p_mask: Tensor,
        start_n_top: int = 5,
        end_n_top: int = 5,
    ) -> BeamSearchOutput:
        """Return the best starts and ends of packed inputs; positions count from each [CLS].

        Args:
            input_ids: (N,).
            token_type_ids: (N,).
            lengths: (B,), summing to N.
            p_mask: (N,); 1 where no answer may start or end.
            start_n_top: Number of starts to keep.
            end_n_top: Number of ends to keep per start.
        """
        packing = Packing.of_lengths(lengths, input_ids.device)
        x = self.albert.encode(input_ids, token_type_ids, packing)
        return self._candidates(x, AnswerRows.of_packing(packing), p_mask.bool(), (start_n_top, end_n_top))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        *,
        is_impossible: Tensor | None = None,
        p_mask: Tensor | None = None,
        start_n_top: int = 5,
        end_n_top: int = 5,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BeamSearchOutput:
        """Find answers in a padded batch, or compute the loss where the positions are given.

        `start_positions` and `end_positions` are columns, (B,), that of [CLS] if there is no answer;
        `is_impossible` (B,) is 1 if there is no answer; `p_mask` (B, T) is 1 where no answer may start or end
        (without it all columns are allowed); `start_n_top` starts and `end_n_top` ends of each are kept. The
        other arguments are those of `AlbertModel`.

        Raises:
            DataError: A position is one of padding, where no answer can be.
        """
        inputs = PaddedInputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        call = Call.of(self.config, inputs, Wanted(output_hidden_states, output_attentions, return_dict))
        x, rows = self.albert.states(call), _rows_of(call.batch)
        forbidden = torch.zeros_like(call.batch.cells) if p_mask is None else call.labels(p_mask, "p_mask")
        forbidden = forbidden.bool()  # (N,)
        if start_positions is None or end_positions is None:
            return call.result(self._candidates(x, rows, forbidden, (start_n_top, end_n_top)))
        positions = _columns(call, start_positions, end_positions)
        found = self._logits(x, rows, forbidden, positions[0])
        loss = _span_loss((found.start_logits, found.end_logits), positions)
        if is_impossible is not None:
            loss = loss + answerability_loss_sum(found.cls_logits, is_impossible).total / len(is_impossible)
        return call.result(BeamSearchOutput(loss=loss, cls_logits=found.cls_logits))

    def _logits(self, x: Tensor, rows: AnswerRows, forbidden: Tensor, starts: Tensor) -> SpanLogits:
        """Return the logits for `x` (N, H), tokens forbidden by p_mask (N,), and known starts (B,)."""
        start = rows.spread(self.start_logits(x).masked_fill(forbidden, NEVER))
        states = x[rows.tokens_at(starts[:, None])]  # (B, 1, H)
        end = self.end_logits(x, states, rows.sequences()).squeeze(-1)
        return SpanLogits(
            start_logits=start,
            end_logits=rows.spread(end.masked_fill(forbidden, NEVER)),
            cls_logits=self.answer_class(x, start, rows),
        )

    def _candidates(
        self, x: Tensor, rows: AnswerRows, forbidden: Tensor, n_top: tuple[int, int]
    ) -> BeamSearchOutput:
        """Return the `n_top` best starts, and ends of each, for `x` (N, H)."""
        start = rows.spread(self.start_logits(x).masked_fill(forbidden, NEVER))
        start_log_probs, start_index = most_probable(F.log_softmax(start, -1), n_top[0])
        end = self.end_logits(x, x[rows.tokens_at(start_index)], rows.sequences())  # (N, start_n_top)
        end = rows.spread(end.masked_fill(forbidden[:, None], NEVER))  # (B, T, start_n_top)
        end = end.transpose(1, 2)  # (B, start_n_top, T)
        end_log_probs, end_index = most_probable(F.log_softmax(end, -1), n_top[1])
        return BeamSearchOutput(
            start_top_log_probs=start_log_probs,
            start_top_index=start_index,
            end_top_log_probs=end_log_probs.flatten(1),
            end_top_index=end_index.flatten(1),
            cls_logits=self.answer_class(x, start, rows),
        )


def _rows_of(batch: PaddedBatch) -> AnswerRows:
    """Return the rows of a padded batch, whose columns are the positions."""
    return AnswerRows(batch.cells, batch.packing.starts, batch.shape)


def _columns(call: Call, *positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions of starts and of ends, (B,) each, without those before the row.

    Raises:
        DataError: Their shape is another, or one of them is padding.
    """
    count, width = call.batch.shape
    mask = call.batch.mask()
    columns = []
    for name, given in zip(("start_positions", "end_positions"), positions, strict=True):
        check_shape(name, given, (count,), (count, 1))
        found = given.flatten().clamp(min=0)
        is_token = mask.gather(1, found.clamp(max=width - 1)[:, None]).squeeze(1) | (found >= width)
        if not bool(is_token.all()):
            row = int((~is_token).nonzero()[0])
            raise DataError(
                f"{name} of row {row} is column {int(found[row])}, which attention_mask marks as padding; an "
                "answer is a part of the text"
            )
        columns.append(found)
    return columns[0], columns[1]


def _span_loss(logits: tuple[Tensor, Tensor], positions: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean of the mean cross-entropies of starts and of ends; see `span_loss_sum`."""
    start, end = (
        mean_cross_entropy(edge, labels_of_positions(columns, edge.shape[1]))
        for edge, columns in zip(logits, positions, strict=True)
    )
    return (start + end) / 2
