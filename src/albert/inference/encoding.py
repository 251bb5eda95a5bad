"""Texts encoded end to end for a pipeline, and their groups of similar length.

Letters: B texts, N tokens of all of them, G texts and M tokens of a group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from albert.errors import DataError
from albert.model.packing import on_device
from albert.tasks.features import TextFeatures
from albert.tasks.solver import groups_of_similar_length
from albert.text.tokenizer import AlbertTokenizer

Pair = tuple[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthLimit:
    """The longest sequence, and what happens to longer ones."""

    max_length: int
    """Tokens of a sequence, special ones included."""
    truncation: bool = False
    """Whether longer texts lose their last tokens; otherwise they are an error."""


class Group(NamedTuple):
    """Some texts of similar length; their tokens are on the model's device, their lengths on the host."""

    indices: NDArray[np.int64]
    """Which texts they are, (G,)."""
    input_ids: Tensor
    """Tokens end to end, (M,)."""
    token_type_ids: Tensor
    """(M,)"""
    lengths: Tensor
    """(G,)"""


def encode_pairs(tokenizer: AlbertTokenizer, pairs: Sequence[Pair], limit: LengthLimit) -> TextFeatures:
    """Return `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]` of each pair.

    A special token spelled in a text is plain text.

    Raises:
        DataError: A text is too long and must not be truncated.
    """
    encodings = [
        tokenizer(
            text,
            pair,
            truncation=limit.truncation,
            max_length=limit.max_length,
            split_special_tokens=True,
        )
        for text, pair in pairs
    ]
    rows = [encoding["input_ids"] for encoding in encodings]
    check_lengths(rows, [text for text, _ in pairs], limit, remedy="give truncation=True, or shorter texts")
    return features_of_rows(rows, [encoding["token_type_ids"] for encoding in encodings])


def check_lengths(
    rows: Sequence[list[int]], texts: Sequence[str], limit: LengthLimit, *, remedy: str
) -> None:
    """Check that no row of ids is longer than the limit.

    Raises:
        DataError: One is; the message quotes its text and ends with `remedy`.
    """
    longest = max(range(len(rows)), key=lambda index: len(rows[index]), default=None)
    if longest is not None and len(rows[longest]) > limit.max_length:
        raise DataError(
            f"{texts[longest][:40]!r}...: {len(rows[longest])} tokens, the model takes {limit.max_length}; "
            f"{remedy}"
        )


def features_of_rows(
    rows: Sequence[list[int]], token_type_ids: Sequence[list[int]] | None = None
) -> TextFeatures:
    """Return rows of ids end to end, without labels; all tokens are of segment 0 unless given otherwise."""
    input_ids = np.array([id_ for row in rows for id_ in row], np.int64)  # (N,)
    types = np.zeros_like(input_ids)
    if token_type_ids is not None:
        types = np.array([type_ for row in token_type_ids for type_ in row], np.int64)
    lengths = np.array([len(row) for row in rows], np.int64)
    return TextFeatures(
        input_ids=input_ids, token_type_ids=types, lengths=lengths, labels=np.full(len(rows), np.nan)
    )


def groups(features: TextFeatures, device: torch.device) -> Iterator[Group]:
    """Yield all texts, shortest first, in groups that go through the model together."""
    for indices in groups_of_similar_length(features.lengths):
        batch = features.take(indices)
        yield Group(
            indices,
            on_device(batch.input_ids, device),
            on_device(batch.token_type_ids, device),
            torch.from_numpy(batch.lengths),
        )
