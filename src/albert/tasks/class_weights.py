"""Weights of labels in the training loss: given one by one, or balanced by how often each label occurs.

They make up for labels that are rare in the training data, at the price of probabilities that are too high
for these.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError

BALANCED = "balanced"


def class_weights(
    text: str, labels: Sequence[str], counts: NDArray[np.int64], balanced: NDArray[np.float64]
) -> tuple[float, ...]:
    """Return the weight of each label.

    Args:
        text: `balanced`, or a number for each label, separated by commas.
        labels: Names of the labels, (K,).
        counts: Training examples with each label, (K,).
        balanced: The weights that `balanced` stands for, (K,); not finite or 0 for labels that lack examples
            on one side.

    Raises:
        ConfigError: `text` does not give each label a weight above 0, or no balance is possible.
    """
    if text == BALANCED:
        for label, count, weight in zip(labels, counts, balanced, strict=True):
            if not (np.isfinite(weight) and weight > 0):
                share = "all training examples have" if count else "no training example has"
                raise ConfigError(
                    f"--class-weights balanced: {share} the label {label!r}, so no weight balances it; give "
                    f"the {len(labels)} weights as numbers, in the order {','.join(labels)}"
                )
        return tuple(float(f"{weight:.6g}") for weight in balanced)
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        weights = ()
    if len(weights) != len(labels) or not all(0 < weight < float("inf") for weight in weights):
        raise ConfigError(
            f"--class-weights {text}: expected balanced, or {len(labels)} numbers above 0, separated by "
            f"commas, in the order {','.join(labels)}"
        )
    return weights
