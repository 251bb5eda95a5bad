"""sentence-transformers trains a folder of ours, and we read what it saves; KeyBERT uses one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from keybert import KeyBERT
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

import albert
from albert.inference.embedding import Embedder
from albert.inference.sentence_transformers import write_sentence_transformers

TEXTS = ["the type of a value", "a module takes one error", "two types"]


@pytest.fixture(scope="module")
def folder(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sentence-transformers that we wrote."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("sentences")
    config = albert.AlbertConfig(
        vocab_size=2000,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=20,
        max_position_embeddings=32,
        initializer_range=0.3,
    )
    albert.AlbertModel(config).save_pretrained(path / "model")
    albert.AlbertTokenizer.from_pretrained(tokenizer_folder).save_pretrained(path / "model")
    record: dict[str, Any] = {"command": "test", "settings": {}}
    embedder = Embedder.open(path / "model", device="cpu", normalize=True)
    write_sentence_transformers(path / "written", embedder, record=record)
    return path / "written"


@pytest.mark.filterwarnings("ignore")
def test_a_folder_is_trained_by_sentence_transformers_and_read_back(folder: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    before = model.encode(TEXTS)
    np.testing.assert_allclose(Embedder.open(folder, device="cpu").embed(TEXTS), before, atol=1e-5)
    arguments = SentenceTransformerTrainingArguments(
        str(tmp_path / "run"), max_steps=2, per_device_train_batch_size=2, learning_rate=1e-2, report_to=[],
        use_cpu=True, disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    pairs = Dataset.from_dict({"anchor": TEXTS, "positive": TEXTS[::-1]})
    loss = MultipleNegativesRankingLoss(model)
    SentenceTransformerTrainer(model, arguments, train_dataset=pairs, loss=loss).train()
    model.save_pretrained(str(tmp_path / "trained"))
    expected = model.encode(TEXTS)
    assert np.abs(expected - before).max() > 1e-3
    np.testing.assert_allclose(
        Embedder.open(tmp_path / "trained", device="cpu").embed(TEXTS), expected, atol=1e-5
    )


@pytest.mark.filterwarnings("ignore")
def test_keybert_finds_keywords_with_a_folder_of_ours(folder: Path) -> None:
    found = KeyBERT(model=SentenceTransformer(str(folder), device="cpu")).extract_keywords(TEXTS[1], top_n=2)
    compare = albert.pipeline("sentence-similarity", folder)
    words = [word for word, _ in found]
    assert len(words) == 2
    np.testing.assert_allclose([score for _, score in found], compare(TEXTS[1], words), atol=1e-3)
