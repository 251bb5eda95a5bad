"""Batches of shuffled examples, for ever.

Stands on what any kind of task encodes; below the recipes.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from albert.tasks.solver import FeaturesT


def shuffled_batches(features: FeaturesT, size: int, *, seed: int, start: int = 0) -> Iterator[FeaturesT]:
    """Yields batches of `size` items without end, every pass over all items in a new order.

    The order of a pass depends on `seed` and its number alone; `start` items are passed over first. A
    batch may hold the end of one pass and the beginning of the next.
    """

    def order(number: int) -> NDArray[np.int64]:
        return np.random.default_rng((seed, number)).permutation(len(features))

    epoch, done = divmod(start, len(features))
    waiting = order(epoch)[done:]
    while True:
        while len(waiting) < size:
            epoch += 1
            waiting = np.concatenate([waiting, order(epoch)])
        yield features.take(waiting[:size])
        waiting = waiting[size:]
