"""Sizes by name, both JSON dialects, and configurations that are refused."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from albert.cli.flags import parse
from albert.config import AlbertConfig, size_names
from albert.errors import ConfigError
from albert.model.pretrained import AlbertForPreTraining, AlbertModel
from albert.pretraining.settings import PretrainSettings

SHAPE = {
    "vocab_size": 31,
    "embedding_size": 6,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 20,
}


@pytest.mark.parametrize(
    ("size", "vocab_size", "encoder", "with_heads"),
    [
        ("base", 30000, 11_683_584, 11_813_810),
        ("large-v1", 30000, 17_683_968, 17_847_474),
        ("xlarge-v2", 30000, 58_724_864, 59_021_490),
        ("xxlarge", 30000, 222_595_584, 223_158_450),
        ("tiny", 21128, 4_080_520, 4_142_594),
        ("small", 21128, 4_742_272, 4_813_706),
    ],
)
def test_published_sizes_have_the_published_number_of_parameters(
    size: str, vocab_size: int, encoder: int, with_heads: int
) -> None:
    config = AlbertConfig.of_size(size, vocab_size=vocab_size)
    with torch.device("meta"):  # Shapes without memory.
        assert sum(p.numel() for p in AlbertModel(config).parameters()) == encoder
        assert sum(p.numel() for p in AlbertForPreTraining(config).parameters()) == with_heads


def test_only_the_first_release_has_dropout_and_xxlarge_never() -> None:
    dropout = {name: AlbertConfig.of_size(name, vocab_size=9).hidden_dropout_prob for name in size_names()}
    assert {name for name, p in dropout.items() if p} == {"base-v1", "large-v1", "xlarge-v1"}
    assert AlbertConfig.of_size("xlarge", vocab_size=9).num_attention_heads == 16


def test_the_help_of_size_names_every_size(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(PretrainSettings, ["--help"], command="pretrain")
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"One of {', '.join(size_names())}." in shown
    assert {"mini", "xxlarge-v2"} < set(size_names())
    for name in size_names():
        assert AlbertConfig.of_size(name, vocab_size=9).hidden_size > 0


@pytest.mark.parametrize(("embedding_size", "has_map"), [(6, True), (8, False)])
def test_a_model_has_a_mapping_where_its_sizes_differ(embedding_size: int, *, has_map: bool) -> None:
    config = AlbertConfig(**{**SHAPE, "embedding_size": embedding_size})  # type: ignore[arg-type]
    assert config.has_map == has_map
    names = AlbertModel(config).state_dict()
    assert ("encoder.embedding_hidden_mapping_in.weight" in names) == has_map


def test_unknown_size_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'xlarge'"):
        AlbertConfig.of_size("xlagre", vocab_size=9)


def test_gelu_has_the_meaning_of_its_dialect() -> None:
    original = AlbertConfig.from_dict({**SHAPE, "hidden_act": "gelu", "down_scale_factor": 1})
    hugging_face = AlbertConfig.from_dict({**SHAPE, "hidden_act": "gelu", "model_type": "albert"})
    assert original.hidden_act == "gelu_new"
    assert hugging_face.hidden_act == "gelu"


def test_unknown_key_names_the_nearest_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**SHAPE, "hiden_size": 8}))
    with pytest.raises(
        ConfigError, match=r"config\.json: unknown key 'hiden_size'; did you mean 'hidden_size'"
    ):
        AlbertConfig.from_json(path)


@pytest.mark.parametrize("key", sorted(SHAPE))
def test_a_missing_shape_key_is_an_error_and_never_a_default(key: str) -> None:
    with pytest.raises(ConfigError, match=f"missing {key}"):
        AlbertConfig.from_dict({k: v for k, v in SHAPE.items() if k != key})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": 3}, "num_attention_heads is 3, which does not divide hidden_size 8"),
        ({"hidden_act": "gelu-new"}, "did you mean 'gelu_new'"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; expected a whole number of at least 1"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob is 1.0; expected 0 <= p < 1"),
        ({"model_type": "bert"}, "model_type is 'bert'; expected 'albert'"),
    ],
)
def test_an_impossible_shape_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AlbertConfig.from_dict({**SHAPE, **change})


def test_a_file_that_is_not_json_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json: not a JSON file"):
        AlbertConfig.from_json(tmp_path / "config.json")


@given(layers=st.integers(1, 60), groups=st.integers(1, 60))
def test_layers_are_assigned_to_groups_in_order_and_evenly(layers: int, groups: int) -> None:
    config = AlbertConfig(**{**SHAPE, "num_hidden_layers": layers, "num_hidden_groups": groups})  # type: ignore[arg-type]
    used = [config.group_of_layer(layer) for layer in range(layers)]
    assert used == [int(layer / layers * groups + 1e-9) for layer in range(layers)]
    assert used == sorted(used)
    assert used[-1] < groups


def test_a_config_written_by_transformers_is_read_back_equal(tmp_path: Path) -> None:
    import transformers

    config = AlbertConfig(**SHAPE, id2label={0: "no", 1: "yes"}, hidden_act="relu")  # type: ignore[arg-type]
    transformers.AlbertConfig(**config.to_dict()).save_pretrained(tmp_path)
    assert AlbertConfig.from_json(tmp_path / "config.json") == config
