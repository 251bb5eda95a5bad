"""Reads the parts of a SentencePiece model file that its library does not show.

Stands below `sentencepiece` and `transformers_files`.
Source: sentencepiece_model.proto of google/sentencepiece: `ModelProto.pieces` is field 1 (piece 1,
score 2, type 3), `normalizer_spec` field 3 with `precompiled_charsmap` 2.
"""

from dataclasses import dataclass

from albert.protobuf import read_fields

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
    for field, value in read_fields(model):
        if field == 1 and isinstance(value, bytes):
            piece = dict(read_fields(value))
            kind, text = piece.get(3, _NORMAL), piece.get(1, b"")
            if isinstance(kind, int) and isinstance(text, bytes):
                by_type.setdefault(kind, []).append(text.decode())
        elif field == 3 and isinstance(value, bytes):
            found = dict(read_fields(value)).get(2, b"")
            character_map = found if isinstance(found, bytes) else b""
    return ModelFile(
        user_defined=frozenset(by_type.get(_USER_DEFINED, ())),
        normal=frozenset(by_type.get(_NORMAL, ())),
        character_map=character_map,
    )
