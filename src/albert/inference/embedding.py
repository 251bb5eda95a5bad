"""Texts as vectors: the encoder's states, one for each text.

Stands beside the pipelines; `albert embed` writes what it gives.
Letters: B texts, N pieces of all of them, H hidden size.
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
from albert.inference.loading import load
from albert.inference.precision import ensure_agreement
from albert.model.linear import Dtype
from albert.model.packing import Packing, on_device
from albert.model.pretrained import AlbertModel
from albert.tasks.features import SHORTEST_LENGTH, TextFeatures, make_features
from albert.tasks.solver import check_length
from albert.tasks.tables import Example
from albert.text.tokenizer import AlbertTokenizer

Pooling = Literal["mean", "cls"]
"""How the states of a text's pieces become one: their mean, special pieces included, or that of [CLS]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """An encoder that gives a vector for each text."""

    model: AlbertModel
    """The encoder, dropout off."""
    tokenizer: AlbertTokenizer
    """The model's."""
    max_seq_length: int
    """Pieces a text is cut to, special ones included."""
    pooling: Pooling = "mean"
    """How states become a vector."""
    normalize: bool = False
    """Whether vectors have length 1."""

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
        """Reads the encoder of any trained model.

        Args:
            source: A model folder, the id of a model on the Hub, or anything that can be converted.
            pooling: `mean` or `cls`.
            normalize: Whether vectors have length 1.
            max_seq_length: Pieces a text is cut to; as many as model and tokenizer take where missing.
            device: As of `find_device`.
            dtype: Type of the matrix products; int8 is held against float32 on the first texts.

        Raises:
            CheckpointError: There is no such model.
            TokenizerError: Its tokenizer does not fit.
            ConfigError: A setting makes no sense.
        """
        if max_seq_length is not None and max_seq_length < SHORTEST_LENGTH:
            raise ConfigError(
                f"--max-seq-length is {max_seq_length}; expected {SHORTEST_LENGTH} pieces or more"
            )
        model, tokenizer = load(source, (AlbertModel,), device=device, dtype=dtype)
        length = check_length(max_seq_length, model.config, default=tokenizer.model_max_length)
        return cls(
            model=model, tokenizer=tokenizer, max_seq_length=length, pooling=pooling, normalize=normalize
        )

    @property
    def dimension(self) -> int:
        """Width of the vectors, H."""
        return self.model.config.hidden_size

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns the vectors (B, H) of `texts`, in their order; a special piece spelled there is text.

        Raises:
            CheckpointError: In int8 the states differ too much from those in float32.
        """
        return self.vectors(self.encode(texts))

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Returns `texts` as pieces, for `vectors`."""
        return make_features(
            [Example(text) for text in texts], self.tokenizer, max_seq_length=self.max_seq_length
        )

    @torch.inference_mode()
    def vectors(self, features: TextFeatures) -> NDArray[np.float32]:
        """Returns the vectors (B, H) of encoded texts, in their order.

        Raises:
            CheckpointError: In int8 the states differ too much from those in float32.
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
        x = self.model.encode(group.input_ids, group.token_type_ids, packing).float()
        lengths = group.lengths.numpy()
        rows = on_device(np.repeat(np.arange(len(lengths)), lengths), x.device)
        sums = x.new_zeros(len(lengths), x.shape[1]).index_add_(0, rows, x)
        return sums / on_device(lengths, x.device)[:, None]
