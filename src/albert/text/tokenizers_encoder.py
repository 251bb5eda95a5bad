"""Tokenizers as transformers saves them: `tokenizer.json`, or a vocabulary with added tokens.

A folder that was opened and saved by transformers 5 has `tokenizer.json` alone. It is run by the library that
wrote it, so ids are those of transformers; for files that we wrote these are ours. Added tokens are pieces of
their own wherever they occur in a text, also special ones; the five special tokens of every ALBERT are plain
text there, as everywhere in this package.
"""

import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from albert.errors import TokenizerError
from albert.text.pieces import Kind, Piece
from albert.text.sentencepiece import SPACE, sentence_piece_opens_word
from albert.text.settings import TOKENIZER_NAME
from albert.text.wordpiece import CONTINUATION

_SURROGATES = re.compile("[\ud800-\udfff]")
_MOST_ROUNDS = 5
_STRIPPING = {"NFKD", "NFD", "StripAccents"}


class TokenizersEncoder:
    """A tokenizer of the library `tokenizers`, as an encoder.

    Args:
        tokenizer: The tokenizer; its truncation and padding are switched off.

    Raises:
        TokenizerError: It has no known special tokens, or its ids have gaps.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._stored = _stable(tokenizer)
        content = json.loads(self._stored)
        self.kind: Kind = "wordpiece" if content["model"]["type"] == "WordPiece" else "sentencepiece"
        ids = tokenizer.get_vocab(with_added_tokens=True)
        self.vocabulary = sorted(ids, key=ids.__getitem__)
        if [ids[piece] for piece in self.vocabulary] != list(range(len(ids))):
            raise TokenizerError(
                "the ids of its tokens have gaps; save the tokenizer again with transformers"
            )
        self._ids = ids
        self.special_pieces = _special_pieces(ids)
        self._tokenizer = _with_plain_special_tokens(content, set(self.special_pieces.values()))
        self._unknown_id = ids[self.special_pieces["unk_token"]]
        self.base_size: int = tokenizer.get_vocab_size(with_added_tokens=False)
        added = tokenizer.get_added_tokens_decoder()
        own = set(self.special_pieces.values())
        self._added = {token.content for token in added.values()} - own
        self.extra_special_pieces = [
            added[id_].content
            for id_ in sorted(added)
            if added[id_].special and added[id_].content not in own
        ]
        steps = _steps(content.get("normalizer"))
        self.lower_case = any(step["type"] == "Lowercase" or step.get("lowercase") for step in steps)
        self.keep_accents = not any(_strips_accents(step, lower_case=self.lower_case) for step in steps)

    @classmethod
    def read(cls, content: bytes) -> "TokenizersEncoder":
        """Read the content of a `tokenizer.json`.

        Raises:
            TokenizerError: The library cannot read it, or it is not that of an ALBERT.
        """
        try:
            tokenizer = Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises nothing more precise
            raise TokenizerError(f"not a tokenizer of the library tokenizers: {error}") from error
        return cls(tokenizer)

    @property
    def tokenizer(self) -> Tokenizer:
        """The library's tokenizer as it was read, for writing."""
        copy: Tokenizer = Tokenizer.from_str(self._stored)
        return copy

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of many raw texts, without special pieces."""
        found = self._tokenizer.encode_batch_fast([_valid(x) for x in texts], add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def encode_flat(self, texts: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of many raw texts end to end, (N,), and how many each text has."""
        rows = self.encode(texts)
        flat = [np.array(row, np.int32) for row in rows]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return np.concatenate(flat) if flat else np.empty(0, np.int32), lengths

    def encode_aligned(self, text: str) -> list[Piece]:
        """Return the pieces of one raw text with their raw ranges."""
        encoding = self._tokenizer.encode(_valid(text), add_special_tokens=False)
        pieces: list[Piece] = []
        for id_, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            # The library counts the space before a word to its first piece.
            inner = start + len(text[start:end]) - len(text[start:end].lstrip())
            name = self.vocabulary[id_]
            end = inner if name == SPACE else end  # noqa: PLW2901  # The space before a word has no width.
            is_replaced = id_ == self._unknown_id and self.kind == "sentencepiece"
            shown = text[inner:end] if is_replaced else name
            pieces.append(Piece(shown, id_, inner, end))
        return pieces

    def encode_measured(self, texts: list[str]) -> list[tuple[list[int], list[int]]]:
        """Return the ids of many raw texts, and the number of raw characters that each token covers first.

        Spaces are not counted.
        """
        rows: list[tuple[list[int], list[int]]] = []
        for text in texts:
            done, widths, pieces = 0, [], self.encode_aligned(text)
            for piece in pieces:
                covered = text[max(done, piece.start) : max(done, piece.end)]
                widths.append(len("".join(covered.split())))
                done = max(done, piece.end)
            rows.append(([piece.id for piece in pieces], widths))
        return rows

    def measure(self, text: str) -> int:
        """Return the number of raw characters of a text that tokens cover, without spaces."""
        [(_, widths)] = self.encode_measured([text])
        return sum(widths)

    def id_of(self, piece: str) -> int:
        """Return the id of a piece, or that of the unknown piece if the vocabulary lacks it."""
        return self._ids.get(piece, self._unknown_id)

    def join(self, pieces: list[str]) -> str:
        """Return the text that pieces spell."""
        if self.kind == "wordpiece":
            return " ".join(pieces).replace(f" {CONTINUATION}", "")
        return "".join(pieces).replace(SPACE, " ").removeprefix(" ")

    def opens_word(self, piece: str) -> bool:
        """Whether a piece starts a word when whole words are masked; an added token does."""
        if piece in self._added:
            return True
        if self.kind == "wordpiece":
            return not piece.startswith(CONTINUATION)
        return sentence_piece_opens_word(piece)

    def file(self) -> tuple[str, bytes]:
        """Return name and content of the vocabulary file."""
        return TOKENIZER_NAME, self._stored.encode()


def _valid(text: str) -> str:
    """Return a text with U+FFFD for halves of UTF-16 pairs, which the library does not take."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _stable(tokenizer: Tokenizer) -> str:
    """Return the JSON of a tokenizer that stays the same when it is read and written again.

    The library reads numbers with many digits inexactly, so the first writing may differ in the last digit.
    """
    text: str = tokenizer.to_str()
    for _ in range(_MOST_ROUNDS):
        again = Tokenizer.from_str(text).to_str()
        if again == text:
            break
        text = again
    return text


def _with_plain_special_tokens(content: dict[str, Any], special: set[str]) -> Tokenizer:
    """Return a tokenizer that takes the tokens `special` in a text for plain text, and finds added ones."""
    added = [token | {"special": token["content"] in special} for token in content["added_tokens"]]
    tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(content | {"added_tokens": added}))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _special_pieces(ids: dict[str, int]) -> dict[str, str]:
    """Return the special pieces by name, those of SentencePiece or WordPiece in ALBERT's vocabularies."""
    for padding, unknown in (("<pad>", "<unk>"), ("[PAD]", "[UNK]")):
        pieces = {
            "pad_token": padding,
            "unk_token": unknown,
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        }
        if all(piece in ids for piece in pieces.values()):
            return pieces
    raise TokenizerError(
        "expected the special tokens <pad>, <unk>, [CLS], [SEP], [MASK], or [PAD] and [UNK] in place of the "
        "first two; use a tokenizer of an ALBERT"
    )


def _steps(normalizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the steps of a normaliser, nested sequences laid end to end."""
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return [step for part in normalizer["normalizers"] for step in _steps(part)]
    return [normalizer]


def _strips_accents(step: dict[str, Any], *, lower_case: bool) -> bool:
    if step["type"] == "BertNormalizer":
        strip = step.get("strip_accents")
        return lower_case if strip is None else bool(strip)
    return step["type"] in _STRIPPING
