"""Tiny random models of every kind with a tokenizer of 2 000 pieces."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from albert.config import AlbertConfig
from albert.model.pretrained import Pretrained
from albert.text.tokenizer import AlbertTokenizer

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def make_folder(
    tiny_config: Path, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> MakeFolder:
    """Write the folder of a model whose weights are large enough for predictions to differ."""

    def make(model_class: type[Pretrained], *, seed: int = 0, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("model")
        config = AlbertConfig.from_json(tiny_config, **changes)
        torch.manual_seed(seed)
        model = model_class(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        model.save_pretrained(folder)
        tokenizer = AlbertTokenizer.from_pretrained(tokenizer_folder)
        tokenizer.model_max_length = config.max_position_embeddings
        tokenizer.save_pretrained(folder)
        return folder

    return make
