"""Training of vocabularies: layout, reproducibility, bad input."""

import random
from collections.abc import Callable, Iterator
from itertools import product

import pytest

from albert.errors import DataError, TokenizerError
from albert.text.vocabulary import train_sentencepiece, train_wordpiece

Train = Callable[..., object]


def make_corpus(*, sentences: int, seed: int) -> list[str]:
    """Return sentences of made-up words, with also with numbers, symbols, accents and Chinese."""
    draw = random.Random(seed)
    syllables = ["".join(parts) for parts in product("bdkmnst", "aeiou", ["", "r", "n"])]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(300)]
    words += [word.capitalize() for word in words[:60]]
    words += ["1990,", "3,", "10,000,", "(né", "£5)", "–", "€", '"re"', "Ａ", "中文"] * 3
    return [" ".join(draw.choices(words, k=9)) + "." for _ in range(sentences)]


CORPUS = make_corpus(sentences=400, seed=0)


def test_sentencepiece_has_the_published_layout() -> None:
    encoder = train_sentencepiece(CORPUS, vocab_size=120)
    expected = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "(", ")", '"', "-", ".", "–", "£", "€"]
    assert encoder.vocabulary[:13] == expected
    assert len(encoder.vocabulary) == 120


def test_the_eight_symbols_are_always_separate_pieces() -> None:
    encoder = train_sentencepiece(CORPUS, vocab_size=120)
    pieces = [piece.text for piece in encoder.encode_aligned('ba(la)"mu-tor."–£€...')]
    assert [piece for piece in pieces if len(piece.lstrip("▁")) > 1 and set(piece) & set('()"-.–£€')] == []


def test_no_piece_has_a_number_with_its_comma() -> None:
    encoder = train_sentencepiece(CORPUS, vocab_size=150)
    assert not encoder.resplit_ids
    assert "," in encoder.vocabulary


def test_wordpiece_has_the_layout_of_bert() -> None:
    encoder = train_wordpiece(CORPUS, vocab_size=120)
    assert encoder.vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(encoder.vocabulary) == len(set(encoder.vocabulary)) == 120


@pytest.mark.parametrize("train", [train_sentencepiece, train_wordpiece])
def test_the_vocabulary_fits_the_cleaned_text_of_encoding(train: Train) -> None:
    lowered = train(CORPUS, vocab_size=120, lower_case=True)
    cased = train(CORPUS, vocab_size=120, lower_case=False)
    assert not any(x != x.lower() for x in lowered.vocabulary[5:])
    assert any(x != x.lower() for x in cased.vocabulary[5:])
    for encoder in (lowered, cased):
        unknown = encoder.id_of(encoder.special_pieces["unk_token"])
        assert not any(unknown in ids for ids in encoder.encode(CORPUS))


@pytest.mark.parametrize("train", [train_sentencepiece, train_wordpiece])
def test_the_same_text_gives_the_same_bytes(train: Train) -> None:
    assert train(CORPUS, vocab_size=130).file() == train(iter(CORPUS), vocab_size=130).file()


def test_a_sample_depends_on_the_seed_alone() -> None:
    files = [
        train_sentencepiece(CORPUS, vocab_size=110, sample_sentences=101, seed=x).file() for x in (1, 1, 2)
    ]
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize("train", [train_sentencepiece, train_wordpiece])
def test_a_vocabulary_larger_than_the_text_supports_names_the_largest(train: Train) -> None:
    with pytest.raises(TokenizerError, match=r"at most \d+ pieces, not for 9999") as caught:
        train(CORPUS, vocab_size=9999)
    largest = int(str(caught.value).split("at most ")[1].split()[0])
    assert len(train(CORPUS, vocab_size=largest).vocabulary) == largest


@pytest.mark.parametrize("train", [train_sentencepiece, train_wordpiece])
def test_a_vocabulary_smaller_than_the_characters_names_the_smallest(train: Train) -> None:
    with pytest.raises(TokenizerError, match=r"needs at least \d+ pieces, not 15"):
        train(CORPUS, vocab_size=15)


@pytest.mark.parametrize("train", [train_sentencepiece, train_wordpiece])
@pytest.mark.parametrize("corpus", [[], ["", " \n"], ["\x01"]])
def test_no_text_is_an_error(train: Train, corpus: list[str]) -> None:
    with pytest.raises(TokenizerError, match="found none; check --input"):
        train(corpus, vocab_size=100)


@pytest.mark.parametrize("train", [train_sentencepiece, train_wordpiece])
def test_an_error_while_reading_stays_itself(train: Train) -> None:
    def broken() -> Iterator[str]:
        yield from CORPUS
        raise DataError("corpus.txt:401: not UTF-8")

    with pytest.raises(DataError, match="401"):
        train(broken(), vocab_size=100)


def test_long_lines_are_not_lost() -> None:
    encoder = train_sentencepiece([" ".join(CORPUS)], vocab_size=120)
    assert len(encoder.vocabulary) == 120


def test_training_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    train_sentencepiece(CORPUS, vocab_size=120)
    with pytest.raises(TokenizerError):
        train_sentencepiece(CORPUS, vocab_size=9999)
    train_wordpiece(CORPUS, vocab_size=120)
    assert capfd.readouterr() == ("", "")
