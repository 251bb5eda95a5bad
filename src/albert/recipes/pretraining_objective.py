"""What pretraining minimises: masked LM and sentence order, the original's two losses."""

import numpy as np
import torch
from torch import Tensor

from albert.checkpoint.pretrained import AlbertForPreTraining
from albert.data.batches import NO_ORDER_LABEL, IntArray, PretrainingBatch
from albert.model.losses import LossSum, cross_entropy_sum

LENGTH_CLASSES = ((1, 64), (65, 128), (129, 256), (257, 512))
"""Pieces of the shortest and the longest sequence of each class of the evaluation."""


class PretrainingObjective:
    """Masked LM over all hidden pieces plus sentence order over all pairs."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Returns how many pieces are hidden and how many sequences have an order."""
        ordered = int((batch.sentence_order_labels != NO_ORDER_LABEL).sum())
        return {"masked_lm": len(batch.masked_positions), "sentence_order": ordered}

    def sums(self, model: AlbertForPreTraining, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Returns both losses summed over the batch."""
        return self.losses(*self.logits(model, batch), batch)

    def logits(self, model: AlbertForPreTraining, batch: PretrainingBatch) -> tuple[Tensor, Tensor]:
        """Returns what the model says of the hidden pieces (M, V), and of the orders (B, 2)."""
        arrays = (batch.input_ids, batch.token_type_ids, batch.lengths, batch.masked_positions)
        return model.packed_logits(
            *(torch.from_numpy(array).to(model.device, non_blocking=True) for array in arrays)
        )

    def losses(self, masked_lm: Tensor, order: Tensor, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Returns both losses of some logits, summed over the batch."""
        labels = torch.from_numpy(batch.masked_labels).to(masked_lm.device)
        order_labels = torch.from_numpy(batch.sentence_order_labels).to(order.device)
        return {
            "masked_lm": cross_entropy_sum(masked_lm, labels),
            "sentence_order": cross_entropy_sum(order, order_labels),
        }


class HeldOutObjective(PretrainingObjective):
    """The same two losses, and masked LM apart for short and for long sequences."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Returns over how many items each part is averaged; parts without one are left out."""
        by_length = {name: len(places) for name, places in _places_by_length(batch).items()}
        return super().counts(batch) | by_length

    def sums(self, model: AlbertForPreTraining, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Returns the sum of each part over the batch."""
        masked_lm, order = self.logits(model, batch)
        sums = self.losses(masked_lm, order, batch)
        labels = torch.from_numpy(batch.masked_labels).to(model.device)
        for name, places in _places_by_length(batch).items():
            index = torch.from_numpy(places).to(model.device)
            sums[name] = cross_entropy_sum(masked_lm[index], labels[index])
        return sums


def longest_examples(count: int, length: int, *, vocab_size: int) -> PretrainingBatch:
    """Returns `count` made-up examples of full length, a fifth of their pieces hidden: a hard case."""
    places = np.arange(count * length)
    hidden = places[places % 5 == 1]
    ids = places % vocab_size
    return PretrainingBatch(
        input_ids=ids,
        token_type_ids=np.zeros_like(ids),
        lengths=np.full(count, length),
        masked_positions=hidden,
        masked_labels=ids[hidden],
        sentence_order_labels=np.zeros(count, np.int64),
        word_starts=np.ones(len(ids), bool),
    )


def _places_by_length(batch: PretrainingBatch) -> dict[str, IntArray]:
    """Returns which of the M hidden pieces lie in sequences of each length class, if any do."""
    sequences = np.searchsorted(np.cumsum(batch.lengths), batch.masked_positions, side="right")
    lengths = batch.lengths[sequences]
    classes = {
        f"masked_lm_{first}-{last}": np.flatnonzero((lengths >= first) & (lengths <= last))
        for first, last in LENGTH_CLASSES
    }
    return {name: places for name, places in classes.items() if len(places)}
