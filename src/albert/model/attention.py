"""Multi-head self-attention over packed sequences: the one place of the encoder that sees their boundaries.

`attend` is the interface behind which backends stand. Both backends here lay queries, keys and values on a
padded grid for the product alone, whose share of the work is small; everything around it computes on real
tokens only. `scaled_dot_product_attention` chooses its kernel; its bf16 kernel for CPUs is slower than
plain matrix products at all lengths of this model (4 times at 64 and 128, 1.8 times at 512, forward and
backward), so those are used there.
Letters: R rows of the packing, B sequences, T the longest, A heads, D = H / A.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from albert.model.packing import Packing


def attend(qkv: Tensor, packing: Packing, *, dropout_prob: float) -> Tensor:
    """Returns what each token reads from the tokens of its own sequence.

    Args:
        qkv: Queries, keys and values, (R, 3, A, D).
        packing: Where the sequences lie.
        dropout_prob: Dropout on the attention probabilities.

    Returns:
        (R, A * D).
    """
    query, key, value = packing.pad(qkv).permute(2, 0, 3, 1, 4)  # each (B, A, T, D)
    mask = packing.mask()
    if mask is not None:
        mask = mask[:, None, None, :]
    if qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16:
        scores = _scores(query, key, mask)
        context = F.dropout(scores.softmax(-1), dropout_prob) @ value
    else:
        context = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout_prob)
    return packing.unpad(context.transpose(1, 2).flatten(2))


def attention_probabilities(qkv: Tensor, packing: Packing) -> Tensor:
    """Returns the attention probabilities (B, A, T, T), for looking at; 0 where there is no token.

    Args:
        qkv: Queries, keys and values, (R, 3, A, D).
        packing: Where the sequences lie.
    """
    query, key, _ = packing.pad(qkv).permute(2, 0, 3, 1, 4)
    mask = packing.mask()
    if mask is None:
        return _scores(query, key, None).float().softmax(-1)
    probabilities = _scores(query, key, mask[:, None, None, :]).float().softmax(-1)
    return probabilities * mask[:, None, :, None]


def _scores(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the scaled products (B, A, T, T); -inf at keys without a token."""
    scores = query @ (key / math.sqrt(query.shape[-1])).transpose(-1, -2)
    return scores if mask is None else scores.masked_fill(~mask, -math.inf)
