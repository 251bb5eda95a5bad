"""`tf.train.Example` messages come back as they were written, in every form that is allowed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from albert.data.tfrecord.messages import (
    Feature,
    decode_floats,
    decode_integers,
    encode_examples,
    parse_example,
)

Row = tuple[int, bytes]


def varint(number: int) -> bytes:
    """Return a number of variable length, by the plainest code."""
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(**features: bytes) -> bytes:
    """Return a message with features given as bytes."""
    entries = (field(1, field(1, name.encode()) + field(2, value)) for name, value in features.items())
    return field(1, b"".join(entries))


def integers(message: bytes, name: str) -> list[int]:
    return decode_integers([parse_example(message)[name]])[0].tolist()


@given(
    st.integers(1, 9).flatmap(
        lambda rows: st.tuples(
            hnp.arrays(np.int64, st.tuples(st.just(rows), st.integers(0, 6))),
            hnp.arrays(np.int64, st.tuples(st.just(rows), st.integers(0, 6)), elements=st.integers(0, 300)),
            hnp.arrays(np.float32, st.tuples(st.just(rows), st.integers(0, 6))),
        )
    )
)
def test_rows_come_back_as_they_were_encoded(columns: tuple[np.ndarray, ...]) -> None:
    any_numbers, small, floats = columns
    messages = encode_examples({"any": any_numbers, "small": small, "floats": floats})
    features = [parse_example(message) for message in messages]
    assert [list(each) for each in features] == [["any", "small", "floats"]] * len(any_numbers)
    for name, column in (("any", any_numbers), ("small", small)):
        values, counts = decode_integers([each[name] for each in features])
        assert counts.tolist() == [column.shape[1]] * len(column)
        np.testing.assert_array_equal(values, column.ravel())
    values, counts = decode_floats([each["floats"] for each in features])
    assert counts.tolist() == [floats.shape[1]] * len(floats)
    assert values.tobytes() == floats.tobytes()


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5), min_size=1, max_size=8))
def test_lists_of_different_lengths_decode_together(lists: list[list[int]]) -> None:
    features = [
        Feature("int64", [b"".join(varint(number & (2**64 - 1)) for number in numbers)]) for numbers in lists
    ]
    values, counts = decode_integers(features)
    assert values.tolist() == [number for numbers in lists for number in numbers]
    assert counts.tolist() == list(map(len, lists))


def test_numbers_one_by_one_mean_the_same_as_packed_ones() -> None:
    numbers = [3, 500, 0, 2**64 - 1]
    one_by_one = b"".join(b"\x08" + varint(number) for number in numbers)
    packed = field(1, b"".join(map(varint, numbers)))
    mixed = b"\x08" + varint(3) + field(1, varint(500) + varint(0)) + b"\x08" + varint(2**64 - 1)
    for content in (one_by_one, packed, mixed):
        assert integers(example(x=field(3, content)), "x") == [3, 500, 0, -1]
    floats = np.array([1.5, -2.0], np.float32)
    single = b"".join(b"\x0d" + number.tobytes() for number in floats)
    for content in (single, field(1, floats.tobytes())):
        feature = parse_example(example(x=field(2, content)))["x"]
        assert decode_floats([feature])[0].tolist() == [1.5, -2.0]


def test_bytes_keep_their_borders() -> None:
    feature = parse_example(example(x=field(1, field(1, b"one") + field(1, b"") + field(1, b"two"))))["x"]
    assert (feature.kind, list(feature.parts)) == ("bytes", [b"one", b"", b"two"])


def test_feature_without_a_list_is_none() -> None:
    assert list(parse_example(example(empty=b"", x=field(3, field(1, b"\x05"))))) == ["x"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (example(x=field(3, field(1, b"\x05")))[:-1], "the field at its byte 2 exceeds the end"),
        (b"\x0a", "the integer at its byte 1 exceeds the end"),
        (b"\x0a" + b"\xff" * 12, "the integer at its byte 1 exceeds the end, or 64 bits"),
        (b"\x0b", "the field at its byte 0 has the unknown wire type 3"),
        (b"\x08\x01", "the bytes from its byte 0 on are not a tf.train.Example"),
        (field(1, field(2, b"")), "the bytes from its byte 2 on are not a tf.train.Example"),
        (field(1, field(1, b"\x08\x01")), "the feature at its byte 4 has no name or no list"),
        (example(x=field(4, b"")), "is not a list of int64, float or bytes"),
        (example(x=field(3, b"\x0d\0\0\0\0")), "is not of type int64"),
        (example(x=field(2, b"\x08\x01")), "is not of type float"),
        (example(x=field(1, b"\x08\x01")), "is not of type bytes"),
    ],
)
def test_malformed_message_is_refused(message: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_example(message)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_overwritten_bytes_never_cause_anything_but_a_value_error(place: int, noise: bytes) -> None:
    rows = {"one": np.arange(40)[None], "two": np.arange(5, dtype=np.float32)[None]}
    message = bytearray(encode_examples(rows)[0])
    message[place : place + len(noise)] = noise
    try:
        features = parse_example(bytes(message))
    except ValueError:
        return
    for feature in features.values():
        for decode in (decode_integers, decode_floats):
            try:
                values, counts = decode([feature])
            except ValueError:
                continue
            assert len(values) == counts.sum()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x05\x80", "an integer runs over the end of its list"),
        (b"\xff" * 10 + b"\x01", "an integer has more than 64 bits"),
        (b"\xff" * 9 + b"\x02", "an integer has more than 64 bits"),
    ],
)
def test_bytes_that_are_not_integers_are_refused(content: bytes, problem: str) -> None:
    following = Feature("int64", [b"\x01"])
    with pytest.raises(ValueError, match=problem):
        decode_integers([Feature("int64", [content]), following])


def test_list_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="a list is of type float, expected int64"):
        decode_integers([Feature("float", [b"\0\0\0\0"])])
    with pytest.raises(ValueError, match="a list is of type int64, expected float"):
        decode_floats([Feature("int64", [b"\0\0\0\0"])])
    with pytest.raises(ValueError, match="a float runs over the end of its list"):
        decode_floats([Feature("float", [b"\0\0\0"])])
