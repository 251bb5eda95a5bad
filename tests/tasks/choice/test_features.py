"""Features of questions: equal to the original's for every record; laws of truncating and taking."""

import gzip
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.errors import ConfigError
from albert.tasks.bad_rows import strict
from albert.tasks.choice import features as choice_features
from albert.tasks.choice.features import ChoiceFeatures, make_choice_features, texts_of
from albert.tasks.choice.files import ChoiceExample, read_choices
from albert.tasks.choice.records import CHOICE_TASKS
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer

FIELDS = ("input_ids", "token_type_ids", "lengths", "num_choices", "labels")


@pytest.fixture(scope="module")
def tokenizers(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, AlbertTokenizer]:
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "spiece.model").write_bytes((golden / "tokenization" / "30k-clean.model").read_bytes())
    return {lower: AlbertTokenizer.from_pretrained(folder, do_lower_case=lower) for lower in (True, False)}


def make_examples() -> list[ChoiceExample]:
    return [
        ChoiceExample(
            passage="some words of a passage " * (number % 3),
            question="which word?" if number % 2 else "",
            choices=tuple(f"choice {place} " * number for place in range(2 + number % 3)),
            label=1 if number else None,
        )
        for number in range(7)
    ]


def real(record: dict[str, Any], name: str) -> list[int]:
    """Return a field of the four sequences of a record, end to end, without padding."""
    rows = zip(record[name], record["length"], strict=True)
    return [value for row, length in rows for value in row[:length]]


def test_features_of_race_equal_the_originals(golden: Path, tokenizers: dict[bool, AlbertTokenizer]) -> None:
    def key(record: dict[str, Any]) -> tuple[bool, bool, bool, int, int]:
        levels = record["high_only"], record["middle_only"]
        return record["do_lower_case"], *levels, record["max_seq_length"], record["max_qa_length"]

    with gzip.open(golden / "race" / "features.jsonl.gz", "rt", encoding="utf-8") as file:
        all_records = list(map(json.loads, file))
    compared = 0
    for (lower, high_only, middle_only, max_seq_length, max_qa_length), group in groupby(all_records, key):
        levels = ["middle"] * (not high_only) + ["high"] * (not middle_only)
        folder = golden / "race" / "data" / "RACE" / "dev"
        examples = [
            e for level in levels for e in strict(read_choices(CHOICE_TASKS[0], folder / level / "all.txt"))
        ]
        lengths = Lengths(max_seq_length=max_seq_length, max_qa_length=max_qa_length)
        features = make_choice_features(examples, tokenizers[lower], lengths=lengths)
        records = list(group)
        assert features.labels.tolist() == [record["label"] for record in records]
        for index, record in enumerate(records):
            found = features.take(np.array([index]))
            assert found.lengths.tolist() == record["length"]
            assert found.input_ids.tolist() == real(record, "input_ids")
            assert found.token_type_ids.tolist() == real(record, "segment_ids")
        compared += len(records)
    assert compared == 54


def test_sequences_hold_the_head_of_the_passage_and_the_tail_of_the_question(
    tokenizers: dict[bool, AlbertTokenizer],
) -> None:
    tokenizer, lengths = tokenizers[True], Lengths(max_seq_length=13, max_qa_length=4)
    examples = make_examples()
    features = make_choice_features(examples, tokenizer, lengths=lengths)
    expected: list[int] = []
    for example in examples:
        for texts in texts_of(example):
            first, second = tokenizer.encode_sentences(list(texts))
            second = second[-4:]
            first = first[: 13 - 3 - len(second)]
            cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
            expected += [cls, *first, sep, *second, sep]
    assert features.input_ids.tolist() == expected
    assert features.lengths.max() == 13


def test_taking_questions_equals_encoding_them_in_that_order(
    tokenizers: dict[bool, AlbertTokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, lengths = make_examples(), Lengths(max_seq_length=24)
    order = [4, 0, 0, 5, 2]
    expected = make_choice_features([examples[n] for n in order], tokenizers[True], lengths=lengths)
    monkeypatch.setattr(choice_features, "EXAMPLES_AT_ONCE", 2)
    taken = make_choice_features(examples, tokenizers[True], lengths=lengths).take(np.array(order))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(taken, name), getattr(expected, name))
    parts = np.split(expected.lengths, expected.num_choices.cumsum()[:-1])
    assert taken.question_lengths.tolist() == [part.sum() for part in parts]
    assert taken.input_ids.size == taken.token_type_ids.size == taken.question_lengths.sum()


def test_a_passage_is_stored_once_for_all_its_questions(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    passage = "a long passage of many words " * 30
    examples = [ChoiceExample(passage=passage, question=f"{n}?", choices=("yes", "no")) for n in range(50)]
    features = make_choice_features(examples, tokenizers[True], lengths=Lengths(max_seq_length=128))
    assert features.input_ids.size == 100 * 128
    assert features.tokens.size < 1000


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who?", ("Who? he", "Who? me_")),
        ("_ ran.", ("he ran.", "me_ ran.")),
        ("_ saw _.", ("he saw he.", "me_ saw me_.")),
        ("I saw ____ .", ("I saw he .", "I saw me_ .")),
        ("我＿＿走", ("我he走", "我me_走")),
        ("", ("he", "me_")),
    ],
)
def test_a_blank_is_filled_in_with_the_choice(question: str, expected: tuple[str, str]) -> None:
    example = ChoiceExample(passage="p", question=question, choices=("he", "me_"))
    assert texts_of(example) == [("p", text) for text in expected]


def test_a_cause_comes_before_the_premise_and_an_effect_after_it() -> None:
    cause = ChoiceExample(passage="p", choices=("a", "b"), relation="cause")
    effect = ChoiceExample(passage="p", choices=("a", "b"), relation="effect")
    assert texts_of(cause) == [("a", "p"), ("b", "p")]
    assert texts_of(effect) == [("p", "a"), ("p", "b")]


def test_no_questions_make_empty_features(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    features = make_choice_features([], tokenizers[True], lengths=Lengths(max_seq_length=8))
    nothing = features.take(np.zeros(0, np.int64))
    assert isinstance(nothing, ChoiceFeatures)
    assert len(features) == len(nothing) == nothing.input_ids.size == nothing.question_lengths.size == 0


def test_unknown_labels_are_left_out_of_the_loss(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    features = make_choice_features(make_examples(), tokenizers[True], lengths=Lengths(max_seq_length=16))
    assert features.labels.tolist() == [-100, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("lengths", [Lengths(max_seq_length=4), Lengths(max_seq_length=9, max_qa_length=0)])
def test_a_length_without_room_for_text_is_refused(
    tokenizers: dict[bool, AlbertTokenizer], lengths: Lengths
) -> None:
    with pytest.raises(ConfigError, match="needs at least 5 tokens"):
        make_choice_features(make_examples(), tokenizers[True], lengths=lengths)
