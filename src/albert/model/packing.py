"""Sequences laid end to end: the form in which everything inside the encoder computes.

A padded batch (B, T) spends work on padding; packed, the same batch is one row of its N real tokens, and
`Packing` remembers where each sequence begins. Only attention looks at the boundaries. The padded form
exists at the public door alone, where `pack` and `unpack` translate.

Matrix kernels are compiled and kept for every shape they meet (oneDNN's for bf16 on a CPU, for instance),
and N differs from batch to batch. So rows are counted up to one of few sizes, at most a sixteenth more:
`Packing` holds R >= N rows, the last R - N of which are filling that no real token sees.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from albert.errors import DataError


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the sequences of a packed batch lie."""

    lengths: Tensor
    """Tokens of each sequence, (B,), int64; none is 0."""
    starts: Tensor
    """Index of the first token, [CLS], of each sequence, (B,), int64."""
    position_ids: Tensor
    """Position of each row's token in its sequence, (R,), int64; 0 for filling."""
    num_tokens: int
    """Real tokens, N."""
    max_length: int
    """Longest sequence."""
    cells: Tensor | None
    """Index of each row in the flat (B * max_length) grid, (R,); that behind the grid for filling. None
    where all sequences have one length and nothing is filled."""

    @classmethod
    def of_lengths(cls, lengths: Tensor) -> "Packing":
        """Makes the packing of sequences of `lengths` (B,), all positions counted from 0."""
        ends = lengths.cumsum(0)
        starts = ends - lengths
        shortest, longest = (int(length) for length in torch.aminmax(lengths))
        total = lengths.shape[0] * longest if shortest == longest else int(ends[-1])
        sequence = torch.repeat_interleave(
            torch.arange(lengths.shape[0], device=lengths.device), lengths, output_size=total
        )
        position_ids = torch.arange(total, device=lengths.device) - starts[sequence]
        filling = few_sizes(total) - total
        cells = None
        if filling or shortest != longest:
            cells = F.pad(sequence * longest + position_ids, (0, filling), value=lengths.shape[0] * longest)
        return cls(lengths, starts, F.pad(position_ids, (0, filling)), total, longest, cells)

    def fill(self, x: Tensor) -> Tensor:
        """Returns `x` (N,) with filling of 0, (R,)."""
        return F.pad(x, (0, len(self.position_ids) - self.num_tokens))

    def pad(self, x: Tensor) -> Tensor:
        """Returns the rows `x` (R, ...) on the grid (B, T, ...); cells without a token are 0."""
        batch_size = self.lengths.shape[0]
        if self.cells is None:
            return x.view(batch_size, self.max_length, *x.shape[1:])
        size = batch_size * self.max_length
        grid = x.new_zeros(size + 1, *x.shape[1:]).index_copy(0, self.cells, x)
        return grid[:size].view(batch_size, self.max_length, *x.shape[1:])

    def unpad(self, grid: Tensor) -> Tensor:
        """Returns the rows (R, ...) of `grid` (B, T, ...); filling repeats the last cell."""
        flat = grid.reshape(-1, *grid.shape[2:])
        return flat if self.cells is None else flat[self.cells.clamp(max=len(flat) - 1)]

    def mask(self) -> Tensor | None:
        """Returns which cells of the grid hold a token, (B, T), bool; None where all do."""
        if self.cells is None:
            return None
        columns = torch.arange(self.max_length, device=self.lengths.device)
        return columns < self.lengths[:, None]


def few_sizes(count: int) -> int:
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
    packing = Packing.of_lengths(lengths)
    return replace(packing, position_ids=packing.fill(cells % attention_mask.shape[1])), cells


def unpack(x: Tensor, cells: Tensor, shape: tuple[int, int]) -> Tensor:
    """Returns packed `x` (N, ...) at the flat indices `cells` (N,) of a batch of `shape` (B, T); else 0."""
    grid = x.new_zeros(shape[0] * shape[1], *x.shape[1:])
    return grid.index_copy(0, cells, x).view(*shape, *x.shape[1:])
