"""Chinese words: those of the segmenter, on the pieces of the plain text."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.errors import ConfigError
from albert.text.chinese import segment, word_starts
from albert.text.cleaning import is_ideograph
from albert.text.sentencepiece import SentencePieceEncoder
from albert.text.tokenizer import AlbertTokenizer
from albert.text.vocabulary import train_sentencepiece
from albert.text.wordpiece import WordPieceEncoder
from albert.text.words import separates, word_rule

MODEL = Path(__file__).parents[1] / "golden" / "tokenization" / "30k-clean.model"
CHARACTERS = "我们在北京大学学习自然语言处理的方法長臺灣電腦網路軟體人民共和国研究生命手机体育馆"
LATIN = [*"abcdefghijklmnopqrstuvwxyz0123456789.,+-%()，。、！·"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(CHARACTERS), *LATIN]
BERT += [f"##{x}" for x in LATIN if x.isalnum()]


def make_wordpiece(*, lower_case: bool = True) -> AlbertTokenizer:
    return AlbertTokenizer(WordPieceEncoder(BERT, lower_case=lower_case))


def make_sentencepiece() -> AlbertTokenizer:
    """A vocabulary with pieces shorter and longer than words."""
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice([*CHARACTERS, "，", " ", "a", "3"], size=20)) for _ in range(40)]
    texts += ["北京大学的学习方法，abc 1990。", "中华人民共和国", "研究生命的方法", "ofen the 3.5%(x)"] * 30
    return AlbertTokenizer(train_sentencepiece(texts, vocab_size=130))


@pytest.fixture(scope="module")
def wordpiece() -> AlbertTokenizer:
    return make_wordpiece()


@pytest.fixture(scope="module", params=["wordpiece", "cased wordpiece", "sentencepiece", "English"])
def tokenizer(request: pytest.FixtureRequest) -> AlbertTokenizer:
    if request.param == "English":
        return AlbertTokenizer(SentencePieceEncoder(MODEL.read_bytes(), lower_case=True))
    if request.param == "sentencepiece":
        return make_sentencepiece()
    return make_wordpiece(lower_case=request.param == "wordpiece")


def words_of(tokenizer: AlbertTokenizer, text: str) -> list[str]:
    [ids], [opens] = tokenizer.encode_sentences_with_words([text])
    found: list[str] = []
    for id_, open_ in zip(ids, opens, strict=True):
        piece = tokenizer.convert_ids_to_tokens(id_)
        if open_:
            found.append(piece)
        else:
            found[-1] += f"+{piece}"
    return found


def by_raw_offsets(tokenizer: AlbertTokenizer, text: str) -> list[bool]:
    """Return whether each piece starts a word, found one by one on the raw text."""
    starts = [*word_starts(text), len(text)]
    spans = list(pairwise(starts))
    aligned = tokenizer._encoder.encode_aligned(text)
    opens = (
        word_rule(tokenizer, "unicode").opens(np.array([piece.id for piece in aligned], np.int64)).tolist()
    )
    for number, piece in enumerate(aligned[1:], start=1):
        before = aligned[number - 1]
        inside = any(
            start < piece.start < end and any(map(is_ideograph, text[start:end])) for start, end in spans
        )
        apart = piece.id != tokenizer.unk_token_id and (piece.text[0] == "▁" or separates(piece.text[0]))
        after_border = before.id != tokenizer.unk_token_id and separates(before.text[-1])
        if inside and not apart and not after_border:
            opens[number] = False
    return opens


def test_characters_of_a_word_are_masked_together(wordpiece: AlbertTokenizer) -> None:
    assert words_of(wordpiece, "我们在北京大学学习。") == ["我+们", "在", "北+京+大+学", "学+习", "。"]
    assert words_of(wordpiece, "臺灣的網路") != list("臺灣的網路")


def test_latin_words_and_numbers_keep_the_ordinary_rule(wordpiece: AlbertTokenizer) -> None:
    assert words_of(wordpiece, "手机abc，C++ 3.14%的") == [
        *["手+机", "a+##b+##c", "，", "c", "+", "+", "3", ".", "1+##4", "%", "的"]
    ]


def test_an_unknown_character_stays_in_its_word(wordpiece: AlbertTokenizer) -> None:
    assert "犇" not in wordpiece.get_vocab()
    assert segment(["犇犇"]) == [["犇犇"]]
    assert words_of(wordpiece, "犇犇") == ["[UNK]+[UNK]"]


def test_a_word_broken_by_a_space_is_two(wordpiece: AlbertTokenizer) -> None:
    assert words_of(wordpiece, "学 习　方\n法") == ["学", "习", "方", "法"]


def test_a_dictionary_word_of_both_scripts_is_one(wordpiece: AlbertTokenizer) -> None:
    assert segment(["T恤"]) == [["T恤"]]
    assert words_of(wordpiece, "T恤") == ["t+[UNK]"]


def test_no_texts_and_empty_texts_have_no_words(tokenizer: AlbertTokenizer) -> None:
    assert tokenizer.encode_sentences_with_words([]) == ([], [])
    assert tokenizer.encode_sentences_with_words(["", " \n"]) == ([[], []], [[], []])
    ids, opens = tokenizer.encode_sentences_with_words(["", "学习", "", "学习", ""])
    assert [len(row) for row in opens] == [len(row) for row in ids]
    assert opens[1] == opens[3]


def test_a_segmented_text_is_whole_and_its_starts_fit() -> None:
    text = "我们在 北京\t大学\x00, naïve 😀。"
    assert "".join(segment([text])[0]) == text
    starts = word_starts(text)
    assert starts == sorted(set(starts))
    assert [text[i] for i in starts[:3]] == ["我", "在", " "]
    assert word_starts("") == []


def test_half_a_surrogate_pair_does_not_stop_the_segmenter(tokenizer: AlbertTokenizer) -> None:
    text = "学习\ud800方法"
    ids, opens = tokenizer.encode_sentences_with_words([text])
    assert ids == tokenizer.encode_sentences([text])
    assert len(opens[0]) == len(ids[0])


ALPHABET = [
    *CHARACTERS,
    "北京大学",
    "自然语言",
    "犇",
    "T恤",
    " ",
    "\u3000",
    "abc",
    "C++",
    "1990,",
    "３．５",
    "％",
]
ALPHABET += [
    "，",
    "。",
    "……",
    "é",
    "İ",
    "ﬁ",
    "㎡",
    "각",
    "\x00",
    "\u200b",
    "\ufffd",
    "\u2028",
    "(",
    "豈",
    "𠀀",
    "Σ",
]


@given(texts=st.lists(st.lists(st.sampled_from(ALPHABET), max_size=12).map("".join), max_size=4))
def test_ids_are_those_of_the_plain_text_and_words_those_of_raw_offsets(
    tokenizer: AlbertTokenizer, texts: list[str]
) -> None:
    ids, opens = tokenizer.encode_sentences_with_words(texts)
    assert ids == tokenizer.encode_sentences(texts)
    assert opens == [by_raw_offsets(tokenizer, text) for text in texts]


def test_characters_that_join_across_words_are_located_by_raw_offsets() -> None:
    # Korean letters, which the table of the model joins to a syllable.
    tokenizer = make_sentencepiece()
    text = "学习한北京大学"
    [measured] = tokenizer._encoder.encode_measured([text])
    assert sum(measured[1]) < sum(tokenizer._encoder.measure(word) for word in segment([text])[0])
    assert tokenizer.encode_sentences_with_words([text])[1] == [by_raw_offsets(tokenizer, text)]


def test_without_the_segmenter_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, wordpiece: AlbertTokenizer
) -> None:
    monkeypatch.setitem(sys.modules, "rjieba", None)
    with pytest.raises(ConfigError, match=r"pip install 'albert-lm\[zh\]'"):
        make_wordpiece().encode_sentences_with_words(["学习"])
