"""Vectors of texts, pooled from the encoder's hidden states; `albert embed` writes them.

Letters: B texts, N tokens of all of them, H hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from albert.errors import ConfigError
from albert.inference.encoding import Group, groups
from albert.inference.opening import open_model, sequence_length
from albert.inference.precision import ensure_agreement
from albert.model.linear import Dtype
from albert.model.packing import Packing, on_device
from albert.model.pretrained import AlbertModel
from albert.tasks.cuts import Cuts
from albert.tasks.features import SHORTEST_LENGTH, TextFeatures, make_features
from albert.tasks.tables import Example
from albert.text.tokenizer import AlbertTokenizer

Pooling = Literal["mean", "cls"]
"""How the states of a text's tokens become one vector: their mean, special tokens included, or [CLS]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """An encoder that returns a vector for each text."""

    model: AlbertModel
    """The encoder, dropout off."""
    tokenizer: AlbertTokenizer
    """The model's."""
    max_seq_length: int
    """Tokens to which a text is truncated, special ones included."""
    pooling: Pooling = "mean"
    """How states become a vector."""
    normalize: bool = False
    """Whether to scale vectors to length 1."""

    @classmethod
    def open(
        cls,
        source: str | Path,
        *,
        pooling: Pooling = "mean",
        normalize: bool = False,
        max_seq_length: int | None = None,
        device: str = "auto",
        dtype: Dtype = "float32",
    ) -> Self:
        """Open the encoder of any trained model.

        Args:
            source: A model folder, the id of a model on the Hub, or anything that can be converted.
            pooling: `mean` or `cls`.
            normalize: Whether to scale vectors to length 1.
            max_seq_length: Tokens to which a text is truncated; by default what model and tokenizer take.
            device: Name for `find_device`.
            dtype: Type of the matrix products; int8 is compared with float32 on the first texts.

        Raises:
            CheckpointError: There is no such model.
            TokenizerError: Its tokenizer belongs to another model.
            ConfigError: A setting cannot be used.
        """
        if max_seq_length is not None and max_seq_length < SHORTEST_LENGTH:
            raise ConfigError(
                f"--max-seq-length is {max_seq_length}; expected {SHORTEST_LENGTH} tokens or more"
            )
        model, tokenizer = open_model(source, (AlbertModel,), device=device, dtype=dtype)
        length = sequence_length(max_seq_length, model.config, default=tokenizer.model_max_length)
        return cls(
            model=model, tokenizer=tokenizer, max_seq_length=length, pooling=pooling, normalize=normalize
        )

    @property
    def dimension(self) -> int:
        """Width of the vectors, H."""
        return self.model.config.hidden_size

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (B, H) of `texts`, in their order; a special token spelled there is plain text.

        Raises:
            CheckpointError: The states in int8 differ too much from those in float32.
        """
        return self.vectors(self.encode(texts))

    def encode(self, texts: Sequence[str], *, cuts: Cuts | None = None) -> TextFeatures:
        """Return `texts` as tokens, for `vectors`; those that are cut are counted in `cuts`."""
        examples = [Example(text) for text in texts]
        return make_features(examples, self.tokenizer, max_seq_length=self.max_seq_length, cuts=cuts)

    @torch.inference_mode()
    def vectors(self, features: TextFeatures) -> NDArray[np.float32]:
        """Return the vectors (B, H) of encoded texts, in their order.

        Raises:
            CheckpointError: The states in int8 differ too much from those in float32.
        """
        ensure_agreement(self.model, features)
        vectors = np.zeros((len(features), self.dimension), np.float32)
        for group in groups(features, self.model.device):
            pooled = self._pooled(group).float()
            if self.normalize:
                pooled = F.normalize(pooled, dim=-1)
            vectors[group.indices] = pooled.cpu().numpy()
        return vectors

    def _pooled(self, group: Group) -> Tensor:
        packing = Packing.of_lengths(group.lengths, self.model.device)
        if self.pooling == "cls":
            return self.model.encode(group.input_ids, group.token_type_ids, packing, rows=packing.starts)
        x = self.model.encode(group.input_ids, group.token_type_ids, packing).float()  # (N, H)
        lengths = group.lengths.numpy()
        rows = on_device(np.repeat(np.arange(len(lengths)), lengths), x.device)
        sums = x.new_zeros(len(lengths), x.shape[1]).index_add_(0, rows, x)  # (N, H) -> (B, H)
        return sums / on_device(lengths, x.device)[:, None]
