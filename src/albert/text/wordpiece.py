"""Words split into the longest pieces of a BERT vocabulary.

Plain Python with a cache of a quarter of a million words, since most words of a text are repeated.
Source: `WordpieceTokenizer` and `load_vocab` in google-research/albert tokenization.py.
"""

from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert.errors import TokenizerError
from albert.text.cleaning import keeps_accents, split_words, split_words_aligned
from albert.text.pieces import Kind, Piece

CONTINUATION = "##"
"""Prefix of a piece that continues a word."""

MAX_WORD_CHARACTERS = 200
"""Longer words are unknown; `max_input_chars_per_word` of the original."""

_CACHED_WORDS = 1 << 18


class WordPieceEncoder:
    """A WordPiece vocabulary and the cleaning of text before it."""

    kind: Kind = "wordpiece"

    def __init__(self, vocabulary: list[str], *, lower_case: bool, keep_accents: bool | None = None) -> None:
        self.vocabulary = vocabulary
        self.lower_case = lower_case
        self.keep_accents = keeps_accents(lower_case, keep_accents)
        self.special_pieces = {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        }
        self.extra_special_pieces: list[str] = []
        self.base_size = len(vocabulary)
        self._ids = {piece: id_ for id_, piece in enumerate(vocabulary)}
        self._unknown_id = self._ids.get("[UNK]", 0)
        self._longest = max((len(piece) for piece in vocabulary), default=0)
        self._word_ids = lru_cache(maxsize=_CACHED_WORDS)(self._encode_word)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes an equal encoder: the cache of words is not copied."""
        make = partial(WordPieceEncoder, lower_case=self.lower_case, keep_accents=self.keep_accents)
        return make, (self.vocabulary,)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of many raw texts, without special pieces."""
        return [list(chain.from_iterable(map(self._word_ids, self.words(text)))) for text in texts]

    def encode_flat(self, texts: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of many raw texts end to end, (N,), and how many each text has."""
        rows = self.encode(texts)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return np.fromiter(chain.from_iterable(rows), np.int32, lengths.sum()), lengths

    def words(self, text: str) -> list[str]:
        """Return the words of a raw text, which the original calls basic tokens."""
        return split_words(text, lower_case=self.lower_case, keep_accents=self.keep_accents)

    def encode_aligned(self, text: str) -> list[Piece]:
        """Return the pieces of one raw text with their raw ranges."""
        pieces: list[Piece] = []
        words = split_words_aligned(text, lower_case=self.lower_case, keep_accents=self.keep_accents)
        for word in words:
            for piece, start, end in self.split_word(word.text):
                pieces.append(Piece(piece, self.id_of(piece), word.starts[start], word.ends[end - 1]))
        return pieces

    def split_word(self, word: str) -> list[tuple[str, int, int]]:
        """Return the pieces of one word and their ranges in it, from the left the longest that fits.

        A word that cannot be split completely, or has more than 200 characters, is one unknown piece.
        """
        unknown = [(self.special_pieces["unk_token"], 0, len(word))]
        if len(word) > MAX_WORD_CHARACTERS:
            return unknown
        pieces: list[tuple[str, int, int]] = []
        start = 0
        while start < len(word):
            opening = CONTINUATION if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                piece = opening + word[start:end]
                if piece in self._ids:
                    pieces.append((piece, start, end))
                    start = end
                    break
            else:
                return unknown
        return pieces

    def encode_measured(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Return the ids of many raw texts, and the number of clean characters of each token.

        Spaces are not counted; the first token of a word has all its characters.
        """
        rows: list[tuple[list[int], list[int]]] = []
        for text in texts:
            ids: list[int] = []
            widths: list[int] = []
            for word in self.words(text):
                found = self._word_ids(word)
                ids += found
                widths.append(len(word))
                if len(found) > 1:
                    widths += [0] * (len(found) - 1)
            rows.append((ids, widths))
        return rows

    def measure(self, text: str) -> int:
        """Return the number of clean characters in a raw text, without spaces."""
        return sum(map(len, self.words(text)))

    def id_of(self, piece: str) -> int:
        """Return the id of a piece, or that of the unknown piece if the vocabulary lacks it."""
        return self._ids.get(piece, self._unknown_id)

    def join(self, pieces: list[str]) -> str:
        """Return the text that pieces spell, words separated by spaces."""
        return " ".join(pieces).replace(f" {CONTINUATION}", "")

    def opens_word(self, piece: str) -> bool:
        """Whether a piece starts a word when whole words are masked."""
        return not piece.startswith(CONTINUATION)

    def file(self) -> tuple[str, bytes]:
        """Return name and content of the vocabulary file."""
        return "vocab.txt", "".join(f"{piece}\n" for piece in self.vocabulary).encode()

    def _encode_word(self, word: str) -> list[int]:
        return [self.id_of(piece) for piece, _, _ in self.split_word(word)]


def read_vocabulary(path: Path) -> list[str]:
    """Read a vocab.txt: the piece of id `i` is line `i`, counted from 0.

    Lines end at a newline only: the Chinese vocabulary of BERT has a line that is U+2028.

    Raises:
        TokenizerError: A line is empty, repeated or not UTF-8.
    """
    lines = path.read_bytes().split(b"\n")
    if not lines[-1].strip(b"\r"):
        del lines[-1]
    pieces: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        try:
            piece = line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise TokenizerError(
                f"{path}:{number}: expected a piece in UTF-8, found the byte "
                f"0x{line[error.start]:02x}; save the vocabulary as UTF-8"
            ) from error
        if not piece:
            raise TokenizerError(
                f"{path}:{number}: expected a piece, found an empty line; "
                "ids are line numbers, so insert the missing piece"
            )
        if piece in pieces:
            raise TokenizerError(
                f"{path}:{number}: {piece!r} is already on line {pieces[piece]}; "
                "ids are line numbers, so each piece must occur once"
            )
        pieces[piece] = number
    return list(pieces)
