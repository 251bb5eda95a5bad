"""What SentencePiece and WordPiece vocabularies have in common: a piece of a text, and an encoder.

Letters: N tokens of all texts, V pieces of the vocabulary.
"""

from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Kind = Literal["sentencepiece", "wordpiece"]


class Piece(NamedTuple):
    """A piece of the vocabulary, found in a text."""

    text: str
    """The characters of the piece; for an unknown piece of SentencePiece, the text it replaces."""
    id: int
    """Id in the vocabulary."""
    start: int
    """First raw character."""
    end: int
    """One past the last raw character; equal to `start` for a piece that is only a space."""


class PieceEncoder(Protocol):
    """A vocabulary and the cleaning of text before it."""

    kind: Kind
    lower_case: bool
    keep_accents: bool
    vocabulary: list[str]
    """(V,) the piece of every id."""
    special_pieces: dict[str, str]
    """The pieces for `pad_token`, `unk_token`, `cls_token`, `sep_token` and `mask_token`."""
    extra_special_pieces: list[str]
    """Special tokens that were added, in the order of their ids."""

    @property
    def base_size(self) -> int:
        """The number of pieces without added tokens."""

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of many raw texts, without special pieces."""

    def encode_flat(self, texts: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of many raw texts end to end, (N,), and how many each text has."""

    def encode_aligned(self, text: str) -> list[Piece]:
        """Return the pieces of one raw text with their raw ranges."""

    def encode_measured(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Return the ids of many raw texts, and the number of clean characters of each token.

        Spaces are not counted. This locates tokens at a fraction of the cost of `encode_aligned`.
        """

    def measure(self, text: str) -> int:
        """Return the number of clean characters in a raw text, without spaces."""

    def id_of(self, piece: str) -> int:
        """Return the id of a piece, or that of the unknown piece if the vocabulary lacks it."""

    def join(self, pieces: list[str]) -> str:
        """Return the text that pieces spell."""

    def opens_word(self, piece: str) -> bool:
        """Whether a piece starts a word when whole words are masked."""

    def file(self) -> tuple[str, bytes]:
        """Return name and content of the vocabulary file."""
