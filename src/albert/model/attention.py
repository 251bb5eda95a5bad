"""Multi-head self-attention over packed sequences: the one place of the encoder that sees their boundaries.

`attend` is the interface behind which three ways stand, the same but for rounding:

- On CPUs each sequence is attended to by itself, neighbours of one length together. Nothing is padded, and
  no mask is read: a fifth of the time of the padded grid where lengths are those of GLUE.
- On GPUs one kernel takes all sequences at once, wherever they begin: torch's own, or that of the package
  flash_attn where it is installed, which alone drops out. Both want 16 bits and heads of up to 256.
- Elsewhere, and in float32 on GPUs, queries, keys and values are laid on a padded grid for the product.

The bf16 kernel for CPUs behind `scaled_dot_product_attention` is slower than plain matrix products at all
lengths of this model (4 times at 64 and 128, 1.8 times at 512, forward and backward), so those are used.
Letters: R rows of the packing, B sequences, T the longest, A heads, D = H / A.
"""

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from albert.model.packing import Packing

_LARGEST_HEAD = 256
_HEAD_MULTIPLE = 8
_OLDEST_GPU = (8, 0)
"""Compute capability from which on the kernels for GPUs run."""

Kernel = Callable[..., Any]


def attend(qkv: Tensor, packing: Packing, *, dropout_prob: float) -> Tensor:
    """Returns what each token reads from the tokens of its own sequence.

    Args:
        qkv: Queries, keys and values, (R, 3, A, D).
        packing: Where the sequences lie.
        dropout_prob: Dropout on the attention probabilities.

    Returns:
        (R, A * D).
    """
    if qkv.device.type == "cpu":
        return _attend_one_by_one(qkv, packing, dropout_prob)
    kernel = _kernel_for(qkv, dropout_prob)
    if kernel is not None:
        return kernel(qkv, packing, dropout_prob)
    return _attend_padded(qkv, packing, dropout_prob)


def attention_probabilities(qkv: Tensor, packing: Packing) -> Tensor:
    """Returns the attention probabilities (B, A, T, T), for looking at; 0 where there is no token.

    Args:
        qkv: Queries, keys and values, (R, 3, A, D).
        packing: Where the sequences lie.
    """
    query, key, _ = packing.pad(qkv).permute(2, 0, 3, 1, 4)
    mask = packing.mask
    if mask is None:
        return _scores(query, key).float().softmax(-1)
    scores = _scores(query, key).masked_fill(~mask[:, None, None, :], -math.inf)
    return scores.float().softmax(-1) * mask[:, None, :, None]


def _attend_one_by_one(qkv: Tensor, packing: Packing, dropout_prob: float) -> Tensor:
    """Attends run by run; a run is a few sequences of one length that lie behind each other."""
    sizes = [count * length for count, length in packing.runs]
    # One split and one joining: the gradient of a slice would be as large as `qkv` each time.
    *parts, filling = torch.split(qkv, [*sizes, packing.num_rows - packing.num_tokens])
    contexts = []
    for (count, length), part in zip(packing.runs, parts, strict=True):
        query, key, value = part.view(count, length, *qkv.shape[1:]).permute(2, 0, 3, 1, 4)
        if qkv.dtype == torch.bfloat16:
            context = F.dropout(_scores(query, key).softmax(-1), dropout_prob) @ value
        else:
            context = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_prob)
        contexts.append(context.transpose(1, 2).reshape(count * length, -1))
    return contexts[0] if packing.is_grid else torch.cat([*contexts, filling[:, 2].flatten(1)])


def _attend_padded(qkv: Tensor, packing: Packing, dropout_prob: float) -> Tensor:
    """Attends on the grid (B, T)."""
    query, key, value = packing.pad(qkv).permute(2, 0, 3, 1, 4)  # each (B, A, T, D)
    mask = packing.mask
    if mask is not None:
        mask = mask[:, None, None, :]
    context = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout_prob)
    return packing.unpad(context.transpose(1, 2).flatten(2))


def _attend_by_torch(qkv: Tensor, packing: Packing, _: float) -> Tensor:
    """Attends by torch's kernel for sequences of any lengths."""
    where, longest = packing.boundaries, packing.max_length
    context: Tensor = _torch_kernel()(*qkv.unbind(1), where, where, longest, longest)  # type: ignore[misc]  # it is there
    return context.flatten(1)


def _attend_by_flash_attn(qkv: Tensor, packing: Packing, dropout_prob: float) -> Tensor:
    """Attends by the kernel of the package flash_attn."""
    kernel = _flash_attn_kernel()
    assert kernel is not None
    context: Tensor = kernel(qkv, packing.boundaries, packing.max_length, dropout_p=dropout_prob)
    return context.flatten(1)


def _kernel_for(qkv: Tensor, dropout_prob: float) -> Kernel | None:
    """Returns what attends on this GPU without padding; None where nothing does."""
    head = qkv.shape[-1]
    if (
        qkv.device.type != "cuda"
        or qkv.dtype not in {torch.bfloat16, torch.float16}
        or head > _LARGEST_HEAD
        or head % _HEAD_MULTIPLE
        or torch.cuda.get_device_capability(qkv.device) < _OLDEST_GPU
    ):
        return None
    if not dropout_prob and _torch_kernel() is not None:
        return _attend_by_torch
    return None if _flash_attn_kernel() is None else _attend_by_flash_attn


@cache
def _torch_kernel() -> Kernel | None:
    """Returns the kernel of torch, which has one from version 2.10 on, if built with flash attention."""
    if not torch.backends.cuda.is_flash_attention_available():
        return None
    return _found("torch.nn.attention.varlen", "varlen_attn")


@cache
def _flash_attn_kernel() -> Kernel | None:
    """Returns the kernel of the package flash_attn, where it is installed."""
    return _found("flash_attn", "flash_attn_varlen_qkvpacked_func")


def _found(module: str, name: str) -> Kernel | None:
    try:
        found: Kernel | None = getattr(import_module(module), name, None)
    except ImportError:
        return None
    return found


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """Returns the scaled products (B, A, T, T)."""
    return query @ (key / math.sqrt(query.shape[-1])).transpose(-1, -2)
