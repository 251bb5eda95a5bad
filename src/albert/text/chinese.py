"""Where words start in Chinese, which neither spaces nor pieces show.

A segmenter finds the words of the raw text; the pieces stay those of the plain text, so the only difference
for a model is which tokens are masked together. The original's Chinese models mask single characters;
albert_zh masks words of jieba, as this does. The segmenter is the price: it needs the package rjieba.

Letters: N tokens of a batch of sentences.
"""

import re
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from albert.distribution import install_command
from albert.errors import ConfigError
from albert.text.cleaning import is_ideograph
from albert.text.pieces import PieceEncoder
from albert.text.sentencepiece import SPACE
from albert.text.words import WordRule, separates

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_CACHED_WORDS = 1 << 18

_SURROGATE = re.compile("[\ud800-\udfff]")


class _Word(NamedTuple):
    """Facts about a word that the segmenter found."""

    width: int
    """Number of clean characters, without spaces."""
    chinese: bool
    """Whether it has an ideograph; other words follow the ordinary rule."""


class ChineseWords:
    """A vocabulary together with a segmenter of Chinese words."""

    def __init__(self, encoder: PieceEncoder, rule: WordRule) -> None:
        """Combine a vocabulary with the segmenter.

        Args:
            encoder: The vocabulary.
            rule: Where words start outside Chinese; for it, every Chinese piece is a word.

        Raises:
            ConfigError: The segmenter is not installed.
        """
        segment([])
        self._encoder = encoder
        self._rule = rule
        self._word = lru_cache(maxsize=_CACHED_WORDS)(self._look_at)
        unknown = encoder.id_of(encoder.special_pieces["unk_token"])
        closed = {encoder.id_of(piece) for piece in encoder.special_pieces.values()} - {unknown}
        self._may_continue = np.array(
            [
                id_ == unknown or not (id_ in closed or piece[:1] == SPACE or separates(piece[0]))
                for id_, piece in enumerate(encoder.vocabulary)
            ]
        )
        self._may_be_continued = np.array(
            [
                id_ == unknown or not (id_ in closed or separates(piece[-1]))
                for id_, piece in enumerate(encoder.vocabulary)
            ]
        )

    def encode(self, texts: list[str]) -> tuple[list[list[int]], list[list[bool]]]:
        """Return the ids of many raw texts, and whether each token starts a word.

        A token that starts inside a word of the segmenter continues that word, if the word has an ideograph.
        Punctuation and the token after it always start a word. A token that extends beyond its word belongs
        to the word in which it starts.
        """
        measured = self._encoder.encode_measured(texts)
        rows = [ids for ids, _ in measured]
        ids = np.fromiter(chain.from_iterable(rows), np.int64)
        bounds = np.cumsum([0, *map(len, rows)])
        inside = self._begin_inside(texts, [widths for _, widths in measured])
        inside &= self._may_continue[ids]
        inside[1:] &= self._may_be_continued[ids[:-1]]
        opens = self._rule.opens(ids) & ~inside
        opens[bounds[bounds < len(ids)]] = True
        flags = opens.tolist()
        return rows, [flags[start:end] for start, end in pairwise(bounds.tolist())]

    def _begin_inside(self, texts: list[str], piece_widths: list[list[int]]) -> BoolArray:
        """Return (N,) whether each token starts inside a Chinese word of the segmenter."""
        piece_places: list[list[int]] = []
        word_places: list[list[int]] = []
        chinese: list[bool] = []
        for text, widths, words in zip(texts, piece_widths, segment(texts), strict=True):
            found = [self._word(word) for word in words]
            chinese += [word.chinese for word in found]
            if sum(widths) == sum(word.width for word in found):
                piece_places.append(_places(widths))
                word_places.append(_places([word.width for word in found]))
            else:
                # Cleaning joined characters of two words, so raw offsets are needed.
                piece_places.append([piece.start for piece in self._encoder.encode_aligned(text)])
                word_places.append(_places([len(word) for word in words]))
        # All sentences on one number line, far enough apart: one search for the whole batch.
        stride = 1 + max(map(max, filter(None, chain(piece_places, word_places))), default=0)
        pieces, starts = _on_one_line(piece_places, stride), _on_one_line(word_places, stride)
        word = np.searchsorted(starts, pieces, side="right") - 1
        return np.array(chinese, np.bool_)[word] & (starts[word] < pieces)

    def _look_at(self, word: str) -> _Word:
        return _Word(self._encoder.measure(word), any(map(is_ideograph, word)))


def segment(texts: list[str]) -> list[list[str]]:
    """Return the words of Chinese texts, spaces included: joined, they are the texts.

    Raises:
        ConfigError: The segmenter is not installed.
    """
    try:
        import rjieba
    except ImportError as error:
        raise ConfigError(
            f"Chinese words need the segmenter rjieba, which is not installed; run: {install_command('zh')}"
        ) from error
    # The segmenter does not take half a surrogate pair.
    return [rjieba.cut(_SURROGATE.sub("?", text)) for text in texts]


def word_starts(text: str) -> list[int]:
    """Return the raw characters at which the words of a Chinese text start; [] for an empty text.

    Raises:
        ConfigError: The segmenter is not installed.
    """
    [words] = segment([text])
    return _places([len(word) for word in words])


def _places(widths: list[int]) -> list[int]:
    """Return the starts of adjacent things of these widths."""
    return list(accumulate(widths, initial=0))[:-1]


def _on_one_line(rows: list[list[int]], stride: int) -> IntArray:
    """Return the places of all rows, with those of row i shifted by `i * stride`."""
    moves = np.repeat(np.arange(len(rows)) * stride, [len(row) for row in rows])
    return np.fromiter(chain.from_iterable(rows), np.int64, len(moves)) + moves
