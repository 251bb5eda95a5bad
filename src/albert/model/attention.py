"""Multi-head self-attention over packed sequences: the one place of the encoder that sees their boundaries.

`attend` is the interface behind which backends stand. The backend here lays queries, keys and values on a
padded grid for the product alone, whose share of the work is small, and lets
`scaled_dot_product_attention` choose the kernel; everything around it computes on real tokens only.
Letters: N tokens of the batch, B sequences, T the longest, A heads, D = H / A.
"""

import math

import torch.nn.functional as F
from torch import Tensor

from albert.model.packing import Packing


def attend(qkv: Tensor, packing: Packing, *, dropout_prob: float) -> Tensor:
    """Returns what each token reads from the tokens of its own sequence.

    Args:
        qkv: Queries, keys and values, (N, 3, A, D).
        packing: Where the sequences lie.
        dropout_prob: Dropout on the attention probabilities.

    Returns:
        (N, A * D).
    """
    query, key, value = packing.pad(qkv).permute(2, 0, 3, 1, 4)  # each (B, A, T, D)
    mask = packing.mask()
    context = F.scaled_dot_product_attention(
        query, key, value, None if mask is None else mask[:, None, None, :], dropout_p=dropout_prob
    )
    return packing.unpad(context.transpose(1, 2).flatten(2))


def attention_probabilities(qkv: Tensor, packing: Packing) -> Tensor:
    """Returns the attention probabilities (B, A, T, T), for looking at; 0 where there is no token.

    Args:
        qkv: Queries, keys and values, (N, 3, A, D).
        packing: Where the sequences lie.
    """
    query, key, _ = packing.pad(qkv).permute(2, 0, 3, 1, 4)
    scores = (query @ key.transpose(-1, -2)).float() / math.sqrt(query.shape[-1])
    mask = packing.mask()
    if mask is None:
        return scores.softmax(-1)
    probabilities = scores.masked_fill(~mask[:, None, None, :], -math.inf).softmax(-1)
    return probabilities * mask[:, None, :, None]
