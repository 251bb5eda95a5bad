"""The pretraining heads on the encoder: masked LM and sentence order.

Letters: M masked tokens, N >= M rows of which the last are filling, B sequences, V vocabulary, E embedding
size, H hidden size.
Source: `get_masked_lm_output` and `get_sentence_order_output` (run_pretraining.py) of the original.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.model.layer import activate
from albert.model.losses import Projection
from albert.model.packing import fill_up


class MaskedLMHead(nn.Module):
    """The masked LM head: H to E, activation, normalisation, then the word embeddings themselves."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.LayerNorm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.hidden_act = config.hidden_act

    def forward(self, x: Tensor, word_embeddings: Tensor) -> Tensor:
        """Return logits (M, V) for the hidden states `x` (M, H) and the tied table (V, E)."""
        return F.linear(*self.projection(x, word_embeddings))[: len(x)]  # (N, E) -> (M, V)

    def projection(self, x: Tensor, word_embeddings: Tensor) -> Projection:
        """Return the factors of the logits for `x` (M, H), for losses in slices."""
        x = activate(self.dense(fill_up(x)), self.hidden_act)  # (M, H) -> (N, E), rounded up to a bucket
        return Projection(self.LayerNorm(x), word_embeddings, self.bias)


class SentenceOrderHead(nn.Module):
    """The sentence-order head on the pooled [CLS]; no dropout, as in the original."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return logits (B, 2) for `pooled` (B, H): 0 in order, 1 swapped."""
        return self.classifier(pooled)
