"""What pretraining minimises: masked LM and sentence order, the original's two losses."""

import numpy as np

from albert.data.batches import NO_ORDER_LABEL, IntArray, PretrainingBatch
from albert.model.losses import LossSum, VocabularyLoss, cross_entropy_sum
from albert.model.packing import on_device
from albert.model.pretrained import AlbertForPreTraining

LENGTH_CLASSES = ((1, 64), (65, 128), (129, 256), (257, 512))
"""Pieces of the shortest and the longest sequence of each class of the evaluation."""


class PretrainingObjective:
    """Masked LM over all hidden pieces plus sentence order over all pairs."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Return how many pieces are hidden and how many sequences have an order."""
        ordered = int((batch.sentence_order_labels != NO_ORDER_LABEL).sum())
        return {"masked_lm": len(batch.masked_positions), "sentence_order": ordered}

    def sums(self, model: AlbertForPreTraining, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Return both losses summed over the batch."""
        return self.losses(model, batch)[0]

    def losses(
        self, model: AlbertForPreTraining, batch: PretrainingBatch
    ) -> tuple[dict[str, LossSum], VocabularyLoss]:
        """Return both losses summed over the batch, and that of each hidden piece."""
        positions, labels, order_labels = (
            on_device(array, model.device)
            for array in (batch.masked_positions, batch.masked_labels, batch.sentence_order_labels)
        )
        masked_lm, order = model.packed_losses(model.packed_inputs(batch), positions, labels)
        sums = {
            "masked_lm": LossSum(masked_lm.total, masked_lm.correct.sum()),
            "sentence_order": cross_entropy_sum(order, order_labels),
        }
        return sums, masked_lm


class HeldOutObjective(PretrainingObjective):
    """The same two losses, and masked LM apart for short and for long sequences."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Return over how many items each part is averaged; parts without one are left out."""
        by_length = {name: len(places) for name, places in _places_by_length(batch).items()}
        return super().counts(batch) | by_length

    def sums(self, model: AlbertForPreTraining, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Return the sum of each part over the batch."""
        sums, masked_lm = self.losses(model, batch)
        for name, places in _places_by_length(batch).items():
            index = on_device(places, model.device)
            sums[name] = LossSum(masked_lm.losses[index].sum(), masked_lm.correct[index].sum())
        return sums


def longest_examples(count: int, length: int, *, vocab_size: int) -> PretrainingBatch:
    """Return `count` made-up examples of full length, a fifth of their pieces hidden: a hard case."""
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
    """Return which of the M hidden pieces lie in sequences of each length class, if any do."""
    sequences = np.searchsorted(np.cumsum(batch.lengths), batch.masked_positions, side="right")
    lengths = batch.lengths[sequences]
    classes = {
        f"masked_lm_{first}-{last}": np.flatnonzero((lengths >= first) & (lengths <= last))
        for first, last in LENGTH_CLASSES
    }
    return {name: places for name, places in classes.items() if len(places)}
