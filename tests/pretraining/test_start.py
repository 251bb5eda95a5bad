"""Finding the micro-batch that fits."""

import pytest
import torch

from albert.pretraining.start import largest_micro_batch
from albert.training.distributed import World

GPU = torch.device("cuda")


def found(fits: int, batch_size: int, *, world: World = World()) -> tuple[int, list[int]]:
    tried: list[int] = []

    def try_examples(count: int) -> None:
        tried.append(count)
        if count > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return largest_micro_batch(try_examples, batch_size=batch_size, device=GPU, world=world), tried


@pytest.mark.parametrize(
    ("fits", "batch_size", "expected"),
    [(1000, 256, 256), (100, 256, 64), (100, 96, 96), (5, 12, 4), (1, 7, 1)],
)
def test_the_largest_divisor_that_fits_is_found(fits: int, batch_size: int, expected: int) -> None:
    size, tried = found(fits, batch_size)
    assert size == expected
    assert max(tried) <= batch_size
    assert batch_size % size == 0


def test_no_more_is_tried_than_a_rank_needs() -> None:
    _, tried = found(1000, 256, world=World(0, 1))
    assert max(tried) == 256


def test_where_not_even_one_example_fits_the_error_stays() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        found(0, 8)


def test_nothing_is_tried_on_a_cpu() -> None:
    def never(_: int) -> None:
        raise AssertionError

    cpu = torch.device("cpu")
    assert largest_micro_batch(never, batch_size=256, device=cpu, world=World()) == 64
    assert largest_micro_batch(never, batch_size=48, device=cpu, world=World()) == 48
