"""Model folders: what is written is read again."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import albert.checkpoint.folder
from albert.checkpoint.folder import write_model
from albert.config import AlbertConfig
from albert.errors import CheckpointError

CONFIG = AlbertConfig(
    vocab_size=7,
    embedding_size=4,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
)
STATE = {
    "albert.embeddings.word_embeddings.weight": torch.tensor([[1.0, float("nan")], [-0.0, 2.0]]),
    "albert.pooler.bias": torch.zeros(3, dtype=torch.float16),
}


def test_weights_that_are_stored_as_others_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def save_rounded(tensors: dict[str, Tensor], path: Path, **settings: Any) -> None:
        save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, path, **settings)

    write_model(tmp_path, CONFIG, STATE, architecture="AlbertModel")
    monkeypatch.setattr(albert.checkpoint.folder, "save_file", save_rounded)
    with pytest.raises(CheckpointError, match=r"2 tensors are read as others than were written"):
        write_model(tmp_path, CONFIG, STATE, architecture="AlbertModel")


def test_tensors_that_no_reader_finds_are_refused(tmp_path: Path) -> None:
    tied = {**STATE, "predictions.decoder.weight": torch.zeros(2)}
    with pytest.raises(CheckpointError, match=r"the first is 'predictions\.decoder\.weight'"):
        write_model(tmp_path, CONFIG, tied, architecture="AlbertForMaskedLM")
