"""Small teachers and texts."""

import random
from pathlib import Path

import pytest
import torch

from albert.inference.embedding import Embedder
from albert.inference.sentence_transformers import write_sentence_transformers
from albert.model.albert_model import AlbertModel
from albert.text.tokenizer import AlbertTokenizer
from samples.teachers import teacher_config

WORDS = [
    "the",
    "a",
    "one",
    "two",
    "stack",
    "value",
    "module",
    "type",
    "error",
    "takes",
    "is",
    "not",
    "red",
    "blue",
    "runs",
    "sleeps",
    "under",
    "over",
]


@pytest.fixture(scope="session")
def sentence_teacher(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random sentence encoder."""
    torch.manual_seed(0)
    embedder = Embedder(
        model=AlbertModel(teacher_config(), add_pooling_layer=False).eval(),
        tokenizer=AlbertTokenizer.from_pretrained(tokenizer_folder),
        max_seq_length=32,
    )
    folder = tmp_path_factory.mktemp("teacher") / "encoder"
    write_sentence_transformers(folder, embedder, record={"command": "test", "settings": {}})
    return folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hundred sentences, one a line."""
    draw = random.Random(0)
    lines = [" ".join(draw.choices(WORDS, k=draw.randint(3, 10))) for _ in range(300)]
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
