"""Lines, JSON objects and JSON files: what readers of every kind share, and its errors."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.errors import DataError
from albert.tasks.bad_rows import strict
from albert.tasks.text_files import (
    kind_of_value,
    parse_json,
    plain_text_rows,
    read_field,
    read_json,
    read_objects,
)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("a", "a text"), ([], "a list"), ({}, "an object"), (1, "a whole number"), (1.5, "a number"),
     (True, "true"), (None, "null")],
)  # fmt: skip
def test_the_kind_of_a_value_is_named_as_in_json(value: object, kind: str) -> None:
    assert kind_of_value(value) == kind


def test_a_field_has_one_of_the_given_kinds() -> None:
    assert read_field({"n": 1}, "n", (str, int), "a.jsonl:1") == 1
    with pytest.raises(DataError, match=r"a\.jsonl:1: expected a text or a list in field 'n', found a whole"):
        read_field({"n": 1}, "n", (str, list), "a.jsonl:1")
    with pytest.raises(DataError, match="expected a whole number in field 'n', found true"):
        read_field({"n": True}, "n", int, "a.jsonl:1")


def test_the_error_for_a_missing_field_names_the_nearest_one_and_the_advice() -> None:
    with pytest.raises(DataError, match=r"no field 'text'; did you mean 'txt'.*found txt; rename it"):
        read_field({"txt": ""}, "text", str, "a.jsonl:1", advice="rename it")
    with pytest.raises(DataError, match="expected a JSON object with 'text', found a list"):
        read_field([], "text", str, "a.jsonl:1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{\n"a": }', r"a\.json:2: not JSON .*; expected a list of passages"),
        (b'"\xff"', r"a\.json: not UTF-8 \(byte 1\)"),
        (b"[" * 100_000, r"a\.json: not JSON"),
    ],
)
def test_a_bad_json_file_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_json(path, expected="a list of passages")


def test_a_json_file_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(path, expected="a list") == [1]


def test_a_missing_json_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.json: cannot be read: No such file"):
        read_json(tmp_path / "absent.json", expected="a list")


def test_objects_have_the_numbers_of_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert list(read_objects(path)) == [(1, {"a": 1}), (3, {"a": 2})]


def test_plain_texts_have_places_and_no_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n \n")
    texts = strict(plain_text_rows(path))
    assert [next(texts), next(texts)] == [(f"{path}:1", "one"), (f"{path}:2", "two")]
    with pytest.raises(DataError, match=r"a\.txt:3: the line is empty"):
        next(texts)


@pytest.mark.parametrize(
    "text",
    [
        r'{"a": "x \ud83d y"}',
        r'{"a": "\uDE00"}',
        r'["\ud83d\ud83d\ude00"]',
        r'{"\\\ud83d": 1}',
        r'["\ude00\ud83d"]',
    ],
)
def test_half_of_a_character_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"\\u[dD]...\S* is half of a character"):
        parse_json(text)
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' + text + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: .*half of a character; write it in full"):
        list(read_objects(tmp_path / "a.jsonl"))
    (tmp_path / "a.json").write_text("[\n" + text + "]")
    with pytest.raises(DataError, match=r"a\.json:2: .*half of a character"):
        read_json(tmp_path / "a.json", expected="a list")


@pytest.mark.parametrize(
    "text", [r'"\ud83d\ude00"', r'"\\ud83d"', r'"\\\\ud83d \uD83D\uDE00"', '"\ud7ff\ue000 ud83d"']
)
def test_whole_characters_and_escaped_backslashes_are_read(text: str) -> None:
    assert parse_json(text) == json.loads(text)


@given(st.text(st.characters(exclude_categories=()), max_size=8))
def test_exactly_the_texts_that_cannot_be_written_are_refused(text: str) -> None:
    spelled = json.dumps([text])
    try:
        "".join(json.loads(spelled)).encode()
    except UnicodeEncodeError:
        with pytest.raises(ValueError, match="half of a character"):
            parse_json(spelled)
    else:
        assert parse_json(spelled) == json.loads(spelled)
