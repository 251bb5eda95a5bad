"""Vectors of texts against transformers' encoder, and folders for sentence-transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from albert import AlbertForMaskedLM, AlbertForPreTraining, AlbertForSequenceClassification, AlbertTokenizer
from albert.errors import CheckpointError, ConfigError
from albert.inference.embedding import Embedder
from albert.inference.sentence_transformers import write_sentence_transformers

TEXTS = ["One value.", "The module takes two and returns a list of types.", "error", "你好 a value"] * 3
RECORD = {"command": "embed", "settings": {}}


@pytest.fixture(scope="module")
def folder(make_folder: Any) -> Path:
    return make_folder(AlbertForPreTraining)


def vectors_of_transformers(folder: Path, texts: list[str], pooling: str) -> torch.Tensor:
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = transformers.AutoModel.from_pretrained(folder)(**batch).last_hidden_state
    if pooling == "cls":
        return states[:, 0]
    mask = batch["attention_mask"][..., None]
    return (states * mask).sum(1) / mask.sum(1)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [False, True])
def test_vectors_equal_those_of_transformers(folder: Path, pooling: Any, normalize: bool) -> None:
    found = Embedder.open(folder, pooling=pooling, normalize=normalize, device="cpu").embed(TEXTS)
    expected = vectors_of_transformers(folder, TEXTS, pooling)
    if normalize:
        expected = torch.nn.functional.normalize(expected, dim=-1)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert found.dtype == np.float32
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_vector_does_not_depend_on_the_rest_of_its_batch(folder: Path, pooling: Any) -> None:
    embedder = Embedder.open(folder, pooling=pooling, device="cpu")
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(embedder.embed(TEXTS), alone, atol=1e-6)


def test_the_encoder_of_every_model_returns_vectors(make_folder: Any) -> None:
    for model_class in (AlbertForMaskedLM, AlbertForSequenceClassification):
        found = Embedder.open(make_folder(model_class), device="cpu").embed(["One value."])
        assert found.shape == (1, 8)


def test_a_long_text_is_truncated(folder: Path) -> None:
    whole, short = (Embedder.open(folder, device="cpu", max_seq_length=n) for n in (None, 10))
    text = "value " * 60
    np.testing.assert_allclose(whole.embed([text]), whole.embed(["value " * 30]), atol=1e-6)
    np.testing.assert_allclose(short.embed([text]), whole.embed(["value " * 8]), atol=1e-6)
    with pytest.raises(ConfigError, match="the model has 32 positions"):
        Embedder.open(folder, device="cpu", max_seq_length=33)
    with pytest.raises(ConfigError, match="expected 5 tokens or more"):
        Embedder.open(folder, device="cpu", max_seq_length=2)


def test_the_folder_describes_the_pooling(folder: Path, tmp_path: Path) -> None:
    embedder = Embedder.open(folder, pooling="cls", normalize=True, max_seq_length=16, device="cpu")
    write_sentence_transformers(tmp_path / "st", embedder, record=RECORD)

    def read(name: str) -> Any:
        return json.loads((tmp_path / "st" / name).read_text(encoding="utf-8"))

    assert [(module["path"], module["type"].rsplit(".", 1)[1]) for module in read("modules.json")] == [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        ("2_Normalize", "Normalize"),
    ]
    assert read("sentence_bert_config.json")["max_seq_length"] == 16
    pooling = read("1_Pooling/config.json")
    assert pooling.pop("word_embedding_dimension") == 8
    assert [name for name, value in pooling.items() if value] == ["pooling_mode_cls_token"]


def test_a_folder_is_replaced_only_if_it_was_written_for_sentence_transformers(
    folder: Path, tmp_path: Path
) -> None:
    embedder = Embedder.open(folder, device="cpu")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="is not a sentence-transformers folder"):
        write_sentence_transformers(tmp_path / "notes", embedder, record=RECORD)
    for pooled in (embedder, Embedder.open(folder, normalize=True, device="cpu")):
        write_sentence_transformers(tmp_path / "st", pooled, record=RECORD)
    assert (tmp_path / "st" / "2_Normalize").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "st"]
