"""From a model's scores of windows to answers: the best spans of each question, and the odds of no answer.

A model proposes starts and ends in every window. Pairs that are not a span of the passage are dropped, all
windows of a question compete, and the text is cut from the passage as written.

Letters: B windows, T columns, I starts and J ends proposed for each start, S spans.
Source: `accumulate_predictions_v1`, `write_predictions_v1`, and those of v2 (squad_utils.py) of the original.
The null odds of a linear head are those of transformers' `compute_predictions_logits`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert.tasks.spans.files import Question
from albert.tasks.spans.windows import SpanFeatures

N_BEST_SIZE = 20
MAX_ANSWER_LENGTH = 30
"""Largest number of tokens in an answer."""
NO_SPAN_SCORE = -1e6
"""Score of start and end if there is no span at all."""
WINDOWS_AT_ONCE = 1024

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanCandidates:
    """Starts and ends that a model proposes in each window, as positions from its [CLS]."""

    starts: IntArray
    """The best starts, (B, I)."""
    start_scores: FloatArray
    """Their logits or log-probabilities, (B, I)."""
    ends: IntArray
    """The best ends for each start, (B, I, J); (B, 1, J) if they do not depend on the start."""
    end_scores: FloatArray
    """Their logits or log-probabilities, of the same shape."""
    null_scores: FloatArray
    """Evidence for no answer, (B,)."""
    null_is_relative: bool
    """Whether `null_scores` are sums of a start's and an end's score, to compare with the best span's; if
    not, they are odds already."""

    def take(self, rows: slice | IntArray) -> "SpanCandidates":
        """Return the candidates of some windows, in that order."""
        return SpanCandidates(
            starts=self.starts[rows],
            start_scores=self.start_scores[rows],
            ends=self.ends[rows],
            end_scores=self.end_scores[rows],
            null_scores=self.null_scores[rows],
            null_is_relative=self.null_is_relative,
        )

    @staticmethod
    def join(parts: Sequence["SpanCandidates"]) -> "SpanCandidates":
        """Return the candidates of several groups of windows, end to end."""
        return SpanCandidates(
            starts=np.concatenate([part.starts for part in parts]),
            start_scores=np.concatenate([part.start_scores for part in parts]),
            ends=np.concatenate([part.ends for part in parts]),
            end_scores=np.concatenate([part.end_scores for part in parts]),
            null_scores=np.concatenate([part.null_scores for part in parts]),
            null_is_relative=parts[0].null_is_relative,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A text of the passage that may be the answer."""

    text: str
    """Characters `start` to `end` of the passage."""
    start: int
    """Index of its first character."""
    end: int
    """Index after its last character."""
    probability: float
    """Probability among the spans that were kept."""
    start_score: float
    """Logit or log-probability of the start."""
    end_score: float
    """Logit or log-probability of the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanAnswer:
    """A model's answer to one question."""

    spans: tuple[Span, ...]
    """The best spans of distinct texts, best first; empty if nothing in the passage can be an answer."""
    null_odds: float
    """Evidence for no answer, the higher the stronger; comparable only between answers of one model."""

    def best(self, null_threshold: float | None) -> Span | None:
        """Return the best span; None if there is none or the null odds exceed the threshold."""
        if not self.spans or (null_threshold is not None and self.null_odds > null_threshold):
            return None
        return self.spans[0]

    def text(self, null_threshold: float | None) -> str:
        """Return the text of `best`, "" if it is None."""
        span = self.best(null_threshold)
        return "" if span is None else span.text


def candidates_of_logits(
    start_logits: FloatArray, end_logits: FloatArray, *, n_best_size: int = N_BEST_SIZE
) -> SpanCandidates:
    """Return the best starts and ends by the logits (B, T) of a linear head, with ties to the first.

    No answer is a span that starts and ends at [CLS]. If T is less than `n_best_size`, positions beyond the
    window fill the rest.
    """
    from albert.model.spans import NEVER

    missing = max(0, n_best_size - start_logits.shape[1])
    if missing:
        start_logits, end_logits = (
            np.pad(logits, ((0, 0), (0, missing)), constant_values=NEVER)
            for logits in (start_logits, end_logits)
        )
    # (B, T) -> (B, n_best_size)
    starts, ends = (_best_columns(logits, n_best_size) for logits in (start_logits, end_logits))
    return SpanCandidates(
        starts=starts,
        start_scores=np.take_along_axis(start_logits, starts, axis=1),
        ends=ends[:, None],
        end_scores=np.take_along_axis(end_logits, ends, axis=1)[:, None],
        null_scores=start_logits[:, 0] + end_logits[:, 0],
        null_is_relative=True,
    )


def candidates_of_beams(
    starts: tuple[IntArray, FloatArray], ends: tuple[IntArray, FloatArray], cls_logits: FloatArray
) -> SpanCandidates:
    """Return the candidates of the head with beam search.

    Args:
        starts: Positions and log-probabilities of the best starts, (B, I).
        ends: Positions and log-probabilities of the best ends, (B, I * J), those of one start together.
        cls_logits: Logits of having no answer, (B,).
    """
    size, num_starts = starts[0].shape
    # Ends: (B, I * J) -> (B, I, J)
    return SpanCandidates(
        starts=starts[0].astype(np.int64),
        start_scores=starts[1],
        ends=ends[0].astype(np.int64).reshape(size, num_starts, -1),
        end_scores=ends[1].reshape(size, num_starts, -1),
        null_scores=cls_logits,
        null_is_relative=False,
    )


def decode_spans(
    questions: Sequence[Question],
    features: SpanFeatures,
    candidates: SpanCandidates,
    *,
    n_best_size: int = N_BEST_SIZE,
    max_answer_length: int = MAX_ANSWER_LENGTH,
) -> list[SpanAnswer]:
    """Return the answer to each of `questions`, in order.

    A span starts at a token for which its window shows the most context, ends in the same window, and has at
    most `max_answer_length` tokens. Of spans with the same text the best is kept; empty texts are dropped.

    Args:
        questions: The questions.
        features: Their windows.
        candidates: The starts and ends that the model proposes in each window.
        n_best_size: Number of spans to keep for each question.
        max_answer_length: Largest number of tokens in an answer.
    """
    found = _valid_spans(features, candidates, max_answer_length=max_answer_length)
    owners = features.questions[found.windows]
    # A stable sort: for equal scores, the earlier window, start and end come first, as in the original.
    order = np.lexsort((-found.scores, owners))
    bounds = np.searchsorted(owners[order], np.arange(len(questions) + 1))
    nulls = np.full(len(questions), np.inf)
    np.minimum.at(nulls, features.questions, candidates.null_scores.astype(np.float64))
    answers = []
    for number, question in enumerate(questions):
        rows = order[bounds[number] : bounds[number + 1]]
        spans = _best_texts(question.context, found, rows, n_best_size)
        odds = float(nulls[number])
        if candidates.null_is_relative:
            odds -= spans[0].start_score + spans[0].end_score if spans else 2 * NO_SPAN_SCORE
        answers.append(SpanAnswer(spans=spans, null_odds=odds))
    return answers


@dataclass(frozen=True, slots=True, kw_only=True)
class _ValidSpans:
    """Spans of passages, (S,) each, ordered by window, start and end."""

    windows: IntArray
    character_starts: IntArray
    character_ends: IntArray
    start_scores: NDArray[np.float64]
    end_scores: NDArray[np.float64]

    @property
    def scores(self) -> NDArray[np.float64]:
        return self.start_scores + self.end_scores


def _valid_spans(
    features: SpanFeatures, candidates: SpanCandidates, *, max_answer_length: int
) -> _ValidSpans:
    """Return all proposed spans that may be answers, some windows at a time to bound the memory for pairs."""
    firsts = features.lengths.cumsum() - features.lengths
    parts = []
    for begin in range(0, max(1, len(features)), WINDOWS_AT_ONCE):
        rows = slice(begin, begin + WINDOWS_AT_ONCE)
        part = candidates.take(rows)
        # (B, I, 1) and (B, I or 1, J) -> (B, I, J)
        starts, ends = np.broadcast_arrays(part.starts[:, :, None], part.ends)
        last = (features.lengths[rows] - 2)[:, None]
        in_context = (part.starts >= features.context_starts[rows][:, None]) & (part.starts <= last)
        tokens = firsts[rows][:, None] + np.where(in_context, part.starts, 0)
        may_start = in_context & features.is_max_context[tokens]
        valid = may_start[:, :, None] & (ends >= starts) & (ends <= last[:, :, None])
        valid &= ends - starts < max_answer_length
        windows, start_numbers, end_numbers = np.nonzero(valid)  # (B, I, J) -> (S,) each
        end_scores = np.broadcast_to(part.end_scores, ends.shape)
        first_tokens = firsts[rows][windows]
        parts.append(
            (
                begin + windows,
                features.character_starts[first_tokens + starts[valid]],
                features.character_ends[first_tokens + ends[valid]],
                part.start_scores[windows, start_numbers],
                end_scores[windows, start_numbers, end_numbers],
            )
        )
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return _ValidSpans(
        windows=columns[0],
        character_starts=columns[1].astype(np.int64),
        character_ends=columns[2].astype(np.int64),
        start_scores=columns[3].astype(np.float64),
        end_scores=columns[4].astype(np.float64),
    )


def _best_texts(context: str, found: _ValidSpans, rows: IntArray, n_best_size: int) -> tuple[Span, ...]:
    """Return the first `n_best_size` spans with distinct texts among those at `rows`, best first."""
    kept: dict[str, tuple[int, int, int]] = {}
    for row in rows.tolist():
        start, end = int(found.character_starts[row]), int(found.character_ends[row])
        text = context[start:end]
        start += len(text) - len(text.lstrip())
        text = text.strip()
        if text and text not in kept:
            kept[text] = (row, start, start + len(text))
            if len(kept) == n_best_size:
                break
    chosen = [row for row, _, _ in kept.values()]
    start_scores, end_scores = found.start_scores[chosen].tolist(), found.end_scores[chosen].tolist()
    return tuple(
        Span(
            text=text,
            start=start,
            end=end,
            probability=probability,
            start_score=start_score,
            end_score=end_score,
        )
        for (text, (_, start, end)), probability, start_score, end_score in zip(
            kept.items(), _softmax(found.scores[chosen]), start_scores, end_scores, strict=True
        )
    )


def _softmax(scores: NDArray[np.float64]) -> list[float]:
    exponentials = np.exp(scores - scores.max(initial=-np.inf))
    shares: list[float] = (exponentials / exponentials.sum()).tolist()
    return shares


def _best_columns(logits: FloatArray, count: int) -> IntArray:
    """Return the columns of the `count` highest logits of each row (B, T), descending, ties to the first."""
    return np.argsort(-logits, axis=1, kind="stable")[:, :count]


def predicted_texts(
    questions: Sequence[Question], answers: Sequence[SpanAnswer], *, null_threshold: float | None = None
) -> dict[str, str]:
    """Return the predicted text of each question by its id, "" for no answer: `predictions.json`."""
    return {q.id: answer.text(null_threshold) for q, answer in zip(questions, answers, strict=True)}


def null_odds_by_id(questions: Sequence[Question], answers: Sequence[SpanAnswer]) -> dict[str, float]:
    """Return the null odds of each question by its id: `null_odds.json`."""
    return {q.id: answer.null_odds for q, answer in zip(questions, answers, strict=True)}


def best_spans_by_id(
    questions: Sequence[Question], answers: Sequence[SpanAnswer]
) -> dict[str, list[dict[str, Any]]]:
    """Return the best spans of each question by its id: `nbest_predictions.json`.

    Names are the original's. If a question has no span, its list has one entry with the text "".
    """
    nothing = Span(
        text="", start=0, end=0, probability=1.0, start_score=NO_SPAN_SCORE, end_score=NO_SPAN_SCORE
    )
    return {
        question.id: [
            {
                "text": span.text,
                "probability": span.probability,
                "start_log_prob": span.start_score,
                "end_log_prob": span.end_score,
            }
            for span in answer.spans or (nothing,)
        ]
        for question, answer in zip(questions, answers, strict=True)
    }


def write_prediction_files(
    folder: Path,
    questions: Sequence[Question],
    answers: Sequence[SpanAnswer],
    *,
    null_threshold: float | None = None,
) -> None:
    """Write `predictions.json`, `nbest_predictions.json` and, with a threshold, `null_odds.json`.

    These are the files that SQuAD's official scripts read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[str, Any]] = {
        "predictions.json": dict(predicted_texts(questions, answers, null_threshold=null_threshold)),
        "nbest_predictions.json": dict(best_spans_by_id(questions, answers)),
    }
    if null_threshold is not None:
        files["null_odds.json"] = dict(null_odds_by_id(questions, answers))
    for name, content in files.items():
        text = json.dumps(content, ensure_ascii=False, indent=4)
        (folder / name).write_text(f"{text}\n", encoding="utf-8")
