"""The tokenizer's arguments, special tokens, truncation, padding, folders and errors."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from albert.errors import CheckpointError, TokenizerError
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import WordPieceEncoder

MODEL = Path(__file__).parents[1] / "golden" / "tokenization" / "30k-clean.model"
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##d", "中"]


@pytest.fixture(scope="module")
def tokenizer() -> AlbertTokenizer:
    return AlbertTokenizer(SentencePieceEncoder(MODEL.read_bytes(), lower_case=True))


@pytest.fixture(scope="module")
def bert() -> AlbertTokenizer:
    return AlbertTokenizer(WordPieceEncoder(BERT, lower_case=True))


def test_one_text_gives_flat_lists_with_segment_ids(tokenizer: AlbertTokenizer) -> None:
    encoding = tokenizer("The value")
    assert encoding.input_ids == [2, *tokenizer.encode_sentences(["the value"])[0], 3]
    assert encoding.token_type_ids == [0] * len(encoding.input_ids)
    assert encoding["attention_mask"] == [1] * len(encoding.input_ids)
    assert list(encoding) == ["input_ids", "token_type_ids", "attention_mask"]


def test_a_pair_has_two_segments(bert: AlbertTokenizer) -> None:
    encoding = bert("a b", "c")
    assert encoding.input_ids == [2, 5, 6, 3, 7, 3]
    assert encoding.token_type_ids == [0, 0, 0, 0, 1, 1]


def test_special_tokens_can_be_left_out(bert: AlbertTokenizer) -> None:
    assert bert("a", "b", add_special_tokens=False).token_type_ids == [0, 1]
    assert bert.encode("a b", add_special_tokens=False) == [5, 6]


def test_a_mask_in_the_text_becomes_the_mask(tokenizer: AlbertTokenizer) -> None:
    text = "in the [MASK]."
    encoding = tokenizer(text, return_offsets_mapping=True)
    at = encoding.input_ids.index(tokenizer.mask_token_id)
    start, end = encoding.offset_mapping[at]
    assert text[start:end] == "[MASK]"
    assert tokenizer.tokenize(text) == ["▁in", "▁the", "[MASK]", "▁", "."]


def test_a_corpus_never_contains_special_tokens(tokenizer: AlbertTokenizer, bert: AlbertTokenizer) -> None:
    for some in (tokenizer, bert):
        ids = some.encode_sentences([" ".join(some.all_special_tokens)])[0]
        assert set(ids) & set(some.all_special_ids) <= {some.unk_token_id}


def test_offsets_do_not_change_the_ids(tokenizer: AlbertTokenizer) -> None:
    for text in ("the [MASK]", "[MASK][SEP] x000, é", "", " [CLS] a\u0301"):
        with_offsets = tokenizer(text, text, return_offsets_mapping=True)
        del with_offsets["offset_mapping"]
        assert with_offsets == tokenizer(text, text)


def test_offsets_of_a_pair_point_into_each_text(tokenizer: AlbertTokenizer) -> None:
    encoding = tokenizer("in é", "the", return_offsets_mapping=True)
    assert encoding.offset_mapping[:2] == [(0, 0), (0, 2)]
    assert encoding.offset_mapping[-3:] == [(0, 0), (0, 3), (0, 0)]


@pytest.mark.parametrize(
    ("truncation", "expected"),
    [
        (True, ([5, 5], [6, 6])),
        ("longest_first", ([5, 5], [6, 6])),
        ("only_first", ([5], [6, 6, 6])),
        ("only_second", ([5, 5, 5, 5], [])),
    ],
)
def test_truncation_removes_the_end_of_the_chosen_text(
    bert: AlbertTokenizer, truncation: bool | str, expected: tuple[list[int], list[int]]
) -> None:
    first, second = expected
    encoding = bert("a a a a", "b b b", truncation=truncation, max_length=7)  # type: ignore[arg-type]
    assert encoding.input_ids == [2, *first, 3, *second, 3]


def test_a_tie_shortens_the_second_text(bert: AlbertTokenizer) -> None:
    assert bert("a a", "b b", truncation=True, max_length=6).input_ids == [2, 5, 5, 3, 6, 3]


def test_truncation_without_a_length_uses_the_model_s(bert: AlbertTokenizer) -> None:
    assert len(bert("a " * 600, truncation=True).input_ids) == bert.model_max_length == 512


def test_truncating_more_than_a_text_has_is_an_error(bert: AlbertTokenizer) -> None:
    with pytest.raises(TokenizerError, match="must remove 3 tokens from a text of 1"):
        bert("a", "b b b b", truncation="only_first", max_length=5)
    with pytest.raises(TokenizerError, match="no room for the special tokens"):
        bert("a", truncation=True, max_length=1)


def test_padding_is_added_on_the_right(bert: AlbertTokenizer) -> None:
    batch = bert(["a", "a b"], padding=True)
    assert batch.input_ids == [[2, 5, 3, 0], [2, 5, 6, 3]]
    assert batch.attention_mask == [[1, 1, 1, 0], [1, 1, 1, 1]]
    fixed = bert("a", padding="max_length", max_length=5, return_offsets_mapping=True)
    assert fixed.input_ids == [2, 5, 3, 0, 0]
    assert fixed.offset_mapping[-1] == (0, 0)


def test_arrays_and_tensors_have_a_row_for_every_text(bert: AlbertTokenizer) -> None:
    arrays = bert(["a", "b"], ["b", "c"], return_tensors="np")
    assert arrays.input_ids.shape == (2, 5)
    assert arrays.input_ids.dtype == np.int64
    tensors = bert("a", return_tensors="pt", return_offsets_mapping=True)
    assert tensors.input_ids.equal(torch.tensor([[2, 5, 3]]))
    assert tensors.offset_mapping.shape == (1, 3, 2)
    assert tensors.to("cpu").input_ids.dtype == torch.int64


def test_rows_of_different_lengths_cannot_become_an_array(bert: AlbertTokenizer) -> None:
    with pytest.raises(TokenizerError, match="padding=True"):
        bert(["a", "a b"], return_tensors="np")


def test_lists_of_different_lengths_are_refused(bert: AlbertTokenizer) -> None:
    with pytest.raises(TokenizerError, match="expected 2 second texts for as many first, found 1 texts"):
        bert(["a", "b"], ["c"])
    with pytest.raises(TokenizerError, match="found a list"):
        bert("a", ["c"])


def test_no_texts_give_no_rows(bert: AlbertTokenizer) -> None:
    assert bert([], padding=True).input_ids == []
    assert bert([""]).input_ids == [[2, 3]]


def test_decoding_returns_the_cleaned_text(tokenizer: AlbertTokenizer, bert: AlbertTokenizer) -> None:
    ids = tokenizer("The  example (Café), 12")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the example (cafe), 12"
    assert bert.decode([2, 5, 8, 6, 3], skip_special_tokens=True) == "ad b"
    assert bert.decode([2, 5, 3]) == "[CLS] a [SEP]"


def test_tokens_and_ids_convert_both_ways(tokenizer: AlbertTokenizer) -> None:
    assert tokenizer.convert_tokens_to_ids("[MASK]") == tokenizer.mask_token_id == 4
    assert tokenizer.convert_tokens_to_ids(["▁the", "no such piece"])[1] == tokenizer.unk_token_id
    every = list(range(tokenizer.vocab_size))
    assert tokenizer.convert_tokens_to_ids(tokenizer.convert_ids_to_tokens(every)) == every
    assert tokenizer.convert_ids_to_tokens(2) == tokenizer.cls_token == "[CLS]"
    assert tokenizer.get_vocab()["[SEP]"] == tokenizer.sep_token_id


def test_an_id_of_another_vocabulary_is_refused(bert: AlbertTokenizer) -> None:
    with pytest.raises(TokenizerError, match="expected ids from 0 to 9, found 10"):
        bert.decode([10])


def test_word_starts_are_a_table_over_the_vocabulary(
    tokenizer: AlbertTokenizer, bert: AlbertTokenizer
) -> None:
    assert bert.word_start_table.tolist() == [True] * 8 + [False, True]
    assert tokenizer.word_start_table.shape == (2000,)
    assert tokenizer.word_start_table[tokenizer.convert_tokens_to_ids("▁the")]


@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
def test_a_saved_folder_gives_the_same_tokenizer(
    tmp_path: Path, tokenizer: AlbertTokenizer, bert: AlbertTokenizer, kind: str
) -> None:
    saved = tokenizer if kind == "sentencepiece" else bert
    saved.save_pretrained(tmp_path)
    again = AlbertTokenizer.from_pretrained(tmp_path)
    assert again.fingerprint == saved.fingerprint
    assert (again.kind, again.do_lower_case, again.model_max_length) == (kind, True, 512)
    assert again("A b [MASK]") == saved("A b [MASK]")


def test_lower_casing_is_stored_in_the_folder_and_in_the_fingerprint(
    tmp_path: Path, bert: AlbertTokenizer
) -> None:
    cased = AlbertTokenizer(WordPieceEncoder([*BERT, "A"], lower_case=False), model_max_length=64)
    cased.save_pretrained(tmp_path)
    again = AlbertTokenizer.from_pretrained(tmp_path)
    assert (again.do_lower_case, again.model_max_length) == (False, 64)
    assert again.encode("A", add_special_tokens=False) == [10]
    lowered = AlbertTokenizer.from_pretrained(tmp_path, do_lower_case=True)
    assert lowered.encode("A", add_special_tokens=False) == [5]
    assert lowered.fingerprint != again.fingerprint


def test_a_published_folder_needs_no_config(tmp_path: Path) -> None:
    (tmp_path / "30k-clean.model").write_bytes(MODEL.read_bytes())
    tokenizer = AlbertTokenizer.from_pretrained(str(tmp_path))
    assert (tokenizer.kind, tokenizer.do_lower_case, len(tokenizer)) == ("sentencepiece", True, 2000)


def test_the_unlimited_length_of_transformers_becomes_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(BERT), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": int(1e30)}))
    assert AlbertTokenizer.from_pretrained(tmp_path).model_max_length == 512


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "found none; copy it"),
        (
            {"spiece.model": b"", "vocab.txt": b"a\n"},
            "expected one vocabulary, found spiece.model, vocab.txt",
        ),
        ({"a.model": b"", "b.model": b""}, "expected one vocabulary, found a.model, b.model"),
        ({"spiece.model": b"junk"}, "spiece.model: not a SentencePiece model"),
        ({"vocab.txt": b"a\nb\n"}, r"vocab.txt: expected the special pieces \[PAD\]"),
        ({"vocab.txt": b"a\na\n"}, "vocab.txt:2: 'a' is already on line 1"),
        (
            {"vocab.txt": "\n".join(BERT).encode(), "tokenizer_config.json": b"{"},
            "tokenizer_config.json: expected JSON",
        ),
        ({"vocab.txt": "\n".join(BERT).encode(), "tokenizer_config.json": b"[]"}, "expected a JSON object"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TokenizerError, match=message) as caught:
        AlbertTokenizer.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such file or folder"):
        AlbertTokenizer.from_pretrained(tmp_path / "nowhere")


def test_an_unknown_field_is_an_attribute_error(bert: AlbertTokenizer) -> None:
    with pytest.raises(AttributeError, match="no field 'logits'"):
        _ = bert("a").logits


def test_the_text_layer_does_not_load_torch() -> None:
    code = "import sys, albert.text.tokenizer, albert.text.vocabulary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
