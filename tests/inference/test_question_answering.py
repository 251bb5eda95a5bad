"""Answers against a plain search of all spans with the models' `forward`."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from albert import (
    AlbertForQuestionAnswering,
    AlbertForQuestionAnsweringBeamSearch,
    AlbertTokenizer,
    pipeline,
)
from albert.errors import ConfigError, DataError

CONTEXT = "The value of a list is one type. It returns two"
QUESTION = "What is it?"


@pytest.fixture(scope="module")
def folder(make_folder: Any) -> Path:
    return make_folder(AlbertForQuestionAnswering)


@pytest.fixture(scope="module")
def beam_folder(make_folder: Any) -> Path:
    return make_folder(AlbertForQuestionAnsweringBeamSearch)


def spans_by_hand(folder: Path, *, max_answer_len: int) -> tuple[dict[str, float], float]:
    """Return the probability of every answer of one window, and of no answer, as in transformers 4."""
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    encoding = tokenizer(QUESTION, CONTEXT, return_tensors="pt")
    offsets = tokenizer(QUESTION, CONTEXT, return_offsets_mapping=True)["offset_mapping"]
    with torch.no_grad():
        output = AlbertForQuestionAnswering.from_pretrained(folder)(**encoding)
    allowed = encoding["token_type_ids"][0].bool()
    allowed[0], allowed[-1] = True, False
    start, end = (
        logits[0].masked_fill(~allowed, -1e9).softmax(-1).tolist()
        for logits in (output.start_logits, output.end_logits)
    )
    found: dict[str, float] = {}
    places = [place for place in allowed.nonzero().flatten().tolist() if place]
    for i in places:
        for j in places:
            if i <= j < i + max_answer_len:
                text = CONTEXT[offsets[i][0] : offsets[j][1]].strip()
                found[text] = max(found.get(text, 0.0), start[i] * end[j])
    return found, start[0] * end[0]


def test_answers_are_the_most_probable_spans(folder: Path) -> None:
    answer = pipeline("question-answering", model=folder)
    expected, null = spans_by_hand(folder, max_answer_len=4)
    best = sorted(expected.items(), key=lambda pair: -pair[1])[:5]
    rows = answer(question=QUESTION, context=CONTEXT, top_k=5, max_answer_len=4)
    assert [row["answer"] for row in rows] == [text for text, _ in best]
    assert [row["score"] for row in rows] == pytest.approx([score for _, score in best], abs=1e-6)
    for row in rows:
        assert set(row) == {"score", "start", "end", "answer"}
        assert CONTEXT[row["start"] : row["end"]] == row["answer"]
    every = answer(
        question=QUESTION, context=CONTEXT, top_k=500, max_answer_len=4, handle_impossible_answer=True
    )
    nothing = [row for row in every if row["answer"] == ""]
    assert nothing == [{"score": pytest.approx(null, abs=1e-6), "start": 0, "end": 0, "answer": ""}]
    assert {row["answer"] for row in every} == {*expected, ""}
    scores = [row["score"] for row in every]
    assert scores == sorted(scores, reverse=True)


def test_every_form_of_input_gives_the_same_answer(folder: Path) -> None:
    answer = pipeline("question-answering", model=folder)
    query = {"question": QUESTION, "context": CONTEXT}

    def stream() -> Iterator[dict[str, str]]:
        yield from [query] * 3

    one = answer(query)
    assert one == answer(question=QUESTION, context=CONTEXT)
    assert answer([query]) == [one]
    assert answer(question=[QUESTION], context=CONTEXT) == [one]
    assert answer(question=[QUESTION], context=[CONTEXT]) == [one]
    near = {**one, "score": pytest.approx(one["score"], abs=1e-6)}
    assert list(answer(stream(), batch_size=2)) == [near] * 3
    assert answer([query], top_k=2)[0][0] == one


def test_a_long_context_is_read_in_windows_and_answers_do_not_depend_on_the_batch(folder: Path) -> None:
    answer = pipeline("question-answering", model=folder)
    contexts = [CONTEXT, CONTEXT * 8, "One value", "It takes a module and returns an error. " * 5]
    alone = [answer(question=QUESTION, context=context) for context in contexts]
    together = answer([{"question": QUESTION, "context": context} for context in contexts])
    for mine, other, context in zip(together, alone, contexts, strict=True):
        assert mine == {**other, "score": pytest.approx(other["score"], abs=1e-6)}
        assert context[mine["start"] : mine["end"]] == mine["answer"] != ""


def test_an_answer_after_the_first_window_can_be_found(folder: Path) -> None:
    """The answer occurs only in the last window; it is among all spans of the context."""
    context = "the value of a list " * 10 + "returns seven"
    rows = pipeline("question-answering", model=folder)(question=QUESTION, context=context, top_k=2000)
    assert any(row["answer"].endswith("seven") and row["end"] == len(context) for row in rows)


def test_the_beam_search_head_answers_or_abstains(beam_folder: Path) -> None:
    answer = pipeline("question-answering", model=beam_folder)
    assert isinstance(answer.model, AlbertForQuestionAnsweringBeamSearch)
    tokenizer = AlbertTokenizer.from_pretrained(beam_folder)
    encoding = tokenizer(QUESTION, CONTEXT, return_tensors="pt")
    p_mask = 1 - encoding["token_type_ids"]
    p_mask[0, 0], p_mask[0, -1] = 0, 1
    with torch.no_grad():
        found = answer.model(**encoding, p_mask=p_mask)
    null = float(found.cls_logits.sigmoid())
    rows = answer(
        question=QUESTION, context=CONTEXT, top_k=30, handle_impossible_answer=True, max_answer_len=30
    )
    assert [row["score"] for row in rows if not row["answer"]] == [pytest.approx(null, abs=1e-6)]
    starts, ends = found.start_top_index[0].tolist(), found.end_top_index[0].view(5, 5).tolist()
    totals = found.start_top_log_probs[0][:, None] + found.end_top_log_probs[0].view(5, 5)
    first = int(encoding["token_type_ids"][0].nonzero()[0])
    valid = [
        float(totals[k, j])
        for k in range(5)
        for j in range(5)
        if first <= starts[k] <= ends[k][j] < len(p_mask[0]) - 1
    ]
    assert max(row["score"] for row in rows if row["answer"]) == pytest.approx(
        (1 - null) * math.exp(max(valid)), abs=1e-6
    )


def test_wrong_arguments_say_what_is_expected(folder: Path) -> None:
    answer = pipeline("question-answering", model=folder)
    with pytest.raises(DataError, match="expected question= and context="):
        answer(question=QUESTION)
    with pytest.raises(
        DataError, match="expected the fields 'question', 'context', found 'question', 'text'"
    ):
        answer({"question": QUESTION, "text": CONTEXT})
    with pytest.raises(DataError, match="the context is empty"):
        answer(question=QUESTION, context=" ")
    with pytest.raises(DataError, match="a context for each of 2 questions, found 1"):
        answer(question=[QUESTION] * 2, context=[CONTEXT])
    with pytest.raises(DataError, match="found both"):
        answer({"question": QUESTION, "context": CONTEXT}, question=QUESTION)
    with pytest.raises(ConfigError, match="max_seq_len is 33, but the model has 32 positions"):
        answer(question=QUESTION, context=CONTEXT, max_seq_len=33)
    with pytest.raises(ConfigError, match="top_k is 0"):
        answer(question=QUESTION, context=CONTEXT, top_k=0)
