"""The special tokens of a vocabulary, by the names of transformers.

They belong to the vocabulary and cannot be changed; further ones can be added.
"""

import re
from collections.abc import Iterator
from typing import Any

from albert.text.pieces import PieceEncoder

SPECIAL_NAMES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token")


class SpecialTokens:
    """The special tokens of an encoder and their ids."""

    _encoder: PieceEncoder

    @property
    def pad_token(self) -> str:
        """The token of padding."""
        return self._encoder.special_pieces["pad_token"]

    @property
    def unk_token(self) -> str:
        """The token of what the vocabulary lacks."""
        return self._encoder.special_pieces["unk_token"]

    @property
    def cls_token(self) -> str:
        """The token before every sequence."""
        return self._encoder.special_pieces["cls_token"]

    @property
    def sep_token(self) -> str:
        """The token after every text."""
        return self._encoder.special_pieces["sep_token"]

    @property
    def mask_token(self) -> str:
        """The token in place of one that is to be predicted."""
        return self._encoder.special_pieces["mask_token"]

    @property
    def bos_token(self) -> str | None:
        """The first token of a sequence, as transformers names it for SentencePiece vocabularies."""
        return self.cls_token if self._encoder.kind == "sentencepiece" else None

    @property
    def eos_token(self) -> str | None:
        """The last token of a sequence, as transformers names it for SentencePiece vocabularies."""
        return self.sep_token if self._encoder.kind == "sentencepiece" else None

    @property
    def pad_token_id(self) -> int:
        """Id of `pad_token`."""
        return self._encoder.id_of(self.pad_token)

    @property
    def unk_token_id(self) -> int:
        """Id of `unk_token`."""
        return self._encoder.id_of(self.unk_token)

    @property
    def cls_token_id(self) -> int:
        """Id of `cls_token`."""
        return self._encoder.id_of(self.cls_token)

    @property
    def sep_token_id(self) -> int:
        """Id of `sep_token`."""
        return self._encoder.id_of(self.sep_token)

    @property
    def mask_token_id(self) -> int:
        """Id of `mask_token`."""
        return self._encoder.id_of(self.mask_token)

    @property
    def bos_token_id(self) -> int | None:
        """Id of `bos_token`."""
        return None if self.bos_token is None else self.cls_token_id

    @property
    def eos_token_id(self) -> int | None:
        """Id of `eos_token`."""
        return None if self.eos_token is None else self.sep_token_id

    @property
    def extra_special_tokens(self) -> list[str]:
        """Special tokens that were added to the vocabulary, in the order of their ids."""
        return self._encoder.extra_special_pieces

    @property
    def additional_special_tokens(self) -> list[str]:
        """The same under its older name."""
        return self.extra_special_tokens

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """The special tokens by name."""
        found: dict[str, Any] = dict(self._encoder.special_pieces)
        return found | (
            {"extra_special_tokens": self.extra_special_tokens} if self.extra_special_tokens else {}
        )

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens, in the order of `all_special_ids`."""
        return [self._encoder.vocabulary[id_] for id_ in self.all_special_ids]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of the special tokens, ascending."""
        special = [*self._encoder.special_pieces.values(), *self._encoder.extra_special_pieces]
        return sorted(set(map(self._encoder.id_of, special)))


def split_at(text: str, special: re.Pattern[str] | None) -> Iterator[tuple[str, int, bool]]:
    """Yield the parts of a raw text, where they start, and whether each is a special token.

    The text between two special tokens is encoded by itself, as in transformers.
    """
    position = 0
    for match in special.finditer(text) if special is not None else ():
        token = match.group(match.lastindex or 0)
        yield text[position : match.start()], position, False
        position = match.end()
        yield token, position - len(token), True
    yield text[position:], position, False
