"""Reads the parts of a SentencePiece model file that its library does not show.

Stands below `sentencepiece` and `fast`. The file is a protocol buffer; a reader of the few fields that
are needed replaces a dependency.
Source: sentencepiece_model.proto of google/sentencepiece: `ModelProto.pieces` is field 1 (piece 1,
score 2, type 3), `normalizer_spec` field 3 with `precompiled_charsmap` 2.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_NORMAL = 1
_USER_DEFINED = 4


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """What a SentencePiece model file says beside its pieces."""

    user_defined: frozenset[str]
    """Pieces that are always cut out, whatever their score."""
    normal: frozenset[str]
    """Pieces that were trained."""
    character_map: bytes
    """The normaliser's table, `precompiled_charsmap`; empty where characters stay."""


def parse_model_file(model: bytes) -> ModelFile:
    """Returns the parts of a model file that decide ties and normalisation.

    Raises:
        ValueError: The bytes are no protocol buffer.
    """
    by_type: dict[int, list[str]] = {}
    character_map = b""
    for field, value in _fields(model):
        if field == 1 and isinstance(value, bytes):
            piece = dict(_fields(value))
            kind, text = piece.get(3, _NORMAL), piece.get(1, b"")
            if isinstance(kind, int) and isinstance(text, bytes):
                by_type.setdefault(kind, []).append(text.decode())
        elif field == 3 and isinstance(value, bytes):
            found = dict(_fields(value)).get(2, b"")
            character_map = found if isinstance(found, bytes) else b""
    return ModelFile(
        user_defined=frozenset(by_type.get(_USER_DEFINED, ())),
        normal=frozenset(by_type.get(_NORMAL, ())),
        character_map=character_map,
    )


def _fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yields number and value of every field of a protocol buffer message."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire_type = key & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
        elif wire_type == 2:
            size, position = _varint(message, position)
            if position + size > len(message):
                raise ValueError("a field runs over the end")
            yield key >> 3, message[position : position + size]
            position += size
        elif wire_type in (1, 5):
            size, code = (8, "<d") if wire_type == 1 else (4, "<f")
            if position + size > len(message):
                raise ValueError("a number runs over the end")
            yield key >> 3, struct.unpack(code, message[position : position + size])[0]
            position += size
        else:
            raise ValueError(f"unknown wire type {wire_type}")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Returns a variable-length integer and the position behind it."""
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise ValueError("an integer runs over the end")
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
