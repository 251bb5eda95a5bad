"""SentencePiece: ids against the original, offsets against laws."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albert.errors import TokenizerError
from albert.text.cleaning import preprocess_text
from albert.text.sentencepiece import SPACE, SentencePieceEncoder, parse_model_file

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenization"
MODEL = (GOLDEN / "30k-clean.model").read_bytes()
LOWER = SentencePieceEncoder(MODEL, lower_case=True)
CASED = SentencePieceEncoder(MODEL, lower_case=False)

ODD = "\u0301ﬁ½İΣ e\u00e9A\t\u00a0\u2028\x00\x07\ufffd\ud800한中で、,19▁😀\u00b4(.-"
texts = st.text(st.one_of(st.sampled_from(ODD), st.characters()), max_size=40)


def read_rows(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def check_rows(rows: list[dict[str, Any]], model: bytes) -> None:
    raw = [row["text"] for row in rows]
    for name, lower_case in (("lower", True), ("cased", False)):
        encoder = SentencePieceEncoder(model, lower_case=lower_case)
        assert [preprocess_text(x, lower_case=lower_case) for x in raw] == [
            row[name]["preprocessed"] for row in rows
        ]
        assert encoder.encode(raw) == [row[name]["ids"] for row in rows]
        aligned = [encoder.encode_aligned(text) for text in raw]
        assert [[piece.text for piece in pieces] for pieces in aligned] == [
            row[name]["pieces"] for row in rows
        ]
        assert encoder.encode_clean(raw) == [row["raw"]["ids"] for row in rows]


def test_ids_equal_the_original_s() -> None:
    check_rows(read_rows(GOLDEN / "spm_tokenization.jsonl.gz"), MODEL)


@pytest.mark.reference
def test_ids_equal_the_original_s_on_every_line(reference: Path) -> None:
    rows = read_rows(reference / "tokenization" / "spm_tokenization.jsonl")
    assert len(rows) == 500
    check_rows(rows, (reference / "tokenization" / "30k-clean.model").read_bytes())


@pytest.mark.reference
def test_ids_of_the_published_vocabulary_equal_the_original_s(reference: Path) -> None:
    model = os.environ.get("ALBERT_REFERENCE_30K")
    if not model:
        pytest.skip("ALBERT_REFERENCE_30K names no published 30k-clean.model")
    rows = read_rows(reference / "tokenization_30k" / "spm_tokenization.jsonl")
    assert len(rows) == 500
    check_rows(rows, Path(model).read_bytes())


@settings(deadline=None)
@given(texts, st.sampled_from([LOWER, CASED]))
def test_aligned_pieces_have_the_ids_of_the_bulk(text: str, encoder: SentencePieceEncoder) -> None:
    assert [piece.id for piece in encoder.encode_aligned(text)] == encoder.encode([text])[0]


@settings(deadline=None)
@given(st.lists(st.one_of(texts, st.sampled_from(["x000, 19,", "....", "a ▁▁▁ b"])), max_size=6))
def test_flat_ids_are_those_of_the_rows_end_to_end(many: list[str]) -> None:
    ids, lengths = LOWER.encode_flat(many)
    rows = LOWER.encode(many)
    assert lengths.tolist() == [len(row) for row in rows]
    assert ids.tolist() == [id_ for row in rows for id_ in row]
    assert rows == [LOWER.encode([text])[0] for text in many]


@settings(deadline=None)
@given(texts, st.sampled_from([LOWER, CASED]))
def test_offsets_rise_and_stay_inside(text: str, encoder: SentencePieceEncoder) -> None:
    pieces = encoder.encode_aligned(text)
    starts = [piece.start for piece in pieces]
    assert starts == sorted(starts)
    assert all(0 <= piece.start <= piece.end <= len(text) for piece in pieces)
    assert all((piece.start == piece.end) == (piece.text == SPACE) for piece in pieces)


@settings(deadline=None)
@given(texts, st.sampled_from([LOWER, CASED]))
def test_offsets_cover_every_character_that_is_not_dropped(text: str, encoder: SentencePieceEncoder) -> None:
    covered = {i for piece in encoder.encode_aligned(text) for i in range(piece.start, piece.end)}
    for position in set(range(len(text))) - covered:
        assert encoder.encode([text[position]]) == [[]]


@settings(deadline=None)
@given(st.text("abcdeéàñÅØTHE 0123,.!?()-'中", max_size=40))
def test_a_slice_cleaned_again_is_the_piece(text: str) -> None:
    for piece in LOWER.encode_aligned(text):
        assert preprocess_text(text[piece.start : piece.end], lower_case=True) == piece.text.lstrip(SPACE)


def test_empty_text_has_no_pieces() -> None:
    assert LOWER.encode(["", " \t", "\x01"]) == [[], [], []]
    assert LOWER.encode_aligned("") == LOWER.encode_aligned(" \n ") == []


@pytest.mark.parametrize(
    ("text", "slices"),
    [
        ("Café  ok", ["C", "a", "f", "é", "", "ok"]),
        ("e\u0301 x", ["", "e\u0301", "x"]),
        ("\x07in\u00a0 the", ["in", "the"]),
        ("x000,", ["x", "0", "00", ","]),
    ],
)
def test_offsets_point_into_the_raw_text(text: str, slices: list[str]) -> None:
    found = [text[piece.start : piece.end] for piece in LOWER.encode_aligned(text)]
    assert found == slices


def test_a_number_before_a_comma_is_split_again_with_its_space() -> None:
    assert [piece.text for piece in LOWER.encode_aligned("x000,")] == ["▁x", "▁0", "00", ","]


@pytest.mark.parametrize("piece", ["▁the", ",", "9", "1990", "é", "€", "–", "<unk>", "'s", "="])
def test_a_word_starts_at(piece: str) -> None:
    assert LOWER.opens_word(piece)


@pytest.mark.parametrize("piece", ["ing", "s", "U", "...", "--", "u.s.", "[MASK]"])
def test_a_word_continues_at(piece: str) -> None:
    assert not LOWER.opens_word(piece)


def test_bytes_that_are_not_a_model_are_refused() -> None:
    with pytest.raises(TokenizerError, match="not a SentencePiece model"):
        SentencePieceEncoder(b"no model", lower_case=True)


def test_the_kinds_of_pieces_are_found() -> None:
    parts = parse_model_file((GOLDEN / "30k-clean.model").read_bytes())
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
    with pytest.raises(ValueError, match="exceeds the end"):
        parse_model_file((GOLDEN / "30k-clean.model").read_bytes()[:size])
