"""Multi-head self-attention over packed sequences: the only part of the encoder that reads their boundaries.

`attend` chooses one of four ways, which give the same numbers but for rounding:

- `by_runs`, on CPUs: each run of neighbours of one length is one product. Nothing is padded and no mask is
  read; it takes a fifth of the padded grid's time at the lengths of GLUE.
- `by_torch`, `by_flash_attn`, on GPUs: one kernel takes all sequences at once. Only the latter, a package of
  its own, has dropout. Both need 16 bits and heads of at most 256.
- `padded`: queries, keys and values are laid on a padded grid. Float32 on GPUs, and GPUs without a kernel.

In bf16 on a CPU the kernel behind `scaled_dot_product_attention` is slower than plain matrix products at all
lengths of this model (4 times at 64 and 128, 1.8 times at 512, forward and backward), so those are used.
Letters: N rows of the packing, B sequences, T the longest, A heads, D = H / A the size of a head.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from albert.model import kernels
from albert.model.packing import Packing, PaddedBatch

Way = Literal["by_runs", "padded", "by_torch", "by_flash_attn"]

_LARGEST_HEAD = 256
_HEAD_MULTIPLE = 8
_OLDEST_GPU = (8, 0)
"""Lowest compute capability on which the kernels for GPUs run."""


# Traced with a whole model, it would be compiled again for every set of lengths.
@kernels.untraced
def attend(qkv: Tensor, packing: Packing, *, dropout_prob: float, way: Way | None = None) -> Tensor:
    """Return what each token reads from the tokens of its own sequence.

    Args:
        qkv: Queries, keys and values, (N, 3, A, D).
        packing: Where the sequences are.
        dropout_prob: Dropout on the attention probabilities.
        way: How to compute it; the fastest one for this device and type if not given.

    Returns:
        (N, A * D).
    """
    match way or fastest_way(qkv.device, qkv.dtype, qkv.shape[-1], dropout_prob=dropout_prob):
        case "by_runs":
            return _by_runs(qkv, packing, dropout_prob)
        case "by_torch":
            return _by_torch(qkv, packing)
        case "by_flash_attn":
            return _by_flash_attn(qkv, packing, dropout_prob)
        case "padded":
            return _padded(qkv, packing, dropout_prob)


def fastest_way(device: torch.device, dtype: torch.dtype, head_size: int, *, dropout_prob: float) -> Way:
    """Return the fastest way to attend that is possible here."""
    if device.type == "cpu":
        return "by_runs"
    if (
        device.type != "cuda"
        or dtype not in {torch.bfloat16, torch.float16}
        or head_size > _LARGEST_HEAD
        or head_size % _HEAD_MULTIPLE
        or torch.cuda.get_device_capability(device) < _OLDEST_GPU
    ):
        return "padded"
    if not dropout_prob and kernels.torch_attention() is not None:
        return "by_torch"
    return "padded" if kernels.flash_attention() is None else "by_flash_attn"


def attend_visibly(qkv: Tensor, batch: PaddedBatch, *, dropout_prob: float) -> tuple[Tensor, Tensor]:
    """Return what `attend` returns, and the attention probabilities that gave it, for inspection.

    The probabilities take part in the computation, so they can be asked for their gradients; dropout is in
    them, as in those of transformers.

    Args:
        qkv: Queries, keys and values, (N, 3, A, D).
        batch: Where the sequences are in the caller's batch of (B, T).
        dropout_prob: Dropout on the attention probabilities.

    Returns:
        (N, A * D), and (B, A, T, T) with 0 where there is no token.
    """
    query, key, value = batch.unpack(qkv).permute(2, 0, 3, 1, 4)  # (N, 3, A, D) -> three of (B, A, T, D)
    mask = batch.mask()
    scores = _scores(query, key).masked_fill(~mask[:, None, None, :], -math.inf)
    exact = torch.promote_types(qkv.dtype, torch.float32)
    probabilities = scores.softmax(-1, dtype=exact).to(qkv.dtype) * mask[:, None, :, None]
    probabilities = F.dropout(probabilities, dropout_prob)
    context = (probabilities @ value).transpose(1, 2).flatten(2)  # (B, A, T, D) -> (B, T, A * D)
    return batch.pack(context), probabilities


def _by_runs(qkv: Tensor, packing: Packing, dropout_prob: float) -> Tensor:
    """Attend run by run; a run is a number of neighbouring sequences of one length."""
    sizes = [count * length for count, length in packing.runs]
    # One split and one concatenation: the gradient of a slice would be as large as `qkv` each time.
    *parts, filling = torch.split(qkv, [*sizes, packing.num_rows - packing.num_tokens])
    contexts = []
    for (count, length), part in zip(packing.runs, parts, strict=True):
        # (count * length, 3, A, D) -> three of (count, A, length, D)
        query, key, value = part.view(count, length, *qkv.shape[1:]).permute(2, 0, 3, 1, 4)
        if qkv.dtype == torch.bfloat16:
            context = F.dropout(_scores(query, key).softmax(-1), dropout_prob) @ value
        else:
            context = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_prob)
        contexts.append(context.transpose(1, 2).reshape(count * length, -1))  # (count * length, A * D)
    return contexts[0] if packing.is_grid else torch.cat([*contexts, filling[:, 2].flatten(1)])


def _padded(qkv: Tensor, packing: Packing, dropout_prob: float) -> Tensor:
    """Attend on the grid (B, T)."""
    query, key, value = packing.pad(qkv).permute(2, 0, 3, 1, 4)  # (N, 3, A, D) -> three of (B, A, T, D)
    mask = packing.mask
    if mask is not None:
        mask = mask[:, None, None, :]  # (B, T) -> (B, 1, 1, T)
    context = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout_prob)
    return packing.unpad(context.transpose(1, 2).flatten(2))  # (B, A, T, D) -> (N, A * D)


def _by_torch(qkv: Tensor, packing: Packing) -> Tensor:
    """Attend by torch's kernel for packed sequences."""
    kernel = kernels.torch_attention()
    assert kernel is not None  # fastest_way
    bounds, longest = packing.boundaries, packing.max_length
    context: Tensor = kernel(*qkv.unbind(1), bounds, bounds, longest, longest)  # three of (N, A, D) -> one
    return context.flatten(1)


def _by_flash_attn(qkv: Tensor, packing: Packing, dropout_prob: float) -> Tensor:
    """Attend by the kernel of the package flash_attn."""
    kernel = kernels.flash_attention()
    assert kernel is not None  # fastest_way
    context: Tensor = kernel(qkv, packing.boundaries, packing.max_length, dropout_p=dropout_prob)
    return context.flatten(1)  # (N, A, D) -> (N, A * D)


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """Return the scaled products (B, A, T, T) of queries and keys (B, A, T, D)."""
    return query @ (key / math.sqrt(query.shape[-1])).transpose(-1, -2)
