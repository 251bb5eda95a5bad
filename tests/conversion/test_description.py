"""What the headers of the files say is what reading the weights says."""

from pathlib import Path

import pytest

from albert.checkpoint.sources import opened
from albert.commands.finetune import finetune
from albert.conversion.conversion import convert, read_model
from albert.conversion.description import describe
from albert.errors import CheckpointError
from albert.model.albert_model import AlbertModel
from samples.teachers import teacher_config
from samples.toy_task import settings, write_encoder, write_toy


def test_a_folder_is_described_as_it_is_read(tmp_path: Path, golden: Path) -> None:
    encoder = write_encoder(tmp_path / "encoder", golden)
    classifier = Path(finetune(settings(encoder, write_toy(tmp_path / "data"), tmp_path / "run"))["model"])
    convert(encoder, tmp_path / "converted")
    for folder in (encoder, classifier, tmp_path / "converted"):
        with opened(folder) as source:
            assert describe(source) == read_model(source).about


def test_a_sharded_folder_is_described_as_it_is_read(tmp_path: Path) -> None:
    AlbertModel(teacher_config(embedding_size=16)).save_pretrained(tmp_path / "model", max_shard_size=20_000)
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    with opened(tmp_path / "model") as source:
        assert describe(source) == read_model(source).about


def test_a_bert_is_described_as_it_is_read(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    shape = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    for model_class in (transformers.BertModel, transformers.BertForSequenceClassification):
        folder = tmp_path / model_class.__name__
        model_class(shape).save_pretrained(folder)
        with opened(folder) as source:
            assert describe(source) == read_model(source).about


def test_weights_whose_values_matter_are_read(tmp_path: Path) -> None:
    """Where E equals H, files have an identity as the map, which only its values tell."""
    AlbertModel(teacher_config()).save_pretrained(tmp_path / "model")
    with opened(tmp_path / "model") as source:
        assert describe(source) is None
        assert not read_model(source).about.unused


def test_damaged_headers_are_named(tmp_path: Path, golden: Path) -> None:
    encoder = write_encoder(tmp_path / "encoder", golden)
    (encoder / "model.safetensors").write_bytes(b"nothing of the kind")
    with opened(encoder) as source, pytest.raises(CheckpointError, match="missing or not a safetensors file"):
        describe(source)
