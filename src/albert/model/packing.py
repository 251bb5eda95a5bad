"""Sequences laid end to end: the form in which everything inside the encoder computes.

A padded batch (B, T) spends work on padding; packed, the same batch is one row of its N real tokens, and
`Packing` remembers where each sequence begins. Only attention looks at the boundaries. The padded form
exists at the public door alone, where `pack` and `unpack` translate.

Matrix kernels are compiled and kept for every shape they meet (oneDNN's for bf16 on a CPU, for instance),
and N differs from batch to batch. So rows are counted up to one of few sizes, at most a sixteenth more:
`Packing` holds R >= N rows, the last R - N of which are filling that no real token sees.

Lengths are known on the host before anything runs, and everything that follows from them is counted there: a
GPU is never asked, so nobody waits for it.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from albert.errors import DataError


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Returns an array as a tensor on `device`, without waiting for what runs there."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    # From pageable memory a copy waits until the device has done everything that was asked before.
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class Packing:
    """Where the sequences of a packed batch lie."""

    lengths: tuple[int, ...]
    """Tokens of each of the B sequences; none is 0."""
    position_ids: Tensor
    """Position of each row's token in its sequence, (R,), int64; 0 for filling."""

    @classmethod
    def of_lengths(cls, lengths: Tensor, device: torch.device | None = None) -> "Packing":
        """Makes the packing of sequences of `lengths` (B,), all positions counted from 0.

        Args:
            lengths: On the host; a GPU that has them is waited for.
            device: Where the tokens are; that of `lengths` if not given.
        """
        counts = lengths.cpu().numpy()
        total = int(counts.sum())
        positions = np.zeros(round_up_to_bucket(total), np.int64)
        positions[:total] = np.arange(total) - np.repeat(counts.cumsum() - counts, counts)
        return cls(tuple(counts.tolist()), on_device(positions, device or lengths.device))

    @cached_property
    def num_tokens(self) -> int:
        """Real tokens, N."""
        return sum(self.lengths)

    @cached_property
    def max_length(self) -> int:
        """Tokens of the longest sequence, T."""
        return max(self.lengths)

    @property
    def num_rows(self) -> int:
        """Rows, R: real tokens and filling."""
        return len(self.position_ids)

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Neighbours of one length: their number and that length, in order."""
        return tuple((len([*same]), length) for length, same in groupby(self.lengths))

    @cached_property
    def starts(self) -> Tensor:
        """Index of the first token, [CLS], of each sequence, (B,), int64."""
        return on_device(self._ends - np.array(self.lengths), self.position_ids.device)

    @cached_property
    def boundaries(self) -> Tensor:
        """Where sequences begin, and the end, int32; filling counts as sequences none of which is longest."""
        filling = np.arange(self.num_tokens, self.num_rows, self.max_length)[1:]
        parts = ([0], self._ends, filling, [self.num_rows] if self.num_rows > self.num_tokens else [])
        return on_device(np.concatenate(parts).astype(np.int32), self.position_ids.device)

    @cached_property
    def cells(self) -> Tensor:
        """Index of each row in the flat grid (B * T), (R,), int64; that behind the grid for filling."""
        lengths = np.array(self.lengths)
        cells = np.full(self.num_rows, len(lengths) * self.max_length)
        shifts = np.arange(len(lengths)) * self.max_length - (self._ends - lengths)
        cells[: self.num_tokens] = np.arange(self.num_tokens) + np.repeat(shifts, lengths)
        return on_device(cells, self.position_ids.device)

    @cached_property
    def is_grid(self) -> bool:
        """Whether the rows are those of the grid: all sequences have one length, and nothing is filled."""
        return len(self.runs) == 1 and self.num_tokens == self.num_rows

    def pad(self, x: Tensor) -> Tensor:
        """Returns the rows `x` (R, ...) on the grid (B, T, ...); cells without a token are 0."""
        shape = (len(self.lengths), self.max_length, *x.shape[1:])
        if self.is_grid:
            return x.view(shape)
        size = len(self.lengths) * self.max_length
        return x.new_zeros(size + 1, *x.shape[1:]).index_copy(0, self.cells, x)[:size].view(shape)

    def unpad(self, grid: Tensor) -> Tensor:
        """Returns the rows (R, ...) of `grid` (B, T, ...); filling repeats the last cell."""
        flat = grid.reshape(-1, *grid.shape[2:])
        return flat if self.is_grid else flat[self.cells.clamp(max=len(flat) - 1)]

    @cached_property
    def mask(self) -> Tensor | None:
        """Which cells of the grid hold a token, (B, T), bool; None where all do."""
        if self.is_grid:
            return None
        real = np.arange(self.max_length) < np.array(self.lengths)[:, None]
        return on_device(real, self.position_ids.device)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Behind the last token of each sequence, (B,)."""
        return np.cumsum(self.lengths)


def fill_up(x: Tensor) -> Tensor:
    """Returns `x` (N, ...) with filling of 0 up to one of few sizes, (R, ...)."""
    return F.pad(x, (0, 0) * (x.ndim - 1) + (0, round_up_to_bucket(len(x)) - len(x)))


def round_up_to_bucket(count: int) -> int:
    """Returns the least of few sizes that is at least `count`: 16 an octave, and multiples of 8."""
    step = max(8, 1 << (count.bit_length() - 5)) if count >= 32 else 8
    return -(-count // step) * step


def pack(attention_mask: Tensor) -> tuple[Packing, Tensor]:
    """Returns the packing of a padded batch and the flat index of each of its real tokens (N,).

    A token keeps the position of its column, so masked columns before or between tokens shift nothing.

    Args:
        attention_mask: (B, T); 0 marks padding.

    Raises:
        DataError: A row has no token at all.
    """
    real = attention_mask != 0
    lengths = real.sum(1)
    if lengths.numel() == 0 or int(lengths.min()) == 0:
        row = int(lengths.argmin()) if lengths.numel() else 0
        raise DataError(f"row {row} of attention_mask has no token; every sequence needs one")
    cells = real.flatten().nonzero().squeeze(1)
    positions = cells % attention_mask.shape[1]
    return Packing(tuple(lengths.tolist()), fill_up(positions)), cells


def unpack(x: Tensor, cells: Tensor, shape: tuple[int, int]) -> Tensor:
    """Returns packed `x` (N, ...) at the flat indices `cells` (N,) of a batch of `shape` (B, T); else 0."""
    grid = x.new_zeros(shape[0] * shape[1], *x.shape[1:])
    return grid.index_copy(0, cells, x).view(*shape, *x.shape[1:])
