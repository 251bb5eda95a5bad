"""Folders of sentence-transformers: their pooling, layers, lengths and prompts are ours, there and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout
from sentence_transformers.sentence_transformer.modules import Pooling as TheirPooling

from albert import AlbertForPreTraining
from albert.commands.embed import EmbedSettings, embed
from albert.errors import CheckpointError, ConfigError
from albert.inference.embedding import Embedder
from albert.inference.sentence_transformers import write_sentence_transformers

pytestmark = pytest.mark.filterwarnings("ignore")

TEXTS = ["One value.", "The module takes two and returns a list.", "error", "a value " * 25]
RECORD = {"command": "embed", "settings": {}}
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


@pytest.fixture(scope="module")
def encoder(make_folder: Any) -> Path:
    return make_folder(AlbertForPreTraining)


def write_theirs(encoder: Path, folder: Path, pooling: Any, *layers: Any, **settings: Any) -> Any:
    """Write a folder with sentence-transformers and return its model."""
    transformer = Transformer(str(encoder), max_seq_length=settings.pop("max_seq_length", None))
    pooled = TheirPooling(8, pooling_mode=pooling)
    model = SentenceTransformer(modules=[transformer, pooled, *layers], device="cpu", **settings)
    model.save(str(folder))
    for name in ("spiece.model", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((encoder / name).read_bytes())
    return model


def assert_equal(folder: Path, theirs: Any, **changes: Any) -> Embedder:
    embedder = Embedder.open(folder, device="cpu", **changes)
    np.testing.assert_allclose(embedder.embed(TEXTS), theirs.encode(TEXTS), atol=1e-5)
    return embedder


@pytest.mark.parametrize("pooling", [*MODES, ("cls", "max"), ("mean", "cls"), tuple(MODES)])
def test_every_pooling_is_that_of_the_folder_there_and_back(
    encoder: Path, tmp_path: Path, pooling: Any
) -> None:
    theirs = write_theirs(encoder, tmp_path / "theirs", pooling)
    embedder = assert_equal(tmp_path / "theirs", theirs)
    write_sentence_transformers(tmp_path / "ours", embedder, record=RECORD)
    again = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert_equal(tmp_path / "ours", again)
    np.testing.assert_allclose(again.encode(TEXTS), theirs.encode(TEXTS), atol=1e-5)


def test_dense_layers_normalisation_and_dropout_are_applied_there_and_back(
    encoder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    layers = [
        Dense(16, 5, activation_function=torch.nn.Tanh()),
        Normalize(),
        Dense(5, 3, bias=False, activation_function=torch.nn.Identity()),
        Dropout(0.5),
        Normalize(),
    ]
    theirs = write_theirs(encoder, tmp_path / "theirs", ("cls", "mean"), *layers)
    embedder = assert_equal(tmp_path / "theirs", theirs)
    assert (embedder.dimension, embedder.is_normalized) == (3, True)
    write_sentence_transformers(tmp_path / "ours", embedder, record=RECORD)
    again = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert_equal(tmp_path / "ours", again)
    with pytest.raises(
        ConfigError, match="its dense layer takes vectors of 16 numbers, but the pooling gives 8"
    ):
        Embedder.open(tmp_path / "theirs", pooling="cls", device="cpu")


def test_the_length_of_the_folder_is_the_default_and_a_flag_replaces_it(
    encoder: Path, tmp_path: Path
) -> None:
    theirs = write_theirs(encoder, tmp_path / "new", "mean")
    theirs.max_seq_length = 12
    theirs.save(str(tmp_path / "new"))
    folder = tmp_path / "old"
    write_theirs(encoder, folder, "mean")
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 12, "do_lower_case": False})
    )
    assert assert_equal(folder, theirs).max_seq_length == 12
    assert Embedder.open(folder, max_seq_length=20, device="cpu").max_seq_length == 20


def test_the_layout_of_the_first_releases_is_read(encoder: Path, tmp_path: Path) -> None:
    theirs = write_theirs(encoder, tmp_path / "m", ("max", "mean"))
    folder = tmp_path / "m"
    (folder / "0_Transformer").mkdir()
    for path in [*folder.glob("*.safetensors"), *folder.glob("spiece.model"), folder / "config.json"]:
        path.rename(folder / "0_Transformer" / path.name)
    types = "sentence_transformers.models."
    modules = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling")]
    rows = [
        {"idx": i, "name": str(i), "path": path, "type": types + name}
        for i, (path, name) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps(
            {"word_embedding_dimension": 8, "pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}
        )
    )
    assert_equal(folder, theirs)


def test_prompts_go_before_texts(encoder: Path, tmp_path: Path) -> None:
    prompts = {"query": "a query of: ", "passage": "the value: "}
    theirs = write_theirs(encoder, tmp_path / "m", "mean", prompts=prompts, default_prompt_name="passage")
    assert_equal(tmp_path / "m", theirs)
    found = Embedder.open(tmp_path / "m", prompt="query", device="cpu").embed(TEXTS)
    np.testing.assert_allclose(found, theirs.encode(TEXTS, prompt_name="query"), atol=1e-5)
    with pytest.raises(
        ConfigError, match=r"--prompt none: .* has no such prompt; expected document or passage or query"
    ):
        Embedder.open(tmp_path / "m", prompt="none", device="cpu")
    pooling = tmp_path / "m" / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | {"include_prompt": False}))
    with pytest.raises(ConfigError, match="prompt 'passage' is to be left out of the pooling"):
        Embedder.open(tmp_path / "m", device="cpu")


def test_a_flag_that_contradicts_the_folder_wins_and_is_shown(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_theirs(encoder, tmp_path / "m", "cls", Normalize())
    (tmp_path / "in.txt").write_text("one value\nerror\n")
    for changes in ({}, {"pooling": "mean"}):
        asked: dict[str, Any] = {"model": str(tmp_path / "m"), "input": tmp_path / "in.txt", "device": "cpu"}
        embed(EmbedSettings(output=tmp_path / "out.npy", **asked, **changes))
        shown = capsys.readouterr().err
        assert ("pooling mean instead of the folder's cls" in shown) == bool(changes)
        np.testing.assert_allclose(np.linalg.norm(np.load(tmp_path / "out.npy"), axis=1), 1, atol=1e-6)


def change(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "median"}, 'pooling_mode is "median"; expected mean, cls'),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", 3]}, "pooling_mode is"),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length is"),
        (
            "sentence_bert_config.json",
            {"transformer_task": "fill-mask"},
            "of fill-mask, which is not supported",
        ),
        (
            "sentence_bert_config.json",
            {"modality_config": {"text": {"method_output_name": "pooler_output"}}},
            "found pooler_output of feature-extraction",
        ),
        ("2_Dense/config.json", {"use_residual": True}, "use_residual is true"),
        (
            "2_Dense/config.json",
            {"activation_function": "torch.nn.modules.activation.Mish"},
            "activation_function",
        ),
        ("2_Dense/config.json", {"module_output_name": "other"}, "module_input_name"),
    ],
)
def test_what_changes_vectors_and_is_not_supported_is_refused_by_name(
    encoder: Path, tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    write_theirs(encoder, tmp_path / "m", "mean", Dense(8, 4))
    change(tmp_path / "m", name, **changes)
    with pytest.raises(CheckpointError, match=message) as error:
        Embedder.open(tmp_path / "m", device="cpu")
    assert str(tmp_path / "m" / name) in str(error.value)


@pytest.mark.parametrize("name", ["1_Pooling/config.json", "sentence_bert_config.json"])
def test_unknown_settings_are_named_in_a_warning(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_theirs(encoder, tmp_path / "m", "mean")
    change(tmp_path / "m", name, surprise=1)
    Embedder.open(tmp_path / "m", device="cpu")
    assert f"{name}: not used, because nothing is known about it: surprise" in capsys.readouterr().err


def test_modules_that_are_unknown_or_damaged_are_refused(encoder: Path, tmp_path: Path) -> None:
    write_theirs(encoder, tmp_path / "m", "mean")
    path = tmp_path / "m" / "modules.json"
    modules = json.loads(path.read_text())
    for content, message in (
        (
            [*modules, {"path": "2_LSTM", "type": "sentence_transformers.models.LSTM"}],
            "the module LSTM is not",
        ),
        (modules[:1], "expected the modules Transformer and Pooling first, found Transformer"),
        ([{"path": ""}], "expected a list of modules with path and type"),
        ({}, "expected a JSON list"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(CheckpointError, match=message):
            Embedder.open(tmp_path / "m", device="cpu")
    (tmp_path / "m" / "1_Pooling" / "config.json").unlink()
    path.write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match="expected the settings of the pooling"):
        Embedder.open(tmp_path / "m", device="cpu")


def test_a_written_folder_that_would_give_other_vectors_is_not_kept(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "albert.inference.sentence_transformers._modes", lambda pooling: {"pooling_mode": "cls"}
    )
    embedder = Embedder.open(encoder, pooling="mean", device="cpu")
    with pytest.raises(CheckpointError, match="read again, it gives vectors that differ by up to"):
        write_sentence_transformers(tmp_path / "ours", embedder, record=RECORD)
    assert not (tmp_path / "ours").exists()
