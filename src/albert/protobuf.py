"""The wire format of protocol buffers, as far as this package needs it.

SentencePiece models (`text`), TFRecord examples (`data`) and TensorFlow checkpoints (`checkpoint`) use it.
A hundred lines that read a few fields replace the libraries of these formats.
Source: the encoding chapter of the Protocol Buffers documentation.
"""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""

_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BYTES = 10

Fields = list[tuple[int, int | bytes]]
"""Number and value of each field of a message, in the order of the file; inner messages are bytes."""


def read_varint(data: bytes, position: int, end: int | None = None) -> tuple[int, int]:
    """Read an unsigned integer of variable length; return it and the position after it.

    Raises:
        ValueError: It exceeds the end, or 64 bits.
    """
    value = shift = 0
    end = len(data) if end is None else end
    for place in range(position, min(end, position + _MAX_VARINT_BYTES)):
        byte = data[place]
        value |= (byte & 127) << shift
        if byte < 128 and not value >> 64:
            return value, place + 1
        shift += 7
    raise ValueError(f"the integer at its byte {position:,} exceeds the end, or 64 bits")


def scan_fields(data: bytes, begin: int, end: int) -> list[tuple[int, int, int, int]]:
    """Return number, wire type, start and end of each field of the message at bytes `begin` to `end`.

    Raises:
        ValueError: The bytes are not a message.
    """
    fields = []
    position = begin
    while position < end:
        key, start = data[position], position + 1
        if key > 127:
            key, start = read_varint(data, position, end)
        wire_type = key & 7
        if wire_type == BYTES:
            size, start = read_varint(data, start, end)
            position = start + size
        elif wire_type == VARINT:
            _, position = read_varint(data, start, end)
        elif wire_type in _FIXED_SIZES:
            position = start + _FIXED_SIZES[wire_type]
        else:
            raise ValueError(f"the field at its byte {position:,} has the unknown wire type {wire_type}")
        if position > end:
            raise ValueError(f"the field at its byte {start:,} exceeds the end")
        fields.append((key >> 3, wire_type, start, position))
    return fields


def read_fields(data: bytes) -> Fields:
    """Read the fields of a message; numbers of fixed size as unsigned integers.

    Raises:
        ValueError: The bytes are not a message.
    """
    fields: Fields = []
    for number, wire_type, start, stop in scan_fields(data, 0, len(data)):
        if wire_type == VARINT:
            fields.append((number, read_varint(data, start, stop)[0]))
        elif wire_type == BYTES:
            fields.append((number, data[start:stop]))
        else:
            fields.append((number, int.from_bytes(data[start:stop], "little")))
    return fields


def find_integer(fields: Fields, number: int) -> int:
    """Return the integer in field `number`, or 0, the default of the format, if it is not set.

    Raises:
        ValueError: The field has something else.
    """
    value = next((value for field, value in reversed(fields) if field == number), 0)
    if isinstance(value, bytes):
        raise ValueError(f"field {number} is not a number")  # noqa: TRY004 - the file is wrong, not our types
    return value


def find_messages(fields: Fields, number: int) -> list[Fields]:
    """Return the messages in all fields `number`.

    Raises:
        ValueError: A field has something else.
    """
    messages = []
    for field, value in fields:
        if field == number:
            if isinstance(value, int):
                raise ValueError(f"field {number} is not a message")
            messages.append(read_fields(value))
    return messages
