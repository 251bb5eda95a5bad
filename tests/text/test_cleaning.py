"""Cleaning: the aligned form against the plain one, and against rules of the original."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.text.cleaning import preprocess_aligned, preprocess_text, split_words, split_words_aligned

# Characters whose cleaning is special, far more often than by chance.
ODD = "\u0301\u0323ﬁ½İΣς e\u00e9A\t\n\u00a0\u2028\u3000\x00\x1c\u200b\ufffd\ud800한中で̈́ͅ、!,▁1😀\u1fef\u00b4"
texts = st.text(st.one_of(st.sampled_from(ODD), st.characters()), max_size=30)


@given(texts, st.booleans())
def test_aligned_cleaning_gives_the_same_text(text: str, lower_case: bool) -> None:
    aligned = preprocess_aligned(text, lower_case=lower_case)
    assert aligned.text == preprocess_text(text, lower_case=lower_case)
    assert len(aligned.starts) == len(aligned.ends) == len(aligned.text)


@given(texts, st.booleans())
def test_aligned_words_are_the_words(text: str, lower_case: bool) -> None:
    aligned = split_words_aligned(text, lower_case=lower_case)
    assert [word.text for word in aligned] == split_words(text, lower_case=lower_case)


@given(texts, st.booleans())
def test_ranges_are_ordered_and_not_empty(text: str, lower_case: bool) -> None:
    aligned = preprocess_aligned(text, lower_case=lower_case)
    ranges = list(zip(aligned.starts, aligned.ends, strict=True))
    assert all(0 <= start < end <= len(text) for start, end in ranges)
    assert aligned.starts == sorted(aligned.starts)
    assert aligned.ends == sorted(aligned.ends)


@given(texts)
def test_lower_cased_text_stays_when_cleaned_again(text: str) -> None:
    once = " ".join(preprocess_text(text, lower_case=True).split())
    assert preprocess_text(once, lower_case=True) == once


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  two \t words\n", "two words"),
        ("Café ÅNGSTRÖM", "cafe angstrom"),
        ("ﬁne ½", "fine 1⁄2"),
        ("``quoted''", "``quoted''"),
        ("ΣΑΣ", "σας"),
        ("broken \ud83d pair", "broken  pair"),
    ],
)
def test_cleaning_follows_the_original(raw: str, clean: str) -> None:
    assert preprocess_text(raw, lower_case=True) == clean


def test_an_accent_belongs_to_its_letter() -> None:
    aligned = preprocess_aligned("e\u0301x", lower_case=False)
    assert (aligned.text, aligned.starts, aligned.ends) == ("ex", [0, 2], [2, 3])


def test_every_part_of_a_ligature_comes_from_it() -> None:
    aligned = preprocess_aligned("aﬃ", lower_case=False)
    assert (aligned.text, aligned.starts) == ("affi", [0, 1, 1, 1])


@given(texts)
def test_cased_words_keep_their_accents(text: str) -> None:
    kept = "".join(split_words(text, lower_case=False))
    dropped = {"Cc", "Cf", "Zs", "Zl", "Zp"}
    expected = [x for x in text if unicodedata.category(x) not in dropped and x != "\ufffd"]
    assert list(kept) == expected
