"""Windows and answers of SQuAD compared with the original's features and its answers for fixed logits."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.tasks.bad_rows import strict
from albert.tasks.catalogue import find_task
from albert.tasks.spans.decoding import (
    SpanAnswer,
    SpanCandidates,
    best_spans_by_id,
    candidates_of_beams,
    candidates_of_logits,
    decode_spans,
    null_odds_by_id,
    predicted_texts,
)
from albert.tasks.spans.files import Question, read_questions
from albert.tasks.spans.windows import SpanFeatures, make_span_features
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer

MISMATCH = "q032"
"""A passage with runs of spaces, which the original fails to align and skips."""
TASK = find_task("classification")  # SQuAD's layout does not depend on the task.


def config_of(folder: Path, name: str) -> dict[str, int]:
    return json.loads((folder / "configs.json").read_text())[name]


@cache
def tokenizer_of(golden: Path, *, lower_case: bool) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(golden / "tokenization", do_lower_case=lower_case)


def read_split(folder: Path, name: str) -> list[Question]:
    return list(strict(read_questions(TASK, [folder / f"{name}.json"], labelled=name.endswith("train"))))


def windows_of(folder: Path, golden: Path, questions: list[Question], *, config: str) -> SpanFeatures:
    """Return our windows of the questions that the original does not skip."""
    numbers = config_of(folder, config)
    features = make_span_features(
        questions,
        tokenizer_of(golden, lower_case=bool(numbers["lower"])),
        lengths=Lengths(
            max_seq_length=numbers["msl"], max_query_length=numbers["mql"], doc_stride=numbers["stride"]
        ),
    )
    passed_over = [index for index, question in enumerate(questions) if question.id == MISMATCH]
    return features.take(np.flatnonzero(~np.isin(features.questions, passed_over)))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def read_json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    text = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}.json.gz").read_bytes())
    return json.loads(text)


def read_candidates(folder: Path, version: str, config: str, *, n_best_size: int) -> SpanCandidates:
    """Return the candidates of the fixed logits."""
    if version == "v1":
        found = np.load(folder / f"decode_v1_{config}_logits.npz")
        return candidates_of_logits(found["start_logits"], found["end_logits"], n_best_size=n_best_size)
    found = np.load(folder / f"decode_v2_{config}_raw.npz")
    starts, ends = ((found[f"{edge}_top_index"], found[f"{edge}_top_log_probs"]) for edge in ("start", "end"))
    return candidates_of_beams(starts, ends, found["cls_logits"])


def check_windows(folder: Path, golden: Path, split: str, *, config: str) -> None:
    questions = read_split(folder, split)
    features = windows_of(folder, golden, questions, config=config)
    rows = read_rows(folder / f"features_{split}_{config}.jsonl.gz")
    assert len(features) == len(rows)
    for number, row in enumerate(rows):
        window, size = features.take(np.array([number])), row["paragraph_len"]
        assert window.input_ids.tolist() == row["input_ids"][:size]
        assert window.token_type_ids.tolist() == row["segment_ids"][:size]
        assert window.p_mask.tolist() == row["p_mask"][:size]
        best = [int(position) for position, is_best in row["token_is_max_context"].items() if is_best]
        assert np.flatnonzero(window.is_max_context).tolist() == best
        if split.endswith("train"):
            assert window.start_positions.tolist() == [row["start_position"]]
            assert window.end_positions.tolist() == [row["end_position"]]
            assert window.is_impossible.tolist() == [row["is_impossible"]]
        else:
            assert window.start_positions.tolist() == [-1]
        check_characters(questions[window.questions[0]].context, window, row)


def check_characters(context: str, window: SpanFeatures, row: dict[str, Any]) -> None:
    """Check that tokens map to the same characters, but for the space before, which the original includes."""
    first = int(window.context_starts[0])
    ranges = zip(window.character_starts[first:-1], window.character_ends[first:-1], strict=True)
    theirs = zip(row["tok_start_to_orig_index"], row["tok_end_to_orig_index"], strict=True)
    for (start, end), (their_start, their_last) in zip(ranges, theirs, strict=True):
        text, their_text = context[start:end], context[their_start : their_last + 1]
        if text == "e\u0301":
            assert their_text == "e"
        elif not text:
            assert not their_text.strip() or (start == 0 and their_text == context[0])
        else:
            assert text == their_text.strip()
            assert context[min(start, their_start) : start].strip() == ""


def check_answers(folder: Path, golden: Path, version: str, *, config: str, sizes: tuple[int, int]) -> None:
    """Compare the answers to the questions for whose windows there are logits."""
    n_best_size, max_answer_length = sizes
    questions = read_split(folder, f"{version}_dev")
    features = windows_of(folder, golden, questions, config=config)
    candidates = read_candidates(folder, version, config, n_best_size=n_best_size)
    given = len(candidates.starts)
    features, beyond = features.take(np.arange(given)), set(features.questions[given:].tolist())
    answers = decode_spans(
        questions, features, candidates, n_best_size=n_best_size, max_answer_length=max_answer_length
    )
    compared = [index for index, q in enumerate(questions) if index not in beyond and q.id != MISMATCH]
    asked, found = [questions[index] for index in compared], [answers[index] for index in compared]
    name = f"decode_{version}_{config}_nbest{n_best_size}_len{max_answer_length}"
    check_best_spans(asked, found, read_json(folder, f"{name}_nbest"), n_best_size=n_best_size)
    if version == "v1":
        expected = read_json(folder, f"{name}_predictions")
        texts = predicted_texts(asked, found)
        assert texts == {id_: expected[id_].replace("empty", "") for id_ in texts}
    else:
        check_null_odds(asked, found, folder, name)


def check_best_spans(
    asked: list[Question], found: list[SpanAnswer], expected: dict[str, Any], *, n_best_size: int
) -> None:
    for id_, ours in best_spans_by_id(asked, found).items():
        theirs = [span for span in expected[id_] if span["text"] not in {"", "empty"}]
        if not theirs:
            assert [span["text"] for span in ours] == [""]
            continue
        # Where the original has a span of a single space among the best, ours has the next one.
        assert len(ours) in {len(theirs), n_best_size}
        for span, their_span in zip(ours, theirs, strict=False):
            assert with_accent(their_span["text"], span["text"])
            assert span["start_log_prob"] == their_span["start_log_prob"]
            assert span["end_log_prob"] == their_span["end_log_prob"]
            if len(theirs) == len(expected[id_]):
                assert span["probability"] == pytest.approx(their_span["probability"], rel=1e-12)


def with_accent(theirs: str, ours: str) -> bool:
    """Whether texts are equal apart from an accent after the last letter, which the original loses."""
    return ours in {theirs, f"{theirs}\u0301"}


def check_null_odds(asked: list[Question], found: list[SpanAnswer], folder: Path, name: str) -> None:
    odds = null_odds_by_id(asked, found)
    expected = read_json(folder, f"{name}_null_odds")
    assert odds == {id_: expected[id_] for id_ in odds}
    report = read_json(folder, f"{name}_eval")
    for id_, text in predicted_texts(asked, found).items():
        assert with_accent(report["first_pass_predictions"][id_], text)
    threshold = report["final"]["null_score_diff_threshold"]
    kept = read_json(folder, f"{name}_predictions")
    for id_, text in predicted_texts(asked, found, null_threshold=threshold).items():
        # Odds equal to the threshold count as an answer in the official script, but not in the original.
        assert with_accent(kept[id_], text) or (odds[id_] == threshold and not kept[id_])


def test_windows_equal_the_original(golden: Path) -> None:
    check_windows(golden / "squad", golden, "v2_train", config="a")


@pytest.mark.parametrize("sizes", [(20, 30), (5, 8)])
def test_answers_of_the_linear_head_equal_the_original(golden: Path, sizes: tuple[int, int]) -> None:
    check_answers(golden / "squad", golden, "v1", config="b", sizes=sizes)


@pytest.mark.parametrize("sizes", [(20, 30), (3, 6)])
def test_answers_and_null_odds_of_beam_search_equal_the_original(
    golden: Path, sizes: tuple[int, int]
) -> None:
    check_answers(golden / "squad", golden, "v2", config="b", sizes=sizes)


def test_a_passage_that_the_original_fails_to_align_is_answered(golden: Path) -> None:
    [question] = [q for q in read_split(golden / "squad", "v1_dev") if q.id == MISMATCH]
    features = make_span_features(
        [question], tokenizer_of(golden, lower_case=True), lengths=Lengths(max_seq_length=128)
    )
    text = question.context
    shown = {text[s:e] for s, e in zip(features.character_starts, features.character_ends, strict=True)}
    assert set(text.split()) <= shown


@pytest.mark.reference
@pytest.mark.parametrize("config", ["a", "b", "c"])
@pytest.mark.parametrize("split", ["v1_train", "v1_dev", "v2_train", "v2_dev"])
def test_all_windows_equal_the_original(reference: Path, golden: Path, split: str, config: str) -> None:
    check_windows(reference / "squad", golden, split, config=config)


@pytest.mark.reference
@pytest.mark.parametrize("config", ["a", "b"])
@pytest.mark.parametrize(
    ("version", "sizes"), [("v1", (20, 30)), ("v1", (5, 8)), ("v2", (20, 30)), ("v2", (3, 6))]
)
def test_all_answers_equal_the_original(
    reference: Path, golden: Path, version: str, config: str, sizes: tuple[int, int]
) -> None:
    check_answers(reference / "squad", golden, version, config=config, sizes=sizes)
