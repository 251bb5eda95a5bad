"""WordPiece: pieces against the original, offsets against laws, damaged vocabularies."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.errors import TokenizerError
from albert.text.wordpiece import WordPieceEncoder, read_vocabulary

GOLDEN = Path(__file__).parents[1] / "golden" / "tokenization"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BERT = [*SPECIAL, "want", "##want", "##ed", "wa", "un", "runn", "##ing", ",", "中", "e", "##é", "1"]
LOWER = WordPieceEncoder(BERT, lower_case=True)
CASED = WordPieceEncoder(BERT, lower_case=False)

texts = st.text(
    st.one_of(st.sampled_from("unwaｅé\u0301İ中, \u2028\x00\u200b\ufffd1,"), st.characters()), max_size=30
)


def read_rows() -> list[dict[str, Any]]:
    text = gzip.decompress((GOLDEN / "wordpiece_zh.jsonl.gz").read_bytes()).decode()
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.mark.parametrize("lower_case", [True, False])
def test_pieces_equal_the_original_s(lower_case: bool) -> None:
    rows = read_rows()
    name = "lower" if lower_case else "cased"
    # A vocabulary of the pieces that occur is enough: the longest match is the same.
    pieces = sorted({piece for row in rows for piece in row[name]["pieces"]} - set(SPECIAL))
    encoder = WordPieceEncoder(SPECIAL + pieces, lower_case=lower_case)
    for row in rows:
        aligned = encoder.encode_aligned(row["text"])
        assert encoder.words(row["text"]) == row[name]["basic"]
        assert [piece.text for piece in aligned] == row[name]["pieces"]
        assert [[piece.id for piece in aligned]] == encoder.encode([row["text"]])


@pytest.mark.reference
def test_ids_equal_the_original_s_on_every_line(reference: Path) -> None:
    folder = reference / "tokenization"
    vocabulary = read_vocabulary(folder / "vocab_zh.txt")
    lines = (folder / "wordpiece_zh.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    assert (len(vocabulary), len(rows)) == (21128, 300)
    for name, lower_case in (("lower", True), ("cased", False)):
        encoder = WordPieceEncoder(vocabulary, lower_case=lower_case)
        for row in rows:
            assert encoder.encode([row["text"]]) == [row[name]["ids"]]
            assert [piece.id for piece in encoder.encode_aligned(row["text"])] == row[name]["ids"]


def test_words_are_cut_as_in_the_original_s_own_test() -> None:
    pieces = [piece.text for piece in LOWER.encode_aligned("UNwantéd,running")]
    assert pieces == ["un", "##want", "##ed", ",", "runn", "##ing"]


@given(texts, st.sampled_from([LOWER, CASED]))
def test_aligned_pieces_have_the_ids_of_the_bulk(text: str, encoder: WordPieceEncoder) -> None:
    assert [piece.id for piece in encoder.encode_aligned(text)] == encoder.encode([text])[0]


@given(texts, st.sampled_from([LOWER, CASED]))
def test_offsets_rise_stay_inside_and_are_not_empty(text: str, encoder: WordPieceEncoder) -> None:
    pieces = encoder.encode_aligned(text)
    assert all(0 <= piece.start < piece.end <= len(text) for piece in pieces)
    starts = [piece.start for piece in pieces]
    assert starts == sorted(starts)


@given(texts, st.sampled_from([LOWER, CASED]))
def test_offsets_cover_every_character_that_is_not_dropped(text: str, encoder: WordPieceEncoder) -> None:
    covered = {i for piece in encoder.encode_aligned(text) for i in range(piece.start, piece.end)}
    for position in set(range(len(text))) - covered:
        assert not encoder.words(text[position])


def test_a_word_of_more_than_200_characters_is_unknown() -> None:
    encoder = WordPieceEncoder([*SPECIAL, "a", "##a"], lower_case=True)
    assert encoder.encode(["a" * 200])[0] == [5] + [6] * 199
    assert encoder.encode(["a" * 201]) == [[1]]


def test_pieces_that_continue_a_word_do_not_start_one() -> None:
    assert [LOWER.opens_word(piece) for piece in ("un", "##ing", "中", ",")] == [True, False, True, True]


def test_ids_are_line_numbers_and_only_newlines_end_lines(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("[PAD]\n\u2028\n##\u2028\r\n中\n".encode())
    assert read_vocabulary(path) == ["[PAD]", "\u2028", "##\u2028", "中"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\na\n", r"vocab.txt:3: 'a' is already on line 1"),
        (b"a\n\xff\n", r"vocab.txt:2: expected a piece in UTF-8, found the byte 0xff"),
        (b"a\n\nb\n", r"vocab.txt:2: expected a piece, found an empty line"),
    ],
)
def test_a_damaged_vocabulary_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(TokenizerError, match=message):
        read_vocabulary(path)
