"""Sequences laid end to end: the form in which the whole encoder computes.

A padded batch (B, T) spends work on padding. Packed, the same batch is one row of its N real tokens, and
`Packing` remembers where each sequence begins. Only attention reads these boundaries. The padded form exists
only in the public classes, where `PaddedBatch` translates.

Matrix kernels are compiled and kept for every shape they meet (oneDNN's for bf16 on a CPU, for instance), and
the number of tokens differs from batch to batch. So it is rounded up to a bucket, by at most a sixteenth: the
last rows of a packing are filling that no real token reads.

Lengths are known on the host before anything runs, and everything that follows from them is computed there,
so nothing waits for a GPU.
Letters: B sequences, T the longest, N tokens; `num_rows` counts the filling, too.
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
from albert.model.kernels import untraced


# A compiler that traces a whole model cannot follow memory that is pinned, nor numbers that the host needs.
@untraced
def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor on `device`, without waiting for the device."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    # A copy from pageable memory waits until the device has finished all earlier work.
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class Packing:
    """Where the sequences of a packed batch are."""

    lengths: tuple[int, ...]
    """Number of tokens of each of the B sequences; none is 0."""
    position_ids: Tensor
    """Position of each row's token in its sequence, (num_rows,), int64; 0 for filling."""

    @classmethod
    def of_lengths(cls, lengths: Tensor, device: torch.device | None = None) -> "Packing":
        """Make the packing of sequences of `lengths` (B,), all positions counted from 0.

        Args:
            lengths: On the host; reading them from a GPU would wait for it.
            device: Where the tokens are; the device of `lengths` if not given.
        """
        counts = lengths.cpu().numpy()
        total = int(counts.sum())
        positions = np.zeros(round_up_to_bucket(total), np.int64)
        positions[:total] = np.arange(total) - np.repeat(counts.cumsum() - counts, counts)
        return cls(tuple(counts.tolist()), on_device(positions, device or lengths.device))

    @cached_property
    def num_tokens(self) -> int:
        """Number of real tokens, N."""
        return sum(self.lengths)

    @cached_property
    def max_length(self) -> int:
        """Number of tokens of the longest sequence, T."""
        return max(self.lengths)

    @property
    def num_rows(self) -> int:
        """Number of rows: real tokens and filling."""
        return len(self.position_ids)

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Neighbouring sequences of one length, as their number and that length, in order."""
        return tuple((len([*same]), length) for length, same in groupby(self.lengths))

    @cached_property
    def starts(self) -> Tensor:
        """Index of the first token, [CLS], of each sequence, (B,), int64."""
        return on_device(self._ends - np.array(self.lengths), self.position_ids.device)

    @cached_property
    def boundaries(self) -> Tensor:
        """Where sequences begin, and the end, int32; filling counts as sequences of at most `max_length`."""
        filling = np.arange(self.num_tokens, self.num_rows, self.max_length)[1:]
        parts = ([0], self._ends, filling, [self.num_rows] if self.num_rows > self.num_tokens else [])
        return on_device(np.concatenate(parts).astype(np.int32), self.position_ids.device)

    @cached_property
    def cells(self) -> Tensor:
        """Index of each row in the flat grid (B * T), (num_rows,), int64; B * T for filling."""
        lengths = np.array(self.lengths)
        cells = np.full(self.num_rows, len(lengths) * self.max_length)
        shifts = np.arange(len(lengths)) * self.max_length - (self._ends - lengths)
        cells[: self.num_tokens] = np.arange(self.num_tokens) + np.repeat(shifts, lengths)
        return on_device(cells, self.position_ids.device)

    @cached_property
    def is_grid(self) -> bool:
        """Whether the rows are those of the grid: all sequences have one length, and there is no filling."""
        return len(self.runs) == 1 and self.num_tokens == self.num_rows

    def pad(self, x: Tensor) -> Tensor:
        """Return the rows `x` (num_rows, ...) on the grid (B, T, ...); cells without a token are 0."""
        shape = (len(self.lengths), self.max_length, *x.shape[1:])
        if self.is_grid:
            return x.view(shape)
        size = len(self.lengths) * self.max_length
        return x.new_zeros(size + 1, *x.shape[1:]).index_copy(0, self.cells, x)[:size].view(shape)

    def unpad(self, grid: Tensor) -> Tensor:
        """Return the rows (num_rows, ...) of `grid` (B, T, ...); filling repeats the last cell."""
        flat = grid.reshape(-1, *grid.shape[2:])  # (B, T, ...) -> (B * T, ...)
        return flat if self.is_grid else flat[self.cells.clamp(max=len(flat) - 1)]

    @cached_property
    def mask(self) -> Tensor | None:
        """Which cells of the grid hold a token, (B, T), bool; None if all do."""
        if self.is_grid:
            return None
        real = np.arange(self.max_length) < np.array(self.lengths)[:, None]
        return on_device(real, self.position_ids.device)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Index after the last token of each sequence, (B,)."""
        return np.cumsum(self.lengths)


def fill_up(x: Tensor) -> Tensor:
    """Return `x` (N, ...), filled with zeros up to the bucket of N."""
    return F.pad(x, (0, 0) * (x.ndim - 1) + (0, round_up_to_bucket(len(x)) - len(x)))


def round_up_to_bucket(count: int) -> int:
    """Round up to a bucket: multiples of 8, 16 per power of two."""
    step = max(8, 1 << (count.bit_length() - 5)) if count >= 32 else 8
    return -(-count // step) * step


@untraced
def pack(attention_mask: Tensor) -> tuple[Packing, Tensor]:
    """Return the packing of a padded batch and the flat index of each of its real tokens (N,).

    A token keeps the position of its column, so masked columns before or between tokens do not shift it.

    Args:
        attention_mask: (B, T); 0 marks padding.

    Raises:
        DataError: A row has no token at all.
    """
    real = attention_mask != 0
    lengths = real.sum(1)  # (B, T) -> (B,)
    if lengths.numel() == 0 or int(lengths.min()) == 0:
        row = int(lengths.argmin()) if lengths.numel() else 0
        raise DataError(f"row {row} of attention_mask has no token; every sequence needs one")
    cells = real.flatten().nonzero().squeeze(1)  # (B, T) -> (N,)
    positions = cells % attention_mask.shape[1]
    return Packing(tuple(lengths.tolist()), fill_up(positions)), cells


def unpack(x: Tensor, cells: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return packed `x` (N, ...) at the flat indices `cells` (N,) of a (B, T) batch of zeros."""
    grid = x.new_zeros(shape[0] * shape[1], *x.shape[1:])
    return grid.index_copy(0, cells, x).view(*shape, *x.shape[1:])


@dataclass(frozen=True, slots=True)
class PaddedInputs:
    """What a caller gives for a padded batch, as transformers names it."""

    input_ids: Tensor | None = None
    """(B, T)"""
    attention_mask: Tensor | None = None
    """(B, T), 0 marks padding; without it there is none."""
    token_type_ids: Tensor | None = None
    """(B, T); without it all are 0."""
    position_ids: Tensor | None = None
    """(B, T) or (1, T); without it the columns."""
    inputs_embeds: Tensor | None = None
    """In place of `input_ids`: word embeddings, (B, T, E)."""

    def checked_shape(self) -> tuple[int, int]:
        """Return (B, T).

        Raises:
            DataError: Neither or both of `input_ids` and `inputs_embeds` are given, or a shape is wrong.
        """
        if (self.input_ids is None) == (self.inputs_embeds is None):
            found = "neither" if self.input_ids is None else "both"
            raise DataError(f"expected input_ids or inputs_embeds, found {found}")
        if self.input_ids is not None:
            _check_dimensions("input_ids", self.input_ids, 2)
            rows, columns = self.input_ids.shape
        else:
            assert self.inputs_embeds is not None  # above
            _check_dimensions("inputs_embeds", self.inputs_embeds, 3)
            rows, columns = self.inputs_embeds.shape[:2]
        for name in ("attention_mask", "token_type_ids", "position_ids"):
            given = getattr(self, name)
            if given is not None:
                check_shape(name, given, (rows, columns), *[(1, columns)] * (name == "position_ids"))
        return rows, columns


def check_shape(name: str, tensor: Tensor, *expected: tuple[int, ...]) -> None:
    """Check that an argument has one of the `expected` shapes.

    Raises:
        DataError: It has another one; broadcasting would compute something else.
    """
    if tuple(tensor.shape) not in expected:
        allowed = " or ".join(map(str, expected))
        raise DataError(f"{name} has shape {tuple(tensor.shape)}; expected {allowed}")


def _check_dimensions(name: str, tensor: Tensor, expected: int) -> None:
    if tensor.ndim != expected:
        shape = "(B, T, E)" if expected == 3 else "(B, T)"
        raise DataError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}, a row a sequence")


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """A padded batch, packed, and how to unpack what a model returns for it."""

    input_ids: Tensor | None
    """(N,); None if `inputs_embeds` are given."""
    token_type_ids: Tensor
    """(N,)"""
    inputs_embeds: Tensor | None
    """Word embeddings in place of `input_ids`, (N, E)."""
    packing: Packing
    """Where the sequences are; position ids are the tokens' columns, or as given."""
    cells: Tensor
    """Flat index of each token in the padded batch, (N,)."""
    shape: tuple[int, int]
    """Of the padded batch, (B, T)."""

    @classmethod
    def of(cls, inputs: PaddedInputs) -> "PaddedBatch":
        """Pack a padded batch.

        Raises:
            DataError: The inputs do not fit each other, or a row has no token.
        """
        shape = inputs.checked_shape()
        given = inputs.input_ids if inputs.inputs_embeds is None else inputs.inputs_embeds
        assert given is not None  # checked_shape
        mask = inputs.attention_mask
        packing, cells = pack(torch.ones(shape, device=given.device) if mask is None else mask)
        if inputs.position_ids is not None:
            positions = inputs.position_ids.expand(shape).flatten()[cells]  # (B, T) -> (N,)
            packing = Packing(packing.lengths, fill_up(positions))
        segments = inputs.token_type_ids
        tokens = given.flatten(0, 1)[cells]  # (B, T, ...) -> (N, ...)
        return cls(
            input_ids=None if inputs.input_ids is None else tokens,
            token_type_ids=cells.new_zeros(len(cells)) if segments is None else segments.flatten()[cells],
            inputs_embeds=None if inputs.inputs_embeds is None else tokens,
            packing=packing,
            cells=cells,
            shape=shape,
        )

    def unpack(self, x: Tensor) -> Tensor:
        """Return packed `x` (N, ...) as (B, T, ...), without filling; cells without a token are 0."""
        return unpack(x[: self.packing.num_tokens], self.cells, self.shape)

    def pack(self, grid: Tensor) -> Tensor:
        """Return the tokens of `grid` (B, T, ...) as rows (num_rows, ...), filled up with zeros."""
        return fill_up(grid.flatten(0, 1)[self.cells])

    def mask(self) -> Tensor:
        """Return which cells hold a token, (B, T), bool."""
        return unpack(torch.ones_like(self.cells, dtype=torch.bool), self.cells, self.shape)
