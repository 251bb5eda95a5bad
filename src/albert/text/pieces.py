"""What SentencePiece and WordPiece vocabularies have in common: a piece of a text, and an encoder.

Stands below `sentencepiece`, `wordpiece` and `tokenizer`.
"""

from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Kind = Literal["sentencepiece", "wordpiece"]


class Piece(NamedTuple):
    """A sub-word unit found in a text."""

    text: str
    """The piece's own characters; an unknown piece of SentencePiece shows the text it stands for."""
    id: int
    """Its number in the vocabulary."""
    start: int
    """First raw character."""
    end: int
    """One past the last raw character; equal to `start` for a piece that is only a space."""


class PieceEncoder(Protocol):
    """A vocabulary and the cleaning that belongs in front of it."""

    kind: Kind
    lower_case: bool
    vocabulary: list[str]
    """Piece of every id, (V,)."""
    special_pieces: dict[str, str]
    """Piece of `pad_token`, `unk_token`, `cls_token`, `sep_token` and `mask_token`."""

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of many raw texts, without special pieces."""

    def encode_flat(self, texts: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of many raw texts end to end, (P,), and how many each has, (S,)."""

    def encode_aligned(self, text: str) -> list[Piece]:
        """Return the pieces of one raw text with their raw ranges."""

    def encode_measured(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Return the ids of many raw texts and how many clean characters each piece took.

        Spaces are not counted. Fast: it tells where pieces lie without the cost of `encode_aligned`.
        """

    def measure(self, text: str) -> int:
        """Return how many clean characters a raw text has; spaces are not counted."""

    def id_of(self, piece: str) -> int:
        """Return the id of a piece; the unknown one's where the vocabulary lacks it."""

    def join(self, pieces: list[str]) -> str:
        """Return the text that pieces spell."""

    def opens_word(self, piece: str) -> bool:
        """Whether masking of whole words starts a new word at a piece."""

    def file(self) -> tuple[str, bytes]:
        """Return the name and the content of the vocabulary's file."""
