"""How pipelines take their inputs: one, many, or a stream."""

from collections.abc import Iterator

import pytest

from albert.errors import ConfigError, DataError
from albert.inference.inputs import answer_inputs


def lengths(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def test_one_text_gives_one_answer_and_a_list_a_list() -> None:
    assert answer_inputs("abc", lengths) == 3
    assert answer_inputs(["abc", "d"], lengths) == [3, 1]
    assert answer_inputs(("abc", "d"), lengths, batch_size=1) == [3, 1]
    assert answer_inputs([], lengths) == []


def test_a_dict_is_one_input() -> None:
    assert answer_inputs({"text": "abc"}, lambda some: [len(some)]) == 1


def test_a_stream_is_read_no_further_than_its_answers_are_asked_for() -> None:
    read = []

    def texts() -> Iterator[str]:
        for text in ("a", "bb", "ccc", "dddd", "eeeee"):
            read.append(text)
            yield text

    answers = answer_inputs(texts(), lengths, batch_size=2)
    assert not read
    assert next(answers) == 1
    assert read == ["a", "bb"]
    assert list(answers) == [2, 3, 4, 5]


def test_what_is_no_input_is_an_error() -> None:
    with pytest.raises(DataError, match="expected a text, a list or an iterable of them, found int"):
        answer_inputs(7, lengths)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        answer_inputs(["a"], lengths, batch_size=0)
