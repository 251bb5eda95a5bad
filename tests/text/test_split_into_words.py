"""Texts that are given as lists of words: ids, word numbers and offsets as in transformers."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from albert.errors import TokenizerError
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import WordPieceEncoder

MODEL = Path(__file__).parents[1] / "golden" / "tokenization" / "30k-clean.model"
LETTERS = "abcdefghijklmnopqrstuvwxyz.,中文"
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS), "the", "value"]
SENTENCES = [["The", "values", "of", "Peter's", "type,"], ["naïve", "", "中文字", "x"], ["one"]]


@pytest.fixture(params=["sentencepiece", "wordpiece"])
def tokenizer(request: pytest.FixtureRequest) -> AlbertTokenizer:
    if request.param == "wordpiece":
        return AlbertTokenizer(WordPieceEncoder(BERT, lower_case=True))
    return AlbertTokenizer(SentencePieceEncoder(MODEL.read_bytes(), lower_case=True))


@pytest.fixture
def theirs(tokenizer: AlbertTokenizer, tmp_path: Path) -> Any:
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "albert"}))
    return AutoTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{}, {"padding": True}, {"truncation": True, "max_length": 6}, {"add_special_tokens": False}],
)
def test_lists_of_words_give_the_ids_and_words_of_transformers(
    tokenizer: AlbertTokenizer, theirs: Any, changes: dict[str, Any]
) -> None:
    found = tokenizer(SENTENCES, is_split_into_words=True, **changes)
    expected = theirs(SENTENCES, is_split_into_words=True, **changes)
    assert found["input_ids"] == expected["input_ids"]
    assert found["attention_mask"] == expected["attention_mask"]
    assert "word_ids" not in found
    for index in range(len(SENTENCES)):
        assert found.word_ids(index) == expected.word_ids(index)


def test_one_list_of_words_and_pairs_are_encoded(tokenizer: AlbertTokenizer, theirs: Any) -> None:
    one = tokenizer(SENTENCES[0], is_split_into_words=True)
    assert one["input_ids"] == theirs(SENTENCES[0], is_split_into_words=True)["input_ids"]
    assert one.word_ids() == theirs(SENTENCES[0], is_split_into_words=True).word_ids()
    pair = tokenizer(SENTENCES[0], SENTENCES[1], is_split_into_words=True)
    assert pair["input_ids"] == theirs(SENTENCES[0], SENTENCES[1], is_split_into_words=True)["input_ids"]
    assert (
        pair["token_type_ids"]
        == theirs(SENTENCES[0], SENTENCES[1], is_split_into_words=True)["token_type_ids"]
    )
    several = tokenizer(
        SENTENCES, SENTENCES[::-1], is_split_into_words=True, padding=True, return_tensors="np"
    )
    assert several["input_ids"].shape[0] == 3
    assert several.word_ids(2)[:2] == [None, 0]


def test_offsets_count_from_the_beginning_of_the_word(tokenizer: AlbertTokenizer) -> None:
    found = tokenizer(
        SENTENCES[0], is_split_into_words=True, return_offsets_mapping=True, add_special_tokens=False
    )
    for word, (start, end) in zip(found.word_ids(), found["offset_mapping"], strict=True):
        assert word is not None
        assert 0 <= start <= end <= len(SENTENCES[0][word])


@pytest.mark.parametrize("text", ["a text", ["a", ["b"]], [["a", 3]], [3]])
def test_texts_that_are_not_lists_of_words_are_refused(tokenizer: AlbertTokenizer, text: Any) -> None:
    with pytest.raises(TokenizerError, match="expected a list of words, or a list of such lists"):
        tokenizer(text, is_split_into_words=True)


def test_words_of_a_whole_text_stand_between_spaces(tokenizer: AlbertTokenizer) -> None:
    words = tokenizer("a text").word_ids()
    assert words[0] is words[-1] is None
    assert sorted(set(words[1:-1])) == [0, 1]  # type: ignore[type-var]
