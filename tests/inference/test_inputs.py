"""The inputs of pipelines: one, a list, or a stream."""

from collections.abc import Iterator
from typing import Any

import pytest

from albert.errors import ConfigError, DataError
from albert.inference.inputs import map_inputs, text_of


def lengths(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def test_one_text_gives_one_prediction_and_a_list_gives_a_list() -> None:
    assert map_inputs("abc", lengths) == 3
    assert map_inputs(["abc", "d"], lengths) == [3, 1]
    assert map_inputs(("abc", "d"), lengths, batch_size=1) == [3, 1]
    assert map_inputs([], lengths) == []


def test_a_dict_is_one_input() -> None:
    assert map_inputs({"text": "abc"}, lambda batch: [len(batch)]) == 1


def test_a_stream_is_read_no_further_than_its_predictions_are_consumed() -> None:
    read = []

    def texts() -> Iterator[str]:
        for text in ("a", "bb", "ccc", "dddd", "eeeee"):
            read.append(text)
            yield text

    predictions = map_inputs(texts(), lengths, batch_size=2)
    assert not read
    assert next(predictions) == 1
    assert read == ["a", "bb"]
    assert list(predictions) == [2, 3, 4, 5]


def test_anything_else_is_an_error() -> None:
    with pytest.raises(DataError, match="expected a text, a list or an iterable of them, found int"):
        map_inputs(7, lengths)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        map_inputs(["a"], lengths, batch_size=0)


@pytest.mark.parametrize("bad", [None, 3, {"txt": "a"}])
def test_an_error_names_the_index_of_the_input_in_a_list_or_stream(bad: object) -> None:
    def predict(texts: list[object]) -> list[int]:
        return [len(text_of(text)) for text in texts]

    for inputs in (["a", "b", bad, "c"], iter(["a", "b", bad, "c"])):
        with pytest.raises(DataError, match=r"^input 2 \(from 0\): expected a text, found"):
            list(map_inputs(inputs, predict, batch_size=2))
    if isinstance(bad, dict):
        with pytest.raises(DataError, match=r"^expected a text, found dict"):
            map_inputs(bad, predict)


def test_all_bad_inputs_of_a_batch_are_named_or_answered_by_none() -> None:
    def predict(batch: list[Any]) -> list[str]:
        return [text_of(given).upper() for given in batch]

    given: list[Any] = ["a", 1, "b", None, "c"]
    with pytest.raises(DataError) as found:
        map_inputs(given, predict)
    assert str(found.value).split("\n  ") == [
        '2 rows cannot be used, correct them, or give on_bad_row="skip":',
        "input 1 (from 0): expected a text, found int",
        "input 3 (from 0): expected a text, found NoneType",
    ]
    for size in (1, 2, 5):
        assert map_inputs(given, predict, batch_size=size, on_bad_row="skip") == ["A", None, "B", None, "C"]
    assert map_inputs({"text": 1}, predict, on_bad_row="skip") is None
    with pytest.raises(ConfigError, match="on_bad_row is 'drop'; expected error or skip"):
        map_inputs(given, predict, on_bad_row="drop")  # type: ignore[arg-type]  # wrong on purpose
