"""Texts of an example, each encoded by itself: [CLS] text [SEP], all laid end to end.

Letters: B examples, W texts of each, N tokens of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from albert.tasks.cuts import Cuts
from albert.tasks.features import make_features, taken_positions
from albert.tasks.tables import Example
from albert.text.tokenizer import AlbertTokenizer


@dataclass(frozen=True, slots=True)
class SeparateFeatures:
    """Encoded examples whose texts are sequences of their own."""

    input_ids: NDArray[np.int64]
    """Token ids, (N,)."""
    token_type_ids: NDArray[np.int64]
    """Always 0, (N,)."""
    lengths: NDArray[np.int64]
    """Tokens of each text, (B * W,): the texts of an example one after the other."""
    labels: NDArray[np.float64]
    """Score of each example, (B,); NaN if there is none."""

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.labels)

    @property
    def width(self) -> int:
        """Texts of an example, W."""
        return len(self.lengths) // max(1, len(self.labels))

    def take(self, indices: NDArray[np.int64]) -> "SeparateFeatures":
        """Return the examples at `indices`, in that order."""
        texts = (indices[:, None] * self.width + np.arange(self.width)).ravel()  # (B,) -> (B * W,)
        positions = taken_positions(self.lengths, texts)
        return SeparateFeatures(
            self.input_ids[positions],
            self.token_type_ids[positions],
            self.lengths[texts],
            self.labels[indices],
        )


def encode_separately(
    rows: Sequence[Sequence[str]],
    labels: NDArray[np.float64],
    tokenizer: AlbertTokenizer,
    *,
    max_seq_length: int,
    cuts: Cuts | None = None,
) -> SeparateFeatures:
    """Encode the texts of examples, as many in each; those that are cut are counted in `cuts`."""
    texts = [Example(text) for row in rows for text in row]
    found = make_features(texts, tokenizer, max_seq_length=max_seq_length, cuts=cuts)
    return SeparateFeatures(found.input_ids, found.token_type_ids, found.lengths, labels)
