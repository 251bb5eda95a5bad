"""Choices against the model's `forward`, one question at a time."""

from pathlib import Path
from typing import Any

import pytest
import torch

from albert import AlbertForMultipleChoice, AlbertTokenizer, pipeline
from albert.errors import ConfigError, DataError

PASSAGE = "The value of a list is one type."
EXAMPLE = {"passage": PASSAGE, "question": "What is it?", "choices": ["a type", "an error", "two"]}


@pytest.fixture(scope="module")
def folder(make_folder: Any) -> Path:
    return make_folder(AlbertForMultipleChoice)


def test_scores_are_the_probabilities_of_the_choices(folder: Path) -> None:
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    second = [f"What is it? {choice}" for choice in EXAMPLE["choices"]]
    encoding = tokenizer([PASSAGE] * 3, second, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = AlbertForMultipleChoice.from_pretrained(folder)(
            **{k: v[None] for k, v in encoding.items()}
        ).logits
    probabilities = logits[0].softmax(-1).tolist()
    rows = pipeline("multiple-choice", model=folder)(EXAMPLE, top_k=3)
    expected = sorted(zip("ABC", EXAMPLE["choices"], probabilities, strict=True), key=lambda row: -row[2])
    assert rows == [
        {"label": letter, "choice": choice, "score": pytest.approx(score, abs=1e-6)}
        for letter, choice, score in expected
    ]


def test_questions_may_have_different_numbers_of_choices(folder: Path) -> None:
    choose = pipeline("multiple-choice", model=folder)
    others = {"passage": "One returns two.", "choices": ["yes", "no", "one", "two", "five"]}
    best = choose([EXAMPLE, others, EXAMPLE])
    assert (
        best[0]
        == best[2]
        == {**choose(**EXAMPLE), "score": pytest.approx(choose(**EXAMPLE)["score"], abs=1e-6)}
    )
    assert sum(row["score"] for row in choose(others, top_k=5)) == pytest.approx(1)
    assert [row["label"] for row in best] == [
        choose(example)["label"] for example in (EXAMPLE, others, EXAMPLE)
    ]


def test_wrong_arguments_say_what_is_expected(folder: Path) -> None:
    choose = pipeline("multiple-choice", model=folder)
    with pytest.raises(DataError, match="expected a list of 2 to 26 texts"):
        choose(passage=PASSAGE, choices=["one"])
    with pytest.raises(DataError, match="expected a list of 2 to 26 texts"):
        choose(passage=PASSAGE, choices="one")
    with pytest.raises(DataError, match="the passage is ''"):
        choose(choices=["one", "two"])
    with pytest.raises(
        DataError, match="expected a dict with 'passage', 'question' and 'choices', found str"
    ):
        choose("text")
    with pytest.raises(DataError, match="found both"):
        choose(EXAMPLE, passage=PASSAGE)
    with pytest.raises(ConfigError, match="top_k is 0"):
        choose(EXAMPLE, top_k=0)
