"""Text split into the pieces of a SentencePiece model, with the original's rule for digits and commas.

Ids are Google's, bit for bit, with any release of sentencepiece: `ties` settles what the releases disagree
about. Texts without such a case, nearly all, are not touched in Python.
Source: `encode_pieces` in tokenization.py and `_is_start_piece_sp` in create_pretraining_data.py of
google-research/albert.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import sentencepiece

from albert.errors import TokenizerError
from albert.protobuf import read_fields
from albert.text.cleaning import preprocess_aligned, preprocess_text
from albert.text.pieces import Kind, Piece
from albert.text.ties import Scored, TieBreaker

_NORMAL = 1
_USER_DEFINED = 4


Algorithm = Literal["unigram", "bpe", "word", "char"]
"""ALBERT's models are unigram ones; those of others are read, too."""
_ALGORITHMS: tuple[Algorithm, ...] = ("unigram", "bpe", "word", "char")


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """What a SentencePiece model file says about its pieces and its normaliser."""

    user_defined: frozenset[str]
    """Pieces that are always split off, whatever their score."""
    normal: frozenset[str]
    """Pieces with a trained score."""
    algorithm: Algorithm
    """How words are split."""
    character_map: bytes
    """Table of the normaliser, `precompiled_charsmap`; empty if characters stay as they are."""


def parse_model_file(model: bytes) -> ModelFile:
    """Return the parts of a model file that matter for ties and normalisation.

    Raises:
        ValueError: The bytes are not a protocol buffer.
    """
    by_type: dict[int, list[str]] = {}
    character_map, algorithm = b"", 1
    for field, value in read_fields(model):
        if field == 1 and isinstance(value, bytes):
            piece = dict(read_fields(value))
            kind, text = piece.get(3, _NORMAL), piece.get(1, b"")
            if isinstance(kind, int) and isinstance(text, bytes):
                by_type.setdefault(kind, []).append(text.decode())
        elif field == 2 and isinstance(value, bytes):
            found = dict(read_fields(value)).get(3, 1)
            algorithm = found if isinstance(found, int) and found in range(1, 5) else 1
        elif field == 3 and isinstance(value, bytes):
            table = dict(read_fields(value)).get(2, b"")
            character_map = table if isinstance(table, bytes) else b""
    return ModelFile(
        user_defined=frozenset(by_type.get(_USER_DEFINED, ())),
        normal=frozenset(by_type.get(_NORMAL, ())),
        algorithm=_ALGORITHMS[algorithm - 1],
        character_map=character_map,
    )


SPACE = "▁"
"""Sign for the space before a word."""

_ENGLISH = frozenset("abcdefghijklmnopqrstuvwxyz")
_SYMBOLS = frozenset('!"#$%&()*+,-./:;?@[\\]^_`{|}~')


_FEW_TEXTS = 32


class SentencePieceEncoder:
    """A SentencePiece model and the cleaning of text before it."""

    kind: Kind = "sentencepiece"

    def __init__(self, model: bytes, *, lower_case: bool, keep_accents: bool = False) -> None:
        """Load a serialized model.

        Raises:
            TokenizerError: The bytes are not a SentencePiece model.
        """
        self._model = model
        self._processor: Any = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise TokenizerError("not a SentencePiece model") from error
        self.lower_case = lower_case
        self.keep_accents = keep_accents
        size = self._processor.get_piece_size()
        self.vocabulary: list[str] = [self._processor.id_to_piece(id_) for id_ in range(size)]
        self.special_pieces = {
            "pad_token": "<pad>",
            "unk_token": self.vocabulary[self._processor.unk_id()],
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        }
        self.extra_special_pieces: list[str] = []
        self.base_size = size
        self._unknown_id: int = self._processor.unk_id()
        parts = parse_model_file(model)
        self.character_map, self.algorithm = parts.character_map, parts.algorithm
        self._ties = TieBreaker(
            self.vocabulary,
            self.scores(),
            normal=parts.normal if parts.algorithm == "unigram" else frozenset(),  # Only its scores tie.
            user_defined=parts.user_defined,
            unknown_id=self._unknown_id,
        )
        # Re-splitting depends on the piece only, so the results fit into a table.
        self._resplit = {
            id_: self._without_comma(piece)
            for id_, piece in enumerate(self.vocabulary)
            if _ends_in_number_and_comma(piece)
        }
        self._widths = [_count_characters(piece) for piece in self.vocabulary]
        self._is_special = np.zeros(size, np.bool_)
        self._is_special[[*self._ties.repeating_ids, *self._resplit]] = True

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of many raw texts, without special pieces."""
        return self.encode_clean(self._clean(texts))

    def encode_flat(self, texts: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of many raw texts end to end, (N,), and how many each text has."""
        return _flatten(self._encode_rows(self._clean(texts)))

    def encode_clean(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of texts that are already cleaned: `encode_ids` of the original."""
        return [row.tolist() for row in self._encode_rows(texts)]

    def encode_aligned(self, text: str) -> list[Piece]:
        """Return the pieces of one raw text with their raw ranges."""
        clean = preprocess_aligned(text, lower_case=self.lower_case, keep_accents=self.keep_accents)
        if not clean.text:
            return []
        # For each normalised character, and the end, the clean character at which it starts.
        _, origins = self._processor.normalize(clean.text, with_offsets=True)
        pieces: list[Piece] = []
        for piece, id_, start, end in self._spans(clean.text):
            first, last = _clean_range(piece, start, end, origins)
            if first == last:
                begin = clean.starts[first] if first < len(clean.starts) else len(text)
                pieces.append(Piece(piece, id_, begin, begin))
            else:
                pieces.append(Piece(piece, id_, clean.starts[first], clean.ends[last - 1]))
        return pieces

    def encode_measured(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Return the ids of many raw texts, and the number of clean characters of each token.

        Spaces are not counted.
        """
        clean = self._clean(texts)
        rows: list[tuple[list[int], list[int]]] = []
        for text, ids in zip(clean, self.encode_clean(clean), strict=True):
            if self._unknown_id in ids:
                # Only the text shows how many characters an unknown piece replaces.
                widths = [_count_characters(piece) for piece, _, _, _ in self._spans(text)]
            else:
                widths = [self._widths[id_] for id_ in ids]
            rows.append((ids, widths))
        return rows

    def measure(self, text: str) -> int:
        """Return the number of clean characters in a raw text, without spaces."""
        (clean,) = self._clean([text])
        return _count_characters(self._processor.normalize(clean).replace(" ", ""))

    def id_of(self, piece: str) -> int:
        """Return the id of a piece, or that of the unknown piece if the vocabulary lacks it."""
        found: int = self._processor.piece_to_id(piece)
        return found

    def join(self, pieces: list[str]) -> str:
        """Return the text that pieces spell."""
        return "".join(pieces).replace(SPACE, " ").removeprefix(" ")

    def opens_word(self, piece: str) -> bool:
        """Whether a piece starts a word when whole words are masked."""
        return sentence_piece_opens_word(piece)

    def file(self) -> tuple[str, bytes]:
        """Return name and content of the vocabulary file."""
        return "spiece.model", self._model

    @property
    def resplit_ids(self) -> list[int]:
        """Ids of the pieces that the rule for digits and commas always splits."""
        return list(self._resplit)

    def scores(self) -> list[float]:
        """Return (V,) the log-probability of every piece."""
        return [self._processor.get_score(id_) for id_ in range(len(self.vocabulary))]

    def _clean(self, texts: list[str]) -> list[str]:
        lower, keep = self.lower_case, self.keep_accents
        return [preprocess_text(x, lower_case=lower, keep_accents=keep) for x in texts]

    def _encode_rows(self, texts: list[str]) -> list[npt.NDArray[np.int32]]:
        """Return the ids of each clean text, as arrays: a Python integer per token would be slow."""
        # For a list the library starts a thread, which costs as much as a dozen texts.
        encode = partial(self._processor.encode, out_type="numpy")
        few = len(texts) < _FEW_TEXTS
        rows: list[npt.NDArray[np.int32]] = [*map(encode, texts)] if few else encode(texts, num_threads=1)
        flat, lengths = _flatten(rows)
        # One look-up shows that nearly all texts need no work in Python.
        special = np.flatnonzero(self._is_special[flat])
        for number in np.unique(np.searchsorted(np.cumsum(lengths), special, side="right")):
            ids = rows[number].tolist()
            tie = self._ties.has_tie(ids)
            settled = [piece.id for piece in self._segment(texts[number])] if tie else ids
            rows[number] = np.array(self._apply_comma_rule(settled), np.int32)
        return rows

    def _segment(self, clean: str) -> list[Scored]:
        """Return the pieces of a clean text before the rule for digits and commas."""
        ids = self._processor.encode(clean, out_type=int)
        texts = self._processor.encode(clean, out_type=str)
        pieces = [Scored(*pair) for pair in zip(texts, ids, strict=True)]
        return self._ties.settle(pieces) if self._ties.has_tie(ids) else pieces

    def _without_comma(self, piece: str) -> list[tuple[str, int]]:
        """Return what the original makes of a piece like `▁1990,`: the pieces of the number, and the comma.

        The number is encoded as a separate text, so it starts with a space even inside a word
        (`x000,` gives `x ▁0 00 ,`). The published models were trained on that.
        """
        number = self._segment(piece[:-1].replace(SPACE, ""))
        return [*number, (",", self.id_of(","))]

    def _apply_comma_rule(self, ids: list[int]) -> list[int]:
        result: list[int] = []
        for id_ in ids:
            parts = self._resplit.get(id_)
            result.extend([part for _, part in parts] if parts else [id_])
        return result

    def _spans(self, clean: str) -> list[tuple[str, int, int, int]]:
        """Return piece, id and range in the normalised text of every piece."""
        spans: list[tuple[str, int, int, int]] = []
        start = 0
        for piece, id_ in self._segment(clean):
            end = start + len(piece)
            if id_ in self._resplit:
                spans.extend(_resplit_spans(piece, self._resplit[id_], start))
            else:
                spans.append((piece, id_, start, end))
            start = end
        return spans


def sentence_piece_opens_word(piece: str) -> bool:
    """Whether a piece of SentencePiece starts a word when whole words are masked.

    It does if it starts with a space, is a single symbol, or has anything but English letters and symbols. So
    pieces with digits or other scripts are words by themselves.
    Source: `_is_start_piece_sp` of the original.
    """
    if piece.startswith((SPACE, "<")) or piece in _SYMBOLS:
        return True
    return not all(x.lower() in _ENGLISH or x in _SYMBOLS for x in piece)


def _flatten(
    rows: list[npt.NDArray[np.int32]],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return np.concatenate(rows) if rows else np.empty(0, np.int32), lengths


def _count_characters(piece: str) -> int:
    return len(piece) - piece.count(SPACE)


def _ends_in_number_and_comma(piece: str) -> bool:
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def _resplit_spans(piece: str, parts: list[tuple[str, int]], start: int) -> list[tuple[str, int, int, int]]:
    """Return the parts of a re-split piece with their ranges in the normalised text."""
    end = start + len(piece)
    opening = 0 if piece.startswith(SPACE) else 1
    if sum(len(part) for part, _ in parts) != len(piece) + opening:
        return [(part, id_, start, end) for part, id_ in parts]
    spans = []
    # The added space has no width: the first part starts one character early, and is cut there.
    position = start - opening
    for part, id_ in parts:
        spans.append((part, id_, max(start, position), position + len(part)))
        position += len(part)
    return spans


def _clean_range(piece: str, start: int, end: int, origins: list[int]) -> tuple[int, int]:
    """Return the clean characters of a piece, without the space before it."""
    size = len(origins) - 1
    letters = len(piece.lstrip(SPACE))
    start = max(start, end - letters)
    first = origins[start]
    if start == end:
        return first, first
    # A character that became several belongs to all pieces that share it.
    while end < size and origins[end] <= origins[end - 1]:
        end += 1
    return first, max(origins[end], first + 1)
