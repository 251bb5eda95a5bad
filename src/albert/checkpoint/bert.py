"""BERT encoders, converted exactly: an ALBERT that shares no layer.

Every layer is a group of its own, and E equals H, so there is no map from E to H. Both normalise after
attention and feed-forward, and both tie the masked LM head to the table of words, so nothing is computed
otherwise. The next-sentence head becomes the one of sentence order, which has the same shape.
Letters: E embedding size, H hidden size.
Source: the names of transformers' BertModel and of the models on top of it.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from albert.checkpoint.names import without_wrappers
from albert.config import AlbertConfig
from albert.errors import CheckpointError

_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")
_OUR_LAYER = r"encoder.albert_layer_groups.\1.albert_layers.0."
# Beginnings of names after `bert.` or after a layer, in the order in which they are tried.
_IN_LAYERS = {
    "attention.self.": "attention.",
    "attention.output.dense.": "attention.dense.",
    "attention.output.LayerNorm.": "attention.LayerNorm.",
    "intermediate.dense.": "ffn.",
    "output.dense.": "ffn_output.",
    "output.LayerNorm.": "full_layer_layer_norm.",
}
_HEADS = {
    "cls.predictions.transform.dense.": "predictions.dense.",
    "cls.predictions.transform.LayerNorm.": "predictions.LayerNorm.",
    "cls.predictions.bias": "predictions.bias",
    "cls.seq_relationship.": "sop_classifier.classifier.",
    "classifier.": "classifier.",
    "qa_outputs.": "qa_outputs.",
}
_ENCODER = ("embeddings.", "encoder.", "pooler.")
_WORDS = "albert.embeddings.word_embeddings.weight"
_DECODER = "cls.predictions.decoder.weight"
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
    dropout = content.get("classifier_dropout")
    shape = {
        "embedding_size": content.get("hidden_size"),
        "num_hidden_groups": content.get("num_hidden_layers"),
        "inner_group_num": 1,
        "hidden_act": content.get("hidden_act", "gelu"),
        "classifier_dropout_prob": content.get("hidden_dropout_prob", 0.1) if dropout is None else dropout,
    }
    kept = {key: value for key, value in content.items() if key not in _NOT_PASSED_ON}
    missing = [key for key in ("hidden_size", "num_hidden_layers") if key not in content]
    if missing:
        raise CheckpointError(f"missing {', '.join(missing)}; expected the config.json of a BERT")
    return AlbertConfig.from_dict({"model_type": "albert", **kept, **shape})


def architecture_of_bert(content: Mapping[str, Any]) -> str | None:
    """Return the name of our class for the class that a `config.json` names, if it names one of a BERT."""
    names = [str(name) for name in content.get("architectures") or ()]
    return f"Albert{names[0].removeprefix('Bert')}" if names and names[0].startswith("Bert") else None


def from_bert(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a BERT under our names; those that we do not know keep theirs.

    Raises:
        CheckpointError: The output layer of the masked LM head is not the table of words.
    """
    plain = {_current_name(name): tensor for name, tensor in without_wrappers(stored).items()}
    state = {_our_name(name): tensor for name, tensor in plain.items() if not name.endswith("position_ids")}
    decoder = state.pop(_DECODER, None)
    if decoder is not None and not torch.equal(decoder, state[_WORDS]):
        raise CheckpointError(
            "the output layer of the masked LM head is not the table of words (untied weights); an ALBERT "
            "has one table for both, so such a model cannot be converted"
        )
    state.pop("cls.predictions.decoder.bias", None)  # the same as cls.predictions.bias
    return state


def _current_name(name: str) -> str:
    """Return the name without the prefix of the encoder, and with today's names of norms."""
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name.removeprefix("bert.")))


def _our_name(name: str) -> str:
    for begin, ours in _HEADS.items():
        if name.startswith(begin):
            return ours + name.removeprefix(begin)
    if not name.startswith(_ENCODER):
        return name
    if layer := _LAYER.match(name):
        inside = name.removeprefix(layer[0])
        begin = next((begin for begin in _IN_LAYERS if inside.startswith(begin)), "")
        name = layer.expand(_OUR_LAYER) + _IN_LAYERS.get(begin, "") + inside.removeprefix(begin)
    return f"albert.{name.replace('pooler.dense.', 'pooler.')}"
