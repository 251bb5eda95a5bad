"""From the states of a text's tokens to one vector: pooling, and the layers that may follow it.

Names and formulas are those of sentence-transformers.
Letters: G texts, M tokens of all of them, H hidden size, D size of a vector.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albert.choices import Pooling
from albert.model.packing import on_device

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "Tanh": nn.Tanh,
    "Identity": nn.Identity,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "Sigmoid": nn.Sigmoid,
    "SiLU": nn.SiLU,
}
"""Activations of dense layers, by the name of torch's class."""


class Normalize(nn.Module):
    """Scales vectors to length 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors (G, D) with length 1."""
        return F.normalize(x, dim=-1)


class Dense(nn.Module):
    """A linear layer with an activation after it.

    Args:
        in_features: Size of the vectors it takes.
        out_features: Size of those it returns.
        bias: Whether the layer has a bias.
        activation: Name of the activation, a key of `ACTIVATIONS`.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool, activation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation_name = activation
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors (G, D of the output) of vectors (G, D of the input)."""
        found: Tensor = self.activation(self.linear(x))
        return found


def pool(x: Tensor, lengths: Tensor, modes: Sequence[Pooling]) -> Tensor:
    """Return the vectors (G, H times the number of modes) of packed states (M, H).

    Args:
        x: States, float32.
        lengths: Tokens of each text, (G,), on the host.
        modes: How to pool; several vectors are laid end to end.
    """
    sizes = lengths.numpy()
    ends = sizes.cumsum()
    rows = on_device(np.repeat(np.arange(len(sizes)), sizes), x.device)  # (M,)
    counts = on_device(sizes, x.device)[:, None].to(x.dtype)  # (G, 1)
    places = on_device(np.arange(len(x)) - np.repeat(ends - sizes, sizes) + 1, x.device)[:, None]  # (M, 1)

    def summed(states: Tensor) -> Tensor:
        return x.new_zeros(len(sizes), x.shape[1]).index_add_(0, rows, states)  # (M, H) -> (G, H)

    def pooled(mode: Pooling) -> Tensor:
        match mode:
            case "mean":
                return summed(x) / counts
            case "mean_sqrt_len_tokens":
                return summed(x) / counts.sqrt()
            case "weightedmean":
                return summed(x * places) / (counts * (counts + 1) / 2)
            case "max":
                lowest = x.new_full((len(sizes), x.shape[1]), float("-inf"))
                return lowest.scatter_reduce(0, rows[:, None].expand_as(x), x, reduce="amax")
            case "cls":
                return x[on_device(ends - sizes, x.device)]
            case "lasttoken":
                return x[on_device(ends - 1, x.device)]

    return torch.cat([pooled(mode) for mode in modes], dim=-1)
