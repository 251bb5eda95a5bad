"""The arguments of `from_pretrained` and `save_pretrained`: honoured, without effect, or refused by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import albert
from albert.errors import CheckpointError, ConfigError
from albert.model.loading import REFUSED, WITHOUT_EFFECT

SHAPE = {
    "vocab_size": 31,
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
Classifier = albert.AlbertForSequenceClassification
IDS = torch.tensor([[2, 7, 9, 3]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("classifier")
    transformers.AlbertForSequenceClassification(transformers.AlbertConfig(**SHAPE)).save_pretrained(path)
    return path


def test_names_of_classes_are_given_with_the_model(folder: Path) -> None:
    names = {0: "no", 1: "yes"}
    model = Classifier.from_pretrained(folder, id2label=names, label2id={"no": 0, "yes": 1}, num_labels=2)
    assert model.config.id2label == names
    assert Classifier.from_pretrained(folder, label2id={"b": 1, "a": 0}).config.id2label == {0: "a", 1: "b"}
    with pytest.raises(
        ConfigError, match=r"num_labels is 3, which contradicts another of id2label, num_labels"
    ):
        Classifier.from_pretrained(folder, num_labels=3, id2label=names)
    with pytest.raises(ConfigError, match="contradicts another of id2label, label2id"):
        Classifier.from_pretrained(folder, id2label=names, label2id={"no": 1, "yes": 0})
    with pytest.raises(ConfigError, match=r"expected 0, 1, \.\.\. without a gap"):
        Classifier.from_pretrained(folder, id2label={0: "a", 2: "b"})


def test_a_head_of_another_size_is_new_if_that_is_wanted(folder: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"classifier\.weight has shape \(2, 16\), the model needs \(3, 16\)"
    ):
        Classifier.from_pretrained(folder, num_labels=3)
    torch.manual_seed(1)
    model, report = Classifier.from_pretrained(  # type: ignore[misc]  # a pair with output_loading_info
        folder, num_labels=3, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert model(IDS).logits.shape == (1, 3)
    _, expected = transformers.AlbertForSequenceClassification.from_pretrained(
        folder, num_labels=3, ignore_mismatched_sizes=True, output_loading_info=True
    )
    names = {name for name, _, _ in expected["mismatched_keys"]}
    assert {name for name, _, _ in report["mismatched_keys"]} == names
    assert report["missing_keys"] == report["unexpected_keys"] == set()


def test_a_report_names_what_is_missing_and_what_is_not_used(folder: Path) -> None:
    _, report = albert.AlbertForTokenClassification.from_pretrained(  # type: ignore[misc]  # as above
        folder, output_loading_info=True
    )
    assert report["missing_keys"] == set()
    assert report["unexpected_keys"] == {"albert.pooler.bias", "albert.pooler.weight"}
    _, report = albert.AlbertForMaskedLM.from_pretrained(folder, output_loading_info=True)  # type: ignore[misc]
    assert "predictions.bias" in report["missing_keys"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", torch.bfloat16, "torch.float64"])
@pytest.mark.parametrize("argument", ["dtype", "torch_dtype"])
def test_the_type_of_the_parameters_is_chosen(folder: Path, argument: str, dtype: Any) -> None:
    model = Classifier.from_pretrained(folder, **{argument: dtype})
    expected = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype.removeprefix("torch."))
    assert model.dtype == expected
    assert model(IDS).logits.dtype == expected


def test_the_type_of_the_stored_parameters_is_kept_if_that_is_wanted(folder: Path, tmp_path: Path) -> None:
    Classifier.from_pretrained(folder, dtype="bfloat16").save_pretrained(tmp_path)
    assert Classifier.from_pretrained(tmp_path, dtype="auto").dtype == torch.bfloat16
    assert Classifier.from_pretrained(tmp_path).dtype == torch.float32
    with pytest.raises(ConfigError, match="dtype is 'floot32'"):
        Classifier.from_pretrained(folder, dtype="floot32")


@pytest.mark.parametrize("place", ["auto", "cpu", {"": "cpu"}, torch.device("cpu")])
def test_one_device_is_chosen(folder: Path, place: Any) -> None:
    expected = "cuda" if place == "auto" and torch.cuda.is_available() else "cpu"
    assert Classifier.from_pretrained(folder, device_map=place).device.type == expected


def test_a_model_on_several_devices_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"device_map names \['0', 'cpu'\]"):
        Classifier.from_pretrained(folder, device_map={"albert": 0, "classifier": "cpu"})
    with pytest.raises(ConfigError, match="device_map is 'gpu'"):
        Classifier.from_pretrained(folder, device_map="gpu")


def test_a_configuration_is_given_as_ours_as_theirs_or_by_its_place(folder: Path) -> None:
    ours = albert.AlbertConfig.from_pretrained(folder, hidden_dropout_prob=0.2)
    theirs = transformers.AlbertConfig.from_pretrained(folder, hidden_dropout_prob=0.2)
    for config in (ours, theirs, theirs.to_dict()):
        assert Classifier.from_pretrained(folder, config=config).config.hidden_dropout_prob == 0.2
    for place in (folder, str(folder), folder / "config.json"):
        assert Classifier.from_pretrained(folder, config=place).config.hidden_dropout_prob == 0.0
    Classifier.from_pretrained(folder, config=ours, hidden_dropout_prob=0.3)
    assert ours.hidden_dropout_prob == 0.2


def test_weights_are_given_as_a_state_dict(folder: Path) -> None:
    theirs = transformers.AlbertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    config = albert.AlbertConfig(**SHAPE)
    model = Classifier.from_pretrained(None, config=config, state_dict=theirs.state_dict())
    torch.testing.assert_close(model(IDS).logits, theirs(IDS).logits, atol=1e-6, rtol=0)
    with pytest.raises(ConfigError, match="without a folder, config and state_dict must be given"):
        Classifier.from_pretrained(None, config=config)


def test_the_encoder_comes_without_its_pooler(folder: Path) -> None:
    model = albert.AlbertModel.from_pretrained(folder, add_pooling_layer=False)
    assert model(IDS).pooler_output is None


def test_a_folder_inside_of_another_is_named(folder: Path) -> None:
    assert Classifier.from_pretrained(folder.parent, subfolder=folder.name).config.vocab_size == 31


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_what_has_no_effect_is_accepted(folder: Path, name: str) -> None:
    value = "sdpa" if name == "attn_implementation" else True
    assert Classifier.from_pretrained(folder, **{name: value}).dtype == torch.float32


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_have_an_effect_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not supported: "):
        Classifier.from_pretrained(folder, **{name: True})
    assert Classifier.from_pretrained(folder, **{name: None}).dtype == torch.float32


def test_unknown_arguments_and_values_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="a configuration has no 'num_label'; did you mean 'num_labels'"):
        Classifier.from_pretrained(folder, num_label=3)
    with pytest.raises(ConfigError, match="attn_implementation is 'slow'; known are eager"):
        Classifier.from_pretrained(folder, attn_implementation="slow")
    with pytest.raises(
        ConfigError, match=r"problem_type is 'regresion'; known are .*; did you mean 'regression'"
    ):
        Classifier.from_pretrained(folder, problem_type="regresion")


def test_weights_without_a_configuration_are_explained(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"has weights, but no config\.json"):
        Classifier.from_pretrained(tmp_path)
    albert.AlbertConfig(**SHAPE).save_pretrained(tmp_path)  # what the message says
    assert Classifier.from_pretrained(tmp_path).config.vocab_size == 31


def test_weights_are_spread_over_files_and_read_from_them(folder: Path, tmp_path: Path) -> None:
    model = Classifier.from_pretrained(folder)
    model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert len([*tmp_path.glob("model-*-of-*.safetensors")]) > 2
    theirs = transformers.AlbertForSequenceClassification.from_pretrained(
        tmp_path, dtype=torch.float32
    ).eval()
    for opened in (theirs, Classifier.from_pretrained(tmp_path)):
        torch.testing.assert_close(opened(IDS).logits, model(IDS).logits, atol=1e-6, rtol=0)
    model.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    with pytest.raises(ConfigError, match="max_shard_size is 'much'"):
        model.save_pretrained(tmp_path, max_shard_size="much")


def test_only_the_main_process_writes_and_what_was_gathered(folder: Path, tmp_path: Path) -> None:
    model = Classifier.from_pretrained(folder)
    model.save_pretrained(tmp_path / "other", is_main_process=False)
    assert not (tmp_path / "other").exists()
    gathered = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    model.save_pretrained(
        tmp_path / "main", is_main_process=True, save_function=torch.save, state_dict=gathered
    )
    opened = Classifier.from_pretrained(tmp_path / "main")
    assert torch.equal(opened.classifier.bias, model.classifier.bias + 1)
    for name, message in {
        "push_to_hub": "albert convert",
        "safe_serialisation": "did you mean 'safe_serialization'",
    }.items():
        with pytest.raises(ConfigError, match=message):
            model.save_pretrained(tmp_path / "main", **{name: True})
    with pytest.raises(ConfigError, match="written as safetensors"):
        model.save_pretrained(tmp_path / "main", safe_serialization=False)
