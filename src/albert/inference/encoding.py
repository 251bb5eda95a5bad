"""Texts as a model takes them, laid end to end, and gone through in groups of similar length.

Letters: B texts, N pieces of all of them.
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
class Cutting:
    """What is done with texts that are longer than the model takes."""

    truncation: bool = False
    """Whether they lose their last pieces; else they are an error."""
    max_length: int
    """Pieces that are kept, special ones included."""


class Group(NamedTuple):
    """Some texts of about one length; their pieces are on the model's device, lengths on the host."""

    indices: NDArray[np.int64]
    """Which texts they are, (G,)."""
    input_ids: Tensor
    """Their pieces end to end, (M,)."""
    token_type_ids: Tensor
    """(M,)"""
    lengths: Tensor
    """(G,)"""


def encode_pairs(tokenizer: AlbertTokenizer, pairs: Sequence[Pair], cutting: Cutting) -> TextFeatures:
    """Returns `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]` of each.

    A special piece spelled in a text is that piece.

    Raises:
        DataError: A text is too long, and is not to be cut.
    """
    encodings = [
        tokenizer(text, pair, truncation=cutting.truncation, max_length=cutting.max_length)
        for text, pair in pairs
    ]
    lengths = np.array([len(encoding["input_ids"]) for encoding in encodings], np.int64)
    if len(lengths) and lengths.max() > cutting.max_length:
        place = int(lengths.argmax())
        raise DataError(
            f"{pairs[place][0][:40]!r}...: {lengths[place]} pieces, the model takes {cutting.max_length}; "
            "give truncation=True, or shorter texts"
        )
    flat = {
        name: np.array([value for encoding in encodings for value in encoding[name]], np.int64)
        for name in ("input_ids", "token_type_ids")
    }
    return TextFeatures(**flat, lengths=lengths, labels=np.full(len(lengths), np.nan))


def groups(features: TextFeatures, device: torch.device) -> Iterator[Group]:
    """Yields all texts, shortest first, as many at a time as go through a model together."""
    for indices in groups_of_similar_length(features.lengths):
        batch = features.take(indices)
        yield Group(
            indices,
            on_device(batch.input_ids, device),
            on_device(batch.token_type_ids, device),
            torch.from_numpy(batch.lengths),
        )
