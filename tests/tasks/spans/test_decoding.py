"""Answers from logits: compared with an exhaustive search, and the rules for no answer."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from albert.model.spans import NEVER
from albert.tasks.spans.decoding import (
    NO_SPAN_SCORE,
    Span,
    SpanAnswer,
    SpanCandidates,
    candidates_of_beams,
    candidates_of_logits,
    decode_spans,
    write_prediction_files,
)
from albert.tasks.spans.files import Question
from albert.tasks.spans.windows import SpanFeatures, make_span_features
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer

CONTEXTS = (
    "The compiler checks every borrow before the program runs. It rejects a program in which two mutable "
    "references to the same value exist at once.",
    "The program runs",
)


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(tokenizer_folder)


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return [
        Question(id=f"q{number}", context=CONTEXTS[number % 2], question="What?", answers=None, where="")
        for number in range(6)
    ]


@pytest.fixture(scope="module")
def features(questions: list[Question], tokenizer: AlbertTokenizer) -> SpanFeatures:
    lengths = Lengths(max_seq_length=24, max_query_length=8, doc_stride=7)
    return make_span_features(questions, tokenizer, lengths=lengths)


def logits_of(features: SpanFeatures, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    # A few distinct values, so that there are ties.
    start, end = draw.integers(-8, 9, (2, len(features), int(features.lengths.max()))).astype(np.float32) / 4
    padding = np.arange(start.shape[1]) >= features.lengths[:, None]
    return np.where(padding, np.float32(NEVER), start), np.where(padding, np.float32(NEVER), end)


def spans_one_by_one(
    features: SpanFeatures, question: int, context: str, logits: tuple[np.ndarray, np.ndarray]
) -> dict[str, float]:
    """Return the best score of every text of at most six tokens."""
    found: dict[str, float] = {}
    offsets = np.concatenate([[0], features.lengths.cumsum()])
    for window in np.flatnonzero(features.questions == question):
        first, last = features.context_starts[window], features.lengths[window] - 1
        for start in range(first, last):
            if not features.is_max_context[offsets[window] + start]:
                continue
            for end in range(start, min(last, start + 6)):
                begin = features.character_starts[offsets[window] + start]
                text = context[begin : features.character_ends[offsets[window] + end]].strip()
                score = float(logits[0][window, start]) + float(logits[1][window, end])
                if text:
                    found[text] = max(found.get(text, -math.inf), score)
    return found


def test_spans_equal_those_of_an_exhaustive_search(questions: list[Question], features: SpanFeatures) -> None:
    logits = logits_of(features)
    candidates = candidates_of_logits(*logits, n_best_size=1000)
    answers = decode_spans(questions, features, candidates, n_best_size=1000, max_answer_length=6)
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        expected = spans_one_by_one(features, number, question.context, logits)
        scores = {span.text: span.start_score + span.end_score for span in answer.spans}
        assert scores == expected
        assert list(scores.values()) == sorted(scores.values(), reverse=True)
        weights = {text: math.exp(score) for text, score in expected.items()}
        for span in answer.spans:
            assert span.text == question.context[span.start : span.end] == span.text.strip()
            assert span.probability == pytest.approx(weights[span.text] / sum(weights.values()))


def test_null_odds_of_a_linear_head_are_the_lowest_null_score_minus_the_best_span(
    questions: list[Question], features: SpanFeatures
) -> None:
    start, end = logits_of(features)
    answers = decode_spans(questions, features, candidates_of_logits(start, end))
    for number, answer in enumerate(answers):
        windows = features.questions == number
        null = float((start[windows, 0] + end[windows, 0]).min())
        assert answer.null_odds == null - (answer.spans[0].start_score + answer.spans[0].end_score)


def test_padding_does_not_change_answers(questions: list[Question], features: SpanFeatures) -> None:
    logits = logits_of(features)
    padded = [np.pad(edge, ((0, 0), (0, 9)), constant_values=-1e30) for edge in logits]
    assert decode_spans(questions, features, candidates_of_logits(*logits)) == decode_spans(
        questions, features, candidates_of_logits(padded[0], padded[1])
    )


def test_rows_shorter_than_the_number_of_candidates_are_filled() -> None:
    found = candidates_of_logits(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32), n_best_size=5)
    assert found.starts.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert found.start_scores[0].tolist() == [0.0, 0.0, 0.0, np.float32(-1e30), np.float32(-1e30)]
    assert found.ends.shape == (2, 1, 5)


def beams(features: SpanFeatures, starts: list[int], ends: list[int]) -> SpanCandidates:
    """Return the candidates of a head with two starts and two ends for each, in every window."""
    size = len(features)
    scores = -np.arange(4, dtype=np.float32)
    return candidates_of_beams(
        (np.tile(starts, (size, 1)), np.tile(scores[:2], (size, 1))),
        (np.tile(ends, (size, 1)), np.tile(scores, (size, 1))),
        np.arange(size, dtype=np.float32) - 0.5,
    )


def test_ends_of_a_beam_belong_to_their_start(questions: list[Question], features: SpanFeatures) -> None:
    rows = np.flatnonzero(features.questions == 1)
    short = features.take(rows)
    first = int(short.context_starts[0])
    # A start at [CLS] and an end before its start are invalid.
    found = beams(short, [first + 1, 0], [first, first + 1, first, first + 1])
    [_, answer, *_] = decode_spans(questions, short, found)
    assert [span.start_score + span.end_score for span in answer.spans] == [-1.0]


def test_the_lowest_null_odds_of_all_windows_count(questions: list[Question], features: SpanFeatures) -> None:
    answers = decode_spans(questions, features, beams(features, [0, 0], [0, 0, 0, 0]))
    firsts = np.searchsorted(features.questions, np.arange(len(questions)))
    assert [answer.null_odds for answer in answers] == (firsts - 0.5).tolist()
    assert all(not answer.spans and answer.text(None) == "" for answer in answers)


def test_a_span_of_a_single_space_is_not_an_answer(tokenizer: AlbertTokenizer) -> None:
    question = Question(id="q", context="Żółw", question="What?", answers=None, where="")
    features = make_span_features([question], tokenizer, lengths=Lengths(max_seq_length=80))
    lone = np.flatnonzero(features.is_max_context & (features.character_starts == features.character_ends))
    assert len(lone)
    start, end = np.zeros((2, 1, int(features.lengths[0])), np.float32)
    start[0, lone[0]] = end[0, lone[0]] = 9.0
    [answer] = decode_spans([question], features, candidates_of_logits(start, end))
    assert answer.spans
    assert all(span.text and span.text == span.text.strip() for span in answer.spans)


def span(text: str = "Rust") -> Span:
    return Span(text=text, start=0, end=len(text), probability=1.0, start_score=1.0, end_score=2.0)


def test_odds_above_the_threshold_mean_no_answer() -> None:
    answer = SpanAnswer(spans=(span(),), null_odds=0.5)
    assert [answer.text(threshold) for threshold in (None, 0.4, 0.5, 0.6)] == ["Rust", "", "Rust", "Rust"]


def test_prediction_files_have_the_form_of_the_official_scripts(
    tmp_path: Path, questions: list[Question]
) -> None:
    answers = [SpanAnswer(spans=(span("é"),), null_odds=0.5), SpanAnswer(spans=(), null_odds=2.0)]
    write_prediction_files(tmp_path, questions[:2], answers, null_threshold=1.0)
    read = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()}
    nothing = {"start_log_prob": NO_SPAN_SCORE, "end_log_prob": NO_SPAN_SCORE}
    assert read == {
        "predictions.json": {"q0": "é", "q1": ""},
        "null_odds.json": {"q0": 0.5, "q1": 2.0},
        "nbest_predictions.json": {
            "q0": [{"text": "é", "probability": 1.0, "start_log_prob": 1.0, "end_log_prob": 2.0}],
            "q1": [{"text": "", "probability": 1.0} | nothing],
        },
    }


def test_without_a_threshold_there_is_no_file_of_null_odds(tmp_path: Path, questions: list[Question]) -> None:
    write_prediction_files(tmp_path, questions[:1], [SpanAnswer(spans=(span(),), null_odds=9.0)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nbest_predictions.json", "predictions.json"]
    assert json.loads((tmp_path / "predictions.json").read_text()) == {"q0": "Rust"}
