"""Reading of SentencePiece model files: what it finds, and damaged bytes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.text.model_file import parse_model_file

MODEL = (Path(__file__).parents[1] / "golden" / "tokenization" / "30k-clean.model").read_bytes()


def test_the_kinds_of_pieces_are_found() -> None:
    parts = parse_model_file(MODEL)
    assert parts.user_defined == set('()"-.–£€')
    assert len(parts.normal) == 2000 - 13
    assert len(parts.character_map) > 100_000


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        parts = parse_model_file(content)
    except ValueError:
        return
    assert parts.normal.isdisjoint(parts.user_defined)


@pytest.mark.parametrize("size", [1, 100, 20_000])
def test_a_file_cut_short_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="over its end"):
        parse_model_file(MODEL[:size])
