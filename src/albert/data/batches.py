"""The record that example making hands to the model: sequences packed end to end, without padding.

Letters: B sequences, N pieces in all, M masked pieces in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NO_ORDER_LABEL = -100
"""Sentence-order label of a sequence of one segment; the value torch's cross entropy ignores."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PretrainingBatch:
    """B masked sequences, one behind the other."""

    input_ids: IntArray
    """(N,) piece ids, some of them hidden."""
    token_type_ids: IntArray
    """(N,) 0 in `[CLS] A [SEP]`, 1 in `B [SEP]`."""
    lengths: IntArray
    """(B,) pieces of each sequence, special ones included; their sum is N."""
    masked_positions: IntArray
    """(M,) ascending indices into the N pieces."""
    masked_labels: IntArray
    """(M,) the ids that stood at `masked_positions` before masking."""
    sentence_order_labels: IntArray
    """(B,) 0 in order, 1 swapped (or a stranger), -100 where there is a single segment."""
    word_starts: BoolArray
    """(N,) whether a word may begin with a piece; true of special pieces, too."""

    def __len__(self) -> int:
        """Returns B."""
        return len(self.lengths)

    def take(self, begin: int, end: int) -> Self:
        """Returns sequences `begin` to `end` (exclusive) as a batch of their own; views, not copies."""
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        first, last = starts[begin], starts[end]
        masked = slice(*np.searchsorted(self.masked_positions, [first, last]))
        return type(self)(
            input_ids=self.input_ids[first:last],
            token_type_ids=self.token_type_ids[first:last],
            lengths=self.lengths[begin:end],
            masked_positions=self.masked_positions[masked] - first,
            masked_labels=self.masked_labels[masked],
            sentence_order_labels=self.sentence_order_labels[begin:end],
            word_starts=self.word_starts[first:last],
        )

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Returns the sequences of all `batches` (at least one), in their order, as one batch."""
        if len(batches) == 1:
            return batches[0]
        shifts = np.cumsum([0, *(len(batch.input_ids) for batch in batches[:-1])])
        return cls(
            input_ids=np.concatenate([batch.input_ids for batch in batches]),
            token_type_ids=np.concatenate([batch.token_type_ids for batch in batches]),
            lengths=np.concatenate([batch.lengths for batch in batches]),
            masked_positions=np.concatenate(
                [batch.masked_positions + shift for batch, shift in zip(batches, shifts, strict=True)]
            ),
            masked_labels=np.concatenate([batch.masked_labels for batch in batches]),
            sentence_order_labels=np.concatenate([batch.sentence_order_labels for batch in batches]),
            word_starts=np.concatenate([batch.word_starts for batch in batches]),
        )
