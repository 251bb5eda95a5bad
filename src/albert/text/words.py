"""Where words start in a sequence of tokens, for masking of whole words.

Prepared text is token ids and nothing else, so a rule is two tables over the vocabulary: a piece offers
kinds of borders on its right and accepts kinds on its left, and two neighbours belong to one word if they
share a kind. That is fast, but sees only neighbours.
Source: `_is_start_piece_sp` in create_pretraining_data.py of google-research/albert (the rule "english");
Unicode Standard Annex #29, word boundaries (the rule "unicode").

Letters: V pieces of the vocabulary, N tokens of a text.
"""

import unicodedata
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from albert.choices import WordRuleName
from albert.text.pieces import Kind
from albert.text.sentencepiece import SPACE

BoolArray = npt.NDArray[np.bool_]
IdArray = npt.NDArray[np.integer[Any]]

# Tokens handled at once, so that their arrays fit into the cache.
_BLOCK = 1 << 16


class Vocabulary(Protocol):
    """What a rule needs to know of a tokenizer."""

    @property
    def unk_token_id(self) -> int:
        """Id of the unknown piece."""

    @property
    def kind(self) -> Kind:
        """Kind of the vocabulary."""

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special pieces."""

    @property
    def word_start_table(self) -> BoolArray:
        """(V,) whether a piece starts a word by the original's rule."""

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every piece."""


class _Border(IntFlag):
    """Kinds of borders between two neighbouring tokens of one word."""

    SPACE = 1
    """A lone space and the word after it."""
    MARK = 2
    """Anything and a mark on it."""
    WORD = 4
    """Two letters or digits."""
    LETTER_MID = 8
    """A letter, and an apostrophe (or the like) before a letter."""
    DIGIT_MID = 16
    """A digit, and a point (or the like) before a digit."""
    MID_LETTER = 32
    """An apostrophe after a letter, and a letter."""
    MID_DIGIT = 64
    """A point after a digit, and a digit."""
    LONE_MID = 128
    """The highest, and never offered: the piece is a single apostrophe or point, so both sides
    count."""


_NOTHING = _Border(0)
_MID_SHIFT = 2
"""From LETTER_MID to MID_LETTER, and from DIGIT_MID to MID_DIGIT."""

_Class = Literal["letter", "digit", "mark", "unspaced", "mid letter", "mid number", "mid both", "other"]
"""A mid is inside a word, between two letters, two digits, or either; unspaced scripts have no spaces."""

# UAX #29, table 3, without the colon, which joins words in Swedish only; ICU omits it as well.
_MID_LETTER = frozenset("\u00b7\u0387\u055f\u05f4\u2027")
_MID_NUMBER = frozenset(",;\u037e\u0589\u060c\u060d\u066c\u07f8\u2044")
_MID_BOTH = frozenset("'.\u2018\u2019\u2024")

# They lengthen or repeat the character before them; Unicode calls them letters.
_REPETITIONS = frozenset("々〻ゝゞーヽヾｰ")

# Blocks of scripts that put no space between words; Python does not know the script of a character.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # radicals of Han
    (0x3005, 0x3007),  # Han: iteration, closing mark, zero
    (0x3021, 0x30FF),  # Han: numerals; Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana, phonetic extensions
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),  # Myanmar, extended B
    (0xAA60, 0xAADF),  # Myanmar, extended A; Tai Viet
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF66, 0xFF9D),  # Katakana, halfwidth
    (0x1AFF0, 0x1B16F),  # kana, extended
    (0x20000, 0x3FFFD),  # Han, further extensions
)


@dataclass(frozen=True, kw_only=True)
class WordRule:
    """Two tables over a vocabulary, which show which neighbouring tokens belong to one word."""

    offers: npt.NDArray[np.uint8]
    """(V,) kinds of borders on the right of a piece."""
    accepts: npt.NDArray[np.uint8]
    """(V,) kinds of borders on the left of a piece."""

    def opens(self, ids: IdArray) -> BoolArray:
        """Return (N,) whether each token of `ids`, (N,), starts a word; the first always does."""
        opens = np.empty(len(ids), np.bool_)
        for start in range(0, len(ids), _BLOCK):
            # Two more on the left: a token after an apostrophe depends on the token before it.
            begin = max(0, start - 2)
            block = self._opens(ids[begin : start + _BLOCK + 1])
            opens[start : start + _BLOCK] = block[start - begin :][:_BLOCK]
        return opens

    def _opens(self, ids: IdArray) -> BoolArray:
        index = ids.astype(np.intp)
        accepts = self.accepts.take(index)
        shared = np.zeros(len(ids) + 1, np.uint8)  # the border before each token, and after the last
        np.bitwise_and(self.offers.take(index[:-1]), accepts[1:], out=shared[1:-1])
        opens = shared == 0

        mids = np.flatnonzero(accepts >= _Border.LONE_MID)
        before, after = shared[mids], shared[mids + 1]
        holds = (before << _MID_SHIFT) & after & (_Border.MID_LETTER | _Border.MID_DIGIT) > 0
        opens[mids] = ~holds & (before & _Border.SPACE == 0)
        opens[mids + 1] = ~holds & (after & _Border.MARK == 0)
        return opens[:-1]


def word_rule(tokenizer: Vocabulary, name: WordRuleName) -> WordRule:
    """Return the rule for where words start.

    "english": the original's table of single pieces, `word_start_table`. In a SentencePiece vocabulary only
    English letters continue a word: every token of Russian or Greek, or of a number, is a word.

    "unicode": in a SentencePiece vocabulary letters, marks and digits continue letters and digits, in all
    scripts. Punctuation and symbols are words by themselves, except an apostrophe or point between two
    letters or two digits, which joins them (`don't`, `3.5`). In scripts without spaces (Han, kana, Thai, ...)
    every token is a word, since only a segmenter knows more. A lone space belongs to what follows. An unknown
    token is a word by itself: between letters it is an underscore or a quote far more often than a letter.

    A WordPiece vocabulary marks its continuations, so both rules follow that mark.
    """
    if name == "english" or tokenizer.kind == "wordpiece":
        opens = tokenizer.word_start_table
        return WordRule(
            offers=np.full(len(opens), _Border.MARK, np.uint8),
            accepts=np.where(opens, _NOTHING, _Border.MARK).astype(np.uint8),
        )
    ids = tokenizer.get_vocab()
    pieces = sorted(ids, key=ids.__getitem__)
    borders = [_borders(piece) for piece in pieces]
    borders[tokenizer.unk_token_id] = (_Border.SPACE, _Border.MARK)
    for id_ in tokenizer.all_special_ids:
        if id_ != tokenizer.unk_token_id:
            borders[id_] = (_NOTHING, _NOTHING)
    accepts, offers = np.array(borders, np.uint8).T
    return WordRule(offers=offers.copy(), accepts=accepts.copy())


def separates(character: str) -> bool:
    """Whether a character is punctuation, a symbol or a control, and so not part of a word."""
    return _class_of(character) in {"other", "mid letter", "mid number", "mid both"}


def _borders(piece: str) -> tuple[_Border, _Border]:
    """Return what a SentencePiece piece accepts on its left and offers on its right."""
    text = piece.lstrip(SPACE)
    if not text:
        return _NOTHING, _Border.SPACE
    # Marks belong to their letters; a piece of marks only counts as a letter.
    classes: list[_Class] = [class_ for class_ in map(_class_of, text) if class_ != "mark"] or ["letter"]
    offers = _Border.MARK | _offers(classes)
    if _is_lone_mid(classes) and text != piece:
        offers = _Border.MARK
    if text != piece:
        return _NOTHING, offers
    if _class_of(text[0]) == "mark":
        return _Border.SPACE | _Border.MARK, offers
    return _Border.SPACE | _accepts(classes), offers


def _offers(classes: list[_Class]) -> _Border:
    """Return what letters, digits and the like at the end of a piece offer."""
    last, before = classes[-1], classes[-2] if len(classes) > 1 else None
    if last == "letter":
        return _Border.WORD | _Border.LETTER_MID
    if last == "digit":
        return _Border.WORD | _Border.DIGIT_MID
    offers = _NOTHING
    if last in {"mid letter", "mid both"} and before in {"letter", None}:
        offers |= _Border.MID_LETTER
    if last in {"mid number", "mid both"} and before in {"digit", None}:
        offers |= _Border.MID_DIGIT
    return offers


def _accepts(classes: list[_Class]) -> _Border:
    """Return what letters, digits and the like at the start of a piece accept."""
    first, after = classes[0], classes[1] if len(classes) > 1 else None
    if first == "letter":
        return _Border.WORD | _Border.MID_LETTER
    if first == "digit":
        return _Border.WORD | _Border.MID_DIGIT
    accepts = _Border.LONE_MID if _is_lone_mid(classes) else _NOTHING
    if first in {"mid letter", "mid both"} and after in {"letter", None}:
        accepts |= _Border.LETTER_MID
    if first in {"mid number", "mid both"} and after in {"digit", None}:
        accepts |= _Border.DIGIT_MID
    return accepts


def _is_lone_mid(classes: list[_Class]) -> bool:
    return len(classes) == 1 and classes[0].startswith("mid")


def _class_of(character: str) -> _Class:
    category = unicodedata.category(character)
    if category[0] == "M" or category == "Cf" or character in _REPETITIONS:
        return "mark"
    if category[0] == "L" or category == "Nl":
        code = ord(character)
        unspaced = any(first <= code <= last for first, last in _UNSPACED)
        return "unspaced" if unspaced else "letter"
    if category[0] == "N":
        return "digit"
    if character in _MID_LETTER:
        return "mid letter"
    if character in _MID_NUMBER:
        return "mid number"
    return "mid both" if character in _MID_BOTH else "other"
