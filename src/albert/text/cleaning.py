"""Raw text cleaned as the original does, with the source of each character if needed.

Every cleaning exists twice: as a function of whole strings, which is fast enough for corpora, and with an
alignment, for offsets. Tests make sure that the two agree.
Source: `preprocess_text` and `BasicTokenizer` in google-research/albert tokenization.py.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

LEAST_LOST_MARKS = 0.005
"""Share of characters that lose a mark from which on the marks belong to the language; English has fewer."""

_WORD = re.compile(r"\S+")
_SURROGATES = re.compile("[\ud800-\udfff]")

# Blocks of CJK ideographs; kana and Hangul are not split, as in the original.
_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignedText:
    """A cleaned text and, for each of its characters, the raw characters from which it came."""

    text: str
    """Cleaned characters."""
    starts: list[int]
    """First raw character of each cleaned one."""
    ends: list[int]
    """One past the last raw character of each; a removed accent belongs to its letter."""


def preprocess_text(text: str, *, lower_case: bool, keep_accents: bool = False) -> str:
    """Return the text as SentencePiece models of ALBERT expect it.

    Whitespace collapses to single spaces, characters decompose (NFKD), combining marks are removed, and
    `lower_case` lower-cases; with `keep_accents` characters stay as they are, only halves of broken UTF-16
    pairs are removed. Quotes are not rewritten, unlike in transformers.
    Source: `preprocess_text` of the original; `keep_accents` of transformers' `AlbertTokenizer`.
    """
    text = " ".join(text.split())
    if keep_accents:
        text = _SURROGATES.sub("", text)
    elif not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        # A loop over distinct characters is short enough for a corpus.
        for character in set(text):
            if _is_mark(character):
                text = text.replace(character, "")
    return text.lower() if lower_case else text


def preprocess_aligned(text: str, *, lower_case: bool, keep_accents: bool = False) -> AlignedText:
    """Return the result of `preprocess_text` with the raw range of every character."""
    aligned = _Aligner()
    end_of_word = None
    for word in _WORD.finditer(text):
        if end_of_word is not None:
            aligned.add(" ", end_of_word, word.start())
        end_of_word = word.end()
        for position, character in enumerate(word.group(), start=word.start()):
            for part in character if keep_accents else unicodedata.normalize("NFKD", character):
                if _SURROGATES.match(part) if keep_accents else _is_mark(part):
                    aligned.extend_last(position)
                else:
                    aligned.add(part, position, position + 1)
    if lower_case:
        aligned.lower()
    return aligned.finish()


def split_words(text: str, *, lower_case: bool, keep_accents: bool | None = None) -> list[str]:
    """Return the words that WordPiece splits: whitespace, punctuation and ideographs separate them.

    Lower-casing also removes accents, unless `keep_accents` says otherwise.
    Source: `BasicTokenizer.tokenize` of the original; `strip_accents` of transformers' `BertTokenizer`.
    """
    text = text.translate(_CLEANED)
    if lower_case:
        text = text.lower()
    if not (keeps_accents(lower_case, keep_accents) or text.isascii()):
        text = unicodedata.normalize("NFD", text).translate(_WITHOUT_ACCENTS)
    return text.translate(_PUNCTUATION_SPACED).split()


def split_words_aligned(
    text: str, *, lower_case: bool, keep_accents: bool | None = None
) -> list[AlignedText]:
    """Return the result of `split_words` with the raw range of every character."""
    aligned = _Aligner()
    for position, character in enumerate(text):
        for part in character.translate(_CLEANED):
            aligned.add(part, position, position + 1)
    if lower_case:
        aligned.lower()
    if not keeps_accents(lower_case, keep_accents):
        aligned = _without_accents(aligned)
    words: list[AlignedText] = []
    word = _Aligner()
    for character, start, end in zip(aligned.characters, aligned.starts, aligned.ends, strict=True):
        alone = is_punctuation(character)
        if (alone or character.isspace()) and word.characters:
            words.append(word.finish())
            word = _Aligner()
        if alone:
            words.append(AlignedText(text=character, starts=[start], ends=[end]))
        elif not character.isspace():
            word.add(character, start, end)
    if word.characters:
        words.append(word.finish())
    return words


def keeps_accents(lower_case: bool, keep_accents: bool | None) -> bool:
    """Whether WordPiece keeps accents; if nothing is set (None), exactly in text that is not lower-cased."""
    return not lower_case if keep_accents is None else keep_accents


def lost_marks(characters: Counter[str]) -> dict[str, int]:
    """Return the counts of those characters from which cleaning takes a combining mark, most frequent first.

    Umlauts and accents lose the mark; marks that are characters, such as Indian vowel signs, vanish.
    """
    return {x: count for x, count in characters.most_common() if _has_mark(x)}


def _has_mark(character: str) -> bool:
    return any(map(unicodedata.combining, unicodedata.normalize("NFKD", character)))


def is_punctuation(character: str) -> bool:
    """Whether WordPiece splits at a character: Unicode categories P*, and every ASCII symbol."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")


def is_ideograph(character: str) -> bool:
    """Whether a character is a CJK ideograph, which is a word by itself."""
    code = ord(character)
    return any(first <= code <= last for first, last in _IDEOGRAPHS)


def is_dropped(character: str) -> bool:
    """Whether WordPiece drops a character: control and format characters, and U+FFFD."""
    if character in "\t\n\r":
        return False
    return character == "\ufffd" or unicodedata.category(character) in {"Cc", "Cf"}


def _is_mark(character: str) -> bool:
    """Whether a decomposed character is removed: an accent, or half of a broken UTF-16 pair."""
    return unicodedata.combining(character) > 0 or "\ud800" <= character <= "\udfff"


class _Aligner:
    """A builder of `AlignedText`, character by character."""

    def __init__(self) -> None:
        self.characters: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, character: str, start: int, end: int) -> None:
        self.characters.append(character)
        self.starts.append(start)
        self.ends.append(end)

    def extend_last(self, position: int) -> None:
        """Add a removed raw character to the range of the one before, if that is adjacent."""
        if self.ends and self.ends[-1] == position and not self.characters[-1].isspace():
            self.ends[-1] = position + 1

    def lower(self) -> None:
        # The whole text at once, since a capital sigma becomes a final one only at the end of a word.
        lowered = "".join(self.characters).lower()
        widths = [len(character.lower()) for character in self.characters]
        assert sum(widths) == len(lowered)
        self.starts = _repeat(self.starts, widths)
        self.ends = _repeat(self.ends, widths)
        self.characters = list(lowered)

    def finish(self) -> AlignedText:
        return AlignedText(text="".join(self.characters), starts=self.starts, ends=self.ends)


def _repeat(values: list[int], widths: list[int]) -> list[int]:
    return [value for value, width in zip(values, widths, strict=True) for _ in range(width)]


def _without_accents(source: _Aligner) -> _Aligner:
    """Return the characters decomposed (NFD) and without nonspacing marks."""
    result = _Aligner()
    for character, start, end in zip(source.characters, source.starts, source.ends, strict=True):
        for part in unicodedata.normalize("NFD", character):
            if unicodedata.category(part) == "Mn":
                result.extend_last(start)
            else:
                result.add(part, start, end)
    # Decomposing the whole text also sorts runs of marks; the ranges keep the raw order.
    sorted_text = unicodedata.normalize("NFD", "".join(result.characters))
    assert len(sorted_text) == len(result.characters)
    result.characters = list(sorted_text)
    return result


class _Translation(dict[int, str | None]):
    """A table for `str.translate` that applies a rule once to each distinct character."""

    def __init__(self, rule: Callable[[str], str | None]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str | None:
        self[code] = replacement = self._rule(chr(code))
        return replacement


def _cleaned(character: str) -> str | None:
    if character in "\t\n\r" or unicodedata.category(character) == "Zs":
        return " "
    if is_dropped(character):
        return None
    return f" {character} " if is_ideograph(character) else character


def _without_accent(character: str) -> str | None:
    return None if unicodedata.category(character) == "Mn" else character


def _punctuation_spaced(character: str) -> str:
    return f" {character} " if is_punctuation(character) else character


_CLEANED = _Translation(_cleaned)
_WITHOUT_ACCENTS = _Translation(_without_accent)
_PUNCTUATION_SPACED = _Translation(_punctuation_spaced)
