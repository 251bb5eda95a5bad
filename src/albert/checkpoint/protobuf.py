"""The wire format of protocol buffers, as much as a TensorFlow index needs of it.

Stands below `sorted_table`, whose integers are coded the same way, and `tensorflow`. A reader of a few
fields replaces TensorFlow.
Source: the encoding chapter of the Protocol Buffers documentation.
"""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Fields = list[tuple[int, int | bytes]]
"""Number and value of every field of a message, in the order of the file; messages inside are bytes still."""


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Reads an unsigned integer of variable length; returns it and the position behind it.

    Raises:
        ValueError: It runs over the end, or over 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("an integer runs over the end")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
    if byte >= 128 or value >> 64:
        raise ValueError("an integer has more than 64 bits")
    return value, position


def read_fields(data: bytes) -> Fields:
    """Reads the fields of a message.

    Raises:
        ValueError: The bytes are no message.
    """
    fields: Fields = []
    position = 0
    while position < len(data):
        key, position = read_varint(data, position)
        wire_type = key & 7
        if wire_type == _VARINT:
            value, position = read_varint(data, position)
            fields.append((key >> 3, value))
            continue
        if wire_type == _BYTES:
            size, position = read_varint(data, position)
        elif wire_type in (_FIXED32, _FIXED64):
            size = 4 if wire_type == _FIXED32 else 8
        else:
            raise ValueError(f"a field has the unknown wire type {wire_type}")
        if size > len(data) - position:
            raise ValueError("a field runs over the end")
        content = data[position : position + size]
        position += size
        fields.append((key >> 3, content if wire_type == _BYTES else int.from_bytes(content, "little")))
    return fields


def find_integer(fields: Fields, number: int) -> int:
    """Returns the integer in field `number`; 0, the default of the format, where it is not set.

    Raises:
        ValueError: The field holds something else.
    """
    value = next((value for field, value in reversed(fields) if field == number), 0)
    if isinstance(value, bytes):
        raise ValueError(f"field {number} is no number")  # noqa: TRY004 - the file is wrong, not our types
    return value


def find_messages(fields: Fields, number: int) -> list[Fields]:
    """Returns the messages in all fields `number`.

    Raises:
        ValueError: One holds something else.
    """
    messages = []
    for field, value in fields:
        if field == number:
            if isinstance(value, int):
                raise ValueError(f"field {number} is no message")
            messages.append(read_fields(value))
    return messages
