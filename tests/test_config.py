"""Sizes by name, both JSON dialects, and configurations that are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from albert.cli.flags import parse
from albert.config import AlbertConfig, size_names
from albert.errors import ConfigError
from albert.model.albert_model import AlbertModel
from albert.model.language_models import AlbertForPreTraining
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


def old_config(**extra: Any) -> dict[str, Any]:
    """Return a configuration as transformers 2 wrote it: no `model_type`, settings of every kind."""
    general = {
        "architectures": ["AlbertForQuestionAnswering"], "bad_words_ids": None, "bos_token_id": 2,
        "decoder_start_token_id": None, "do_sample": False, "eos_token_id": 3,
        "early_stopping": False, "eos_token_ids": None, "finetuning_task": None, "is_decoder": False,
        "length_penalty": 1.0, "max_length": 20, "num_beams": 1, "num_return_sequences": 1,
        "output_attentions": False, "output_past": True, "prefix": None, "pruned_heads": {},
        "repetition_penalty": 1.0, "temperature": 1.0,
        "top_k": 50, "torchscript": False, "use_bfloat16": False, "vocab_size": 31,
    }  # fmt: skip
    return {**SHAPE, **general, **extra}


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        ({"num_labels": 3}, 3),
        ({"_num_labels": 4}, 4),
        ({"num_labels": 2, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0}}, 2),
        ({}, 2),
    ],
)
def test_files_of_transformers_2_are_read_with_its_meaning_of_gelu(
    labels: dict[str, Any], number: int
) -> None:
    config = AlbertConfig.from_dict(old_config(hidden_act="gelu", **labels))
    assert config.hidden_act == "gelu"
    assert config.num_labels == number


def test_keys_that_are_no_setting_are_reported_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(old_config(_somebody="x", hidden_sise=9)))
    for _ in range(2):
        assert AlbertConfig.from_json(path).hidden_size == 8
    shown = capsys.readouterr().err
    assert shown.count("not used, because it is no setting of the model: _somebody, bad_words_ids") == 1
    assert "hidden_sise" in shown
    assert "is_decoder" not in shown


def test_a_misspelt_key_in_a_file_written_by_hand_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unknown key 'hidden_sise'; did you mean 'hidden_size'"):
        AlbertConfig.from_dict({**SHAPE, "model_type": "albert", "hidden_sise": 9})
    with pytest.raises(ConfigError, match="unknown key 'num_beams'"):
        AlbertConfig.from_dict({**SHAPE, "num_beams": 1})
    assert AlbertConfig.from_dict({**SHAPE, "model_type": "albert", "zebra": 9}).hidden_size == 8


OUR_DEFAULTS = {**SHAPE, "hidden_act": "gelu_new", "layer_norm_eps": 1e-12, "max_position_embeddings": 16}
CHANGED_KEYS: dict[str, Any] = {
    "hidden_act": "relu", "layer_norm_eps": 0.5, "num_hidden_layers": 2, "num_attention_heads": 4,
    "inner_group_num": 2, "num_hidden_groups": 3, "type_vocab_size": 3, "pad_token_id": 4,
    "down_scale_factor": 2, "gap_size": 3, "net_structure_type": 1, "num_memory_blocks": 2,
    "is_decoder": True, "add_cross_attention": True, "is_encoder_decoder": True, "use_cache": False,
    "chunk_size_feed_forward": 1, "output_attentions": True, "output_hidden_states": True,
    "return_dict": False, "torchscript": True, "position_embedding_type": "relative_key",
    "tie_word_embeddings": False, "pruned_heads": {"0": [1]}, "bos_token_id": 1, "eos_token_id": 1,
    "classifier_dropout_prob": 0.5, "hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5,
    "initializer_range": 3.0, "torch_dtype": "float32", "dtype": "float32", "finetuning_task": "rte",
    "problem_type": "regression", "num_labels": 5, "attn_implementation": "eager", "anything_else": 1,
    "quantization_config": {"quant_method": "bitsandbytes"}, "hidden_act ": "gelu",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("key", list(CHANGED_KEYS))
def test_a_key_changes_our_numbers_as_it_changes_those_of_transformers_or_is_named(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        **OUR_DEFAULTS,
        "model_type": "albert",
        "transformers_version": "4.46.0",
        key: CHANGED_KEYS[key],
    }
    (tmp_path / "config.json").write_text(json.dumps(content))
    try:
        config = AlbertConfig.from_json(tmp_path / "config.json")
    except ConfigError as error:
        assert key in str(error)  # noqa: PT017  # Whether there is an error depends on the key.
        return
    torch.manual_seed(0)
    ours = AlbertModel(config).eval()
    with torch.no_grad():
        for tensor in ours.parameters():
            tensor.normal_(std=0.5)
    ours.save_pretrained(tmp_path / "ours")
    stored = load_file(tmp_path / "ours" / "model.safetensors")
    save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
    theirs, loading = transformers.AlbertModel.from_pretrained(
        tmp_path, output_loading_info=True, dtype=torch.float32
    )
    assert not loading["missing_keys"] | loading["unexpected_keys"]
    ids = torch.tensor([[2, 7, 9, 12, 3, 5, 11, 3]])
    with torch.no_grad():
        found, expected = ours(ids)[0], theirs.eval()(ids)[0]
    named = key in capsys.readouterr().err
    assert named or torch.allclose(found, expected, atol=1e-5)


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


def test_a_configuration_that_would_be_read_as_another_is_not_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = AlbertConfig.from_dict({**SHAPE, "model_type": "albert", "id2label": {"0": "a", "1": "b"}})
    AlbertForPreTraining(config).save_pretrained(tmp_path / "a")
    assert AlbertConfig.from_json(tmp_path / "a" / "config.json") == config
    content = {**config.to_dict(), "id2label": {"0": "b", "1": "a"}}
    monkeypatch.setattr(AlbertConfig, "to_dict", lambda _: content)
    with pytest.raises(ConfigError, match="would be read as another configuration"):
        AlbertForPreTraining(config).save_pretrained(tmp_path / "b")
    assert not (tmp_path / "b").exists()
