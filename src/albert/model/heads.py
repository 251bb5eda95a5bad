"""The heads that stand on the encoder: masked LM, sentence order, classification.

Letters: M masked tokens, B sequences, V vocabulary, E embedding size, H hidden size.
Source: `get_masked_lm_output`, `get_sentence_order_output` (run_pretraining.py) and `create_model`
(run_classifier.py) of the original.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.model.encoder import activate
from albert.model.losses import VocabularyLoss, vocabulary_loss
from albert.model.packing import fill_up


class MaskedLMHead(nn.Module):
    """Predicts masked pieces: H to E, activation, normalisation, then the word embeddings themselves."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.LayerNorm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.hidden_act = config.hidden_act

    def forward(self, x: Tensor, word_embeddings: Tensor) -> Tensor:
        """Returns logits (M, V) for the states `x` (M, H) and the tied table (V, E)."""
        return F.linear(self._transform(x), word_embeddings, self.bias)[: len(x)]

    def loss(self, x: Tensor, word_embeddings: Tensor, labels: Tensor) -> VocabularyLoss:
        """Returns the loss of states `x` (M, H) against pieces `labels` (M,), never all logits at once."""
        return vocabulary_loss(self._transform(x), word_embeddings, self.bias, labels)

    def _transform(self, x: Tensor) -> Tensor:
        """Returns what the table is multiplied with, (R, E); rows are filled up to one of few sizes R."""
        return self.LayerNorm(activate(self.dense(fill_up(x)), self.hidden_act))


class SentenceOrderHead(nn.Module):
    """Tells from the pooled [CLS] whether two segments were swapped; no dropout, as in the original."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, pooled: Tensor) -> Tensor:
        """Returns logits (B, 2) for `pooled` (B, H): 0 in order, 1 swapped."""
        return self.classifier(pooled)
