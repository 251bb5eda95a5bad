"""Splitting a batch and joining it again changes nothing."""

from itertools import pairwise

import numpy as np
import pytest

from albert.data.batches import PretrainingBatch


def make_batch(sizes: list[int], *, seed: int = 0) -> PretrainingBatch:
    random = np.random.default_rng(seed)
    total = sum(sizes)
    positions = np.flatnonzero(random.random(total) < 0.3)
    return PretrainingBatch(
        input_ids=random.integers(0, 31, total),
        token_type_ids=random.integers(0, 2, total),
        lengths=np.array(sizes),
        masked_positions=positions,
        masked_labels=random.integers(0, 31, len(positions)),
        sentence_order_labels=random.integers(0, 2, len(sizes)),
        word_starts=random.random(total) < 0.5,
    )


def assert_equal(first: PretrainingBatch, second: PretrainingBatch) -> None:
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, vars(second)[name], err_msg=name)


@pytest.mark.parametrize("cuts", [[0, 5], [0, 1, 5], [0, 2, 2, 3, 5]])
def test_parts_of_a_batch_join_to_the_batch(cuts: list[int]) -> None:
    batch = make_batch([3, 7, 1, 11, 5])
    parts = [batch.take(a, b) for a, b in pairwise(cuts)]
    assert [len(part) for part in parts] == np.diff(cuts).tolist()
    assert_equal(PretrainingBatch.join(parts), batch)


def test_taken_sequences_keep_their_masked_tokens() -> None:
    batch = make_batch([3, 7, 11], seed=2)
    part = batch.take(1, 2)
    inside = (batch.masked_positions >= 3) & (batch.masked_positions < 10)
    assert part.masked_positions.tolist() == (batch.masked_positions[inside] - 3).tolist()
    assert part.masked_labels.tolist() == batch.masked_labels[inside].tolist()
