"""Question answering: answers as spans of a passage.

Uses the windows, models and decoding of the tasks of kind spans. Names and fields are those of the pipeline
in transformers 4; transformers 5 has none.

The score of a span is its probability within its window: the start's times the end's, where "no answer" is
one of the outcomes. With the head of SQuAD 2.0 the end's probability is conditional on the start, and both
are multiplied by the probability that there is an answer.
Letters: B windows, N tokens, T columns.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from albert.errors import ConfigError, DataError
from albert.inference.inputs import BATCH_SIZE, field_of, map_inputs
from albert.inference.opening import sequence_length
from albert.inference.pipeline_base import Pipeline
from albert.inference.precision import ensure_agreement
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.packing import Packing, on_device
from albert.model.spans import NEVER, AnswerRows
from albert.tasks.bad_rows import OnBadRow
from albert.tasks.solver import groups_of_similar_length
from albert.tasks.spans.decoding import (
    N_BEST_SIZE,
    NO_SPAN_SCORE,
    SpanAnswer,
    SpanCandidates,
    candidates_of_beams,
    candidates_of_logits,
    decode_spans,
)
from albert.tasks.spans.files import Question
from albert.tasks.spans.windows import SpanFeatures, make_span_features
from albert.tasks.task import Lengths

MAX_SEQ_LENGTH = 384
MAX_QUESTION_LENGTH = 64
DOC_STRIDE = 128
MAX_ANSWER_LENGTH = 15
_FIELDS = ("question", "context")

AnswerModel = AlbertForQuestionAnswering | AlbertForQuestionAnsweringBeamSearch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """The arguments of one call."""

    lengths: Lengths
    top_k: int
    max_answer_len: int
    handle_impossible_answer: bool


class QuestionAnsweringPipeline(Pipeline):
    """The pipeline that answers questions with a span of a passage.

    Args:
        model: A model with the linear head of SQuAD 1.1, or with that of SQuAD 2.0, which also predicts
            whether there is an answer.
        tokenizer: The model's.
        options: Options of the calls.
    """

    task = "question-answering"

    def predict(
        self,
        inputs: Any = None,
        *,
        question: str | list[str] | None = None,
        context: str | list[str] | None = None,
        top_k: int = 1,
        handle_impossible_answer: bool = False,
        doc_stride: int | None = None,
        max_answer_len: int = MAX_ANSWER_LENGTH,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        batch_size: int = BATCH_SIZE,
        on_bad_row: OnBadRow = "error",
    ) -> Any:
        """Return the best answer to each question, or the `top_k` best as a list.

        An answer has `answer`, the text; `start` and `end`, its characters in the context; and `score`. "No
        answer" is the text "" from 0 to 0.

        Args:
            inputs: A dict with `question` and `context`, a list of them, or a stream; see `map_inputs`.
            question: One question or a list, instead of `inputs`.
            context: The passage, or one for each question; a single one is used for all questions.
            top_k: Number of answers with different texts to return; with 1 there is no list around it.
            handle_impossible_answer: Whether "no answer" is among the answers.
            doc_stride: Tokens from the start of one window of a long context to the start of the next.
            max_answer_len: Most tokens of an answer.
            max_seq_len: Tokens of question and window together.
            max_question_len: Tokens to keep of a question; its first ones are kept.
            batch_size: Questions that are predicted together.
            on_bad_row: What to do with inputs that cannot be used: an error names them, skip returns None.

        Raises:
            DataError: A question or a context is missing, empty or not a text.
            ConfigError: The lengths leave no room for text, or a number is less than 1.
        """
        if min(top_k, max_answer_len) < 1:
            raise ConfigError(
                f"top_k is {top_k} and max_answer_len {max_answer_len}; expected 1 or more of each"
            )
        options = _Options(
            lengths=self._lengths(max_seq_len, max_question_len, doc_stride),
            top_k=top_k,
            max_answer_len=max_answer_len,
            handle_impossible_answer=handle_impossible_answer,
        )
        if inputs is None:
            inputs = _pairs_of(question, context)
        elif question is not None or context is not None:
            raise DataError("expected either inputs, or question= and context=; found both")
        return map_inputs(
            inputs, lambda batch: self._predict(batch, options), batch_size=batch_size, on_bad_row=on_bad_row
        )

    def _lengths(self, max_seq_len: int | None, max_question_len: int | None, stride: int | None) -> Lengths:
        """Return the lengths of questions and windows; the defaults shrink with the model."""
        max_seq_len = sequence_length(
            max_seq_len,
            self.model.config,
            default=min(MAX_SEQ_LENGTH, self.tokenizer.model_max_length),
            setting="max_seq_len",
        )
        return Lengths(
            max_seq_length=max_seq_len,
            max_query_length=max_question_len or min(MAX_QUESTION_LENGTH, max_seq_len // 2),
            doc_stride=min(DOC_STRIDE, max_seq_len // 2) if stride is None else stride,
        )

    @torch.inference_mode()
    def _predict(self, given: list[Any], options: _Options) -> list[Any]:
        questions = [_question_of(one, str(number)) for number, one in enumerate(given)]
        features = make_span_features(questions, self.tokenizer, lengths=options.lengths)
        ensure_agreement(self.model, features)
        count = max(N_BEST_SIZE, options.top_k)
        groups = list(groups_of_similar_length(features.lengths))
        parts = [_candidates(self.model, features.take(indices), count) for indices in groups]
        candidates = SpanCandidates.join(parts)
        answers = decode_spans(
            questions,
            features,
            candidates.take(np.argsort(np.concatenate(groups))),
            n_best_size=count,
            max_answer_length=options.max_answer_len,
        )
        ranked = [_ranked(answer, options, relative=candidates.null_is_relative) for answer in answers]
        return [rows[0] for rows in ranked] if options.top_k == 1 else ranked


def _pairs_of(question: str | list[str] | None, context: str | list[str] | None) -> Any:
    """Return question and context as inputs."""
    if question is None or context is None:
        raise DataError("expected question= and context=, or a dict with both")
    if isinstance(question, str):
        return {"question": question, "context": context}
    contexts = [context] * len(question) if isinstance(context, str) else context
    if len(contexts) != len(question):
        raise DataError(f"expected a context for each of {len(question)} questions, found {len(contexts)}")
    return [{"question": q, "context": c} for q, c in zip(question, contexts, strict=True)]


def _question_of(given: Any, id_: str) -> Question:
    if not isinstance(given, Mapping):
        raise DataError(f"expected a dict with 'question' and 'context', found {type(given).__name__}")
    texts = {name: field_of(given, name, known=_FIELDS) for name in _FIELDS}
    for name, text in texts.items():
        if not text.strip():
            raise DataError(f"the {name} is empty; fill it in, or drop the question")
    return Question(id=id_, **texts, answers=None, where=f"question {id_}")


def _candidates(model: AnswerModel, batch: SpanFeatures, count: int) -> SpanCandidates:
    """Return the `count` best starts and ends in the windows of `batch` with their log-probabilities."""
    ids, types, lengths = model.packed_inputs(batch)
    p_mask = on_device(batch.p_mask, model.device)
    if isinstance(model, AlbertForQuestionAnswering):
        # Added to a logit, NEVER drowns it: the probability becomes 0.
        rows = AnswerRows.of_packing(Packing.of_lengths(lengths, model.device))
        forbidden = rows.spread(p_mask.float() * NEVER)  # (N,) -> (B, T)
        start, end = (
            _log_probabilities(logits + forbidden, count)
            for logits in model.packed_logits(ids, types, lengths)
        )
        return candidates_of_logits(start, end, n_best_size=count)
    found = model.packed_candidates(ids, types, lengths, p_mask=p_mask)
    tops = (found.start_top_index, found.start_top_log_probs, found.end_top_index, found.end_top_log_probs)
    starts, start_scores, ends, end_scores = (tensor.cpu().numpy() for tensor in tops if tensor is not None)
    return candidates_of_beams((starts, start_scores), (ends, end_scores), found.cls_logits.cpu().numpy())


def _log_probabilities(logits: Tensor, width: int) -> NDArray[np.float32]:
    """Return log-probabilities (B, T), filled up with impossible columns to at least `width`."""
    missing = max(0, width - logits.shape[1])
    log_probs: NDArray[np.float32] = F.pad(logits.log_softmax(-1), (0, missing), value=NEVER).cpu().numpy()
    return log_probs


def _ranked(answer: SpanAnswer, options: _Options, *, relative: bool) -> list[dict[str, Any]]:
    """Return the best answers with their scores, best first; `relative` is that of `SpanCandidates`."""
    sums = [span.start_score + span.end_score for span in answer.spans]
    if relative:
        null = math.exp(answer.null_odds + (sums[0] if sums else 2 * NO_SPAN_SCORE))
        weight = 1.0
    else:
        null = float(expit(answer.null_odds))
        weight = 1.0 - null
    found: list[dict[str, Any]] = [
        {"score": weight * math.exp(total), "start": span.start, "end": span.end, "answer": span.text}
        for span, total in zip(answer.spans, sums, strict=True)
    ]
    if options.handle_impossible_answer or not found:
        found.append({"score": null, "start": 0, "end": 0, "answer": ""})
    return sorted(found, key=lambda one: -one["score"])[: options.top_k]
