"""The wire format of protocol buffers: the documented examples, and what is not a message."""

import pytest

from albert.protobuf import find_integer, find_messages, read_fields, read_varint


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x01", 1),
        (b"\x96\x01", 150),
        (b"\xff" * 9 + b"\x01", 2**64 - 1),
    ],
)
def test_an_integer_is_read_and_the_position_after_it_returned(data: bytes, expected: int) -> None:
    assert read_varint(b"x" + data + b"x", 1) == (expected, 1 + len(data))


@pytest.mark.parametrize("data", [b"", b"\x96", b"\xff" * 9 + b"\x02", b"\xff" * 10 + b"\x01"])
def test_an_integer_without_end_or_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="the integer"):
        read_varint(data, 0)


def test_the_fields_of_a_message_are_read_by_number() -> None:
    fields = read_fields(b"\x08\x96\x01" + b"\x12\x02\x08\x07" + b"\x1d\x01\x00\x00\x00" + b"\x08\x05")
    assert find_integer(fields, 1) == 5  # the last one counts
    assert find_messages(fields, 2) == [[(1, 7)]]
    assert find_integer(fields, 3) == 1
    assert find_integer(fields, 4) == 0
    assert find_messages(fields, 4) == []


@pytest.mark.parametrize("data", [b"\x12\x05abc", b"\x1d\x01", b"\x0b", b"\x08"])
def test_bytes_that_are_not_a_message_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"field|integer"):
        read_fields(data)


def test_a_field_of_another_kind_is_refused() -> None:
    fields = read_fields(b"\x08\x01\x12\x01x")
    with pytest.raises(ValueError, match="field 1 is not a message"):
        find_messages(fields, 1)
    with pytest.raises(ValueError, match="field 2 is not a number"):
        find_integer(fields, 2)
