"""A sentence encoder as a model to train and to open: texts by themselves become vectors.

It is stored as a folder of sentence-transformers, whose encoder is an `AlbertModel`, so this class is not
public. Letters: B texts, N tokens of all of them, D size of a vector.
"""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from albert.config import AlbertConfig
from albert.model.albert_model import AlbertModel
from albert.model.packing import Packing
from albert.model.pooling import pool
from albert.model.pretrained import Pretrained
from albert.model.sentence_folders import SentenceFolder, read_sentence_folder


class AlbertForSimilarity(Pretrained):
    """The encoder with a pooling, and the dense layers of its folder, which are not trained.

    Args:
        config: The shape.
        folder: Pooling and layers; the mean of the states if not given.
    """

    pipeline_task = "sentence-similarity"

    def __init__(self, config: AlbertConfig, folder: SentenceFolder | None = None) -> None:
        super().__init__(config)
        self.albert = AlbertModel(config, add_pooling_layer=False)
        self.sentence_folder = folder or SentenceFolder(encoder=Path(), pooling=("mean",))
        """Pooling, layers, lengths and prompts."""

    @classmethod
    def of_folder(cls, config: AlbertConfig, folder: Path) -> Self:
        """Return a model with the pooling of a folder; its encoder has random weights."""
        return cls(config, read_sentence_folder(folder))

    def packed_logits(self, input_ids: Tensor, token_type_ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the vectors (B, D) of packed inputs (N,) of `lengths` (B,), float32."""
        packing = Packing.of_lengths(lengths, input_ids.device)
        x = self.albert.encode(input_ids, token_type_ids, packing).float()
        with torch.autocast(x.device.type, enabled=False):
            x = pool(x, lengths.cpu(), self.sentence_folder.pooling)
            for layer in self.sentence_folder.layers:
                x = layer.to(x.device)(x)
        return x
