"""The batch that the model gets from the data: sequences packed end to end, without padding.

Letters: B sequences, N packed tokens, M masked tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NO_ORDER_LABEL = -100
"""Sentence-order label of a sequence of one segment; torch's cross entropy ignores this value."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PretrainingBatch:
    """B sequences with masked tokens, one after the other."""

    input_ids: IntArray
    """(N,) token ids, masked ones already replaced."""
    token_type_ids: IntArray
    """(N,) 0 in `[CLS] A [SEP]`, 1 in `B [SEP]`."""
    lengths: IntArray
    """(B,) tokens of each sequence, special ones included; they add up to N."""
    masked_positions: IntArray
    """(M,) indices into the N tokens, ascending."""
    masked_labels: IntArray
    """(M,) the ids at `masked_positions` before masking."""
    sentence_order_labels: IntArray
    """(B,) 0 in order, 1 swapped (or a random second segment), -100 for a single segment."""
    word_starts: BoolArray
    """(N,) whether a word may start with a token; true for special tokens."""

    def __len__(self) -> int:
        """Return B."""
        return len(self.lengths)

    def take(self, begin: int, end: int) -> Self:
        """Return sequences `begin` to `end` (exclusive) as a batch; views, not copies."""
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        first, last = starts[begin], starts[end]  # of the N tokens
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
        """Return the sequences of one or more batches, in their order, as one batch."""
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
