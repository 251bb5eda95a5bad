"""Configurations are changed, saved and read as those of transformers, and nothing is set without effect."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import transformers

from albert import AlbertConfig, AlbertForSequenceClassification
from albert.errors import ConfigError

SHAPE = {
    "vocab_size": 31,
    "embedding_size": 6,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 20,
}


def both() -> tuple[Any, AlbertConfig]:
    """Return a configuration of transformers, and ours."""
    return transformers.AlbertConfig(**SHAPE), AlbertConfig(**SHAPE)


def test_numbers_and_names_of_classes_follow_each_other() -> None:
    for config in both():
        config.num_labels = 3
        assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
        assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
        config.id2label = {0: "no", 1: "yes"}
        assert config.num_labels == 2
    ours = both()[1]
    ours.label2id = {"no": 0, "yes": 1}
    assert ours.id2label == {0: "no", 1: "yes"}
    assert AlbertForSequenceClassification(ours).classifier.out_features == 2


def test_settings_are_given_when_made_or_read_or_changed() -> None:
    made = AlbertConfig(**SHAPE, num_labels=3, output_attentions=True, problem_type="regression")
    assert (made.num_labels, made.output_attentions, made.problem_type) == (3, True, "regression")
    assert AlbertConfig(**SHAPE, label2id={"a": 0, "b": 1}).id2label == {0: "a", 1: "b"}
    assert AlbertConfig.from_dict(made.to_dict(), num_labels=4).num_labels == 4
    changed = made.changed(num_labels=2, hidden_dropout_prob=0.1)
    assert (changed.num_labels, changed.hidden_dropout_prob, made.num_labels) == (2, 0.1, 3)
    made.update({"num_labels": 5, "layer_norm_eps": 1e-6})
    assert (made.num_labels, made.layer_norm_eps) == (5, 1e-6)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hidden_act", "gelo", "hidden_act is 'gelo'; known are .* did you mean 'gelu'"),
        ("problem_type", "multi_label", "problem_type is 'multi_label'"),
        ("hidden_size", 0, "hidden_size is 0; expected a whole number of at least 1"),
        ("hidden_dropout_prob", 1.5, "hidden_dropout_prob is 1.5; expected 0 <= p < 1"),
        ("layer_norm_eps", "1e-12", "layer_norm_eps is '1e-12'; expected a number of at least 0"),
        ("num_labels", 0, "num_labels is 0; expected a whole number of at least 1"),
        ("id2label", {1: "a"}, r"id2label has the numbers \[1\]"),
        ("id2label", ["a"], r"id2label is \['a'\]; expected class names by number"),
        ("tie_word_embeddings", False, "tie_word_embeddings is False, which is not supported"),
        ("position_embedding_type", "relative_key", "which is not supported; expected 'absolute'"),
    ],
)
def test_a_value_is_checked_when_it_is_set(name: str, value: Any, message: str) -> None:
    config = both()[1]
    with pytest.raises(ConfigError, match=message):
        setattr(config, name, value)
    with pytest.raises(ConfigError, match=message):
        AlbertConfig(**{**SHAPE, name: value})


def test_heads_must_divide_the_width_once_a_model_is_made() -> None:
    config = both()[1]
    config.num_attention_heads = 3
    with pytest.raises(ConfigError, match="num_attention_heads is 3, which does not divide"):
        AlbertForSequenceClassification(config)


def test_a_misspelt_setting_is_refused_and_a_foreign_one_is_kept(tmp_path: Path) -> None:
    config = both()[1]
    with pytest.raises(ConfigError, match="a configuration has no 'num_label'; did you mean 'num_labels'"):
        config.num_label = 3
    with pytest.raises(ConfigError, match="did you mean 'hidden_size'"):
        AlbertConfig(**SHAPE, hiden_size=3)
    config.my_note = {"trained": "today"}
    config.use_cache = False
    config._name_or_path = "somewhere"
    config.save_pretrained(tmp_path)
    for opened in (
        AlbertConfig.from_pretrained(tmp_path),
        transformers.AlbertConfig.from_pretrained(tmp_path),
    ):
        assert opened.my_note == {"trained": "today"}
    assert AlbertConfig.from_pretrained(tmp_path).changed(num_labels=3).my_note == {"trained": "today"}
    config.my_note = object()
    with pytest.raises(ConfigError, match=r"my_note is .* which cannot be stored as JSON"):
        config.to_json_string()


def test_what_libraries_ask_for_has_an_answer() -> None:
    theirs, ours = both()
    for name in ("is_encoder_decoder", "tie_word_embeddings", "model_type", "architectures", "return_dict"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_text_config() is ours
    assert ours.use_return_dict
    with pytest.raises(AttributeError, match="a configuration has no 'nothing'"):
        _ = ours.nothing


def test_a_configuration_goes_to_transformers_and_back(tmp_path: Path) -> None:
    ours = AlbertConfig(**SHAPE, id2label={0: "no", 1: "yes"}, hidden_act="relu", output_hidden_states=True)
    ours.save_pretrained(tmp_path / "ours")
    theirs = transformers.AlbertConfig.from_pretrained(tmp_path / "ours")
    assert theirs.output_hidden_states
    theirs.save_pretrained(tmp_path / "theirs")
    assert AlbertConfig.from_pretrained(tmp_path / "theirs") == ours
    assert AlbertConfig.from_json_file(str(tmp_path / "theirs" / "config.json")) == ours
    assert AlbertConfig.from_dict(ours.to_dict()) == ours
    assert json.loads(ours.to_json_string()) == ours.to_diff_dict()
    ours.to_json_file(tmp_path / "one.json")
    assert AlbertConfig.from_pretrained(tmp_path / "one.json") == ours
    assert copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours)) == ours
