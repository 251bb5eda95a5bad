"""The configuration of a BERT as that of the ALBERT it becomes (`bert`); never loads torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from albert.config import AlbertConfig
from albert.errors import CheckpointError

# Keys that make another model of a BERT, with the values that do not.
_ONLY_VALUES: dict[str, tuple[object, ...]] = {
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
}
_NOT_PASSED_ON = {"model_type", "architectures", "classifier_dropout", *_ONLY_VALUES}


def read_bert(config: Path) -> dict[str, Any] | None:
    """Return the content of a `config.json` if it is that of a BERT; None if not, or if it cannot be read."""
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    is_bert = content.get("model_type", "bert") == "bert" and (
        "model_type" in content or architecture_of_bert(content) is not None
    )
    return content if is_bert else None


def bert_config(content: Mapping[str, Any]) -> AlbertConfig:
    """Return the configuration of the converted model for the `config.json` of a BERT.

    Raises:
        CheckpointError: It is a decoder.
        ConfigError: A key is missing, or has a value that is not supported.
    """
    for key, allowed in _ONLY_VALUES.items():
        if content.get(key) not in allowed:
            raise CheckpointError(
                f"{key} is {content[key]!r}; only encoders can be converted, where it is {allowed[0]!r}"
            )
    if missing := [key for key in ("hidden_size", "num_hidden_layers") if key not in content]:
        raise CheckpointError(f"missing {', '.join(missing)}; expected the config.json of a BERT")
    dropout = content.get("classifier_dropout")
    shape = {
        "embedding_size": content["hidden_size"],
        "num_hidden_groups": content["num_hidden_layers"],
        "inner_group_num": 1,
        "hidden_act": content.get("hidden_act", "gelu"),
        "classifier_dropout_prob": content.get("hidden_dropout_prob", 0.1) if dropout is None else dropout,
    }
    kept = {key: value for key, value in content.items() if key not in _NOT_PASSED_ON}
    return AlbertConfig.from_dict({"model_type": "albert", **kept, **shape})


def usable_config(path: Path) -> AlbertConfig:
    """Return the configuration in a `config.json` of an ALBERT, or of the ALBERT that a BERT becomes.

    Raises:
        CheckpointError: It is of a BERT that is a decoder.
        ConfigError: It cannot be used.
    """
    content = read_bert(path)
    return AlbertConfig.from_json(path) if content is None else bert_config(content)


def architecture_of_bert(content: Mapping[str, Any]) -> str | None:
    """Return the name of our class for the class that a `config.json` names, if it names one of a BERT."""
    names = [str(name) for name in content.get("architectures") or ()]
    return f"Albert{names[0].removeprefix('Bert')}" if names and names[0].startswith("Bert") else None
