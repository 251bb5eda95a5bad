"""albert_zh's own family of checkpoints, converted exactly to the shape of the original.

Its model maps words to the width H first, without a bias, and adds positions and types of that width:
LayerNorm(W[ids] U + P + T), where the original has LayerNorm(W[ids] + P + T) U + b. With E = H, the product W
U as the table and no mapping, both are the same, and so is the masked LM head, which is tied to W through U.
The factorisation is lost: see decision 7.
Letters: V vocabulary, E embedding size, H hidden size.
Source: modeling.py, run_pretraining.py and run_classifier.py of albert_zh.
"""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor

from albert.checkpoint.names import from_original, is_weight
from albert.config import AlbertConfig
from albert.errors import CheckpointError

_WORDS = "bert/embeddings/word_embeddings"
_MAP = "bert/embeddings/word_embeddings_2"
_SHARED = "bert/encoder/layer_shared/"
_BLOCK = "bert/encoder/transformer/group_0/inner_group_0/"
# Scope of albert_zh -> the original's, inside the one shared layer.
_SCOPES = {
    "attention/self/": "attention_1/self/",
    "attention/output/dense/": "attention_1/output/dense/",
    "attention/output/LayerNorm/": "LayerNorm/",
    "intermediate/dense/": "ffn_1/intermediate/dense/",
    "output/dense/": "ffn_1/intermediate/output/dense/",
    "output/LayerNorm/": "LayerNorm_1/",
}


def albert_zh_config(content: Mapping[str, Any]) -> AlbertConfig:
    """Return the configuration of the converted model for the JSON of an albert_zh checkpoint.

    Configurations without `ln_type` are older than the pre-LN variant.

    Raises:
        CheckpointError: The model normalises before each part, not after it.
        ConfigError: The JSON cannot be used.
    """
    order = content.get("ln_type", "postln")
    if order != "postln":
        raise CheckpointError(
            f"ln_type is {order!r}; only 'postln' can be converted: neither this package nor transformers "
            "has an ALBERT that normalises before attention and feed-forward, and not after the last layer"
        )
    config = AlbertConfig.from_dict({key: value for key, value in content.items() if key != "ln_type"})
    return config.changed(embedding_size=config.hidden_size)


def read_shape(path: Path) -> AlbertConfig:
    """Return the shape of the converted model from a file of the original, of Hugging Face or of albert_zh.

    Raises:
        CheckpointError: There is no such file, or it is of albert_zh's pre-LN variant.
        ConfigError: The file cannot be used.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None  # from_json reports what is wrong
    if isinstance(content, dict) and "ln_type" in content:
        return albert_zh_config(content)
    return AlbertConfig.from_json(path)


def original_of_albert_zh(variable: str) -> str:
    """Return the original's variable that replaces albert_zh's `variable`."""
    for scope, original in _SCOPES.items():
        if variable.startswith(_SHARED + scope):
            return _BLOCK + original + variable.removeprefix(_SHARED + scope)
    return variable


def from_albert_zh(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of an albert_zh checkpoint under our names, for E = H.

    The product of the two tables is computed in float64 and rounded once.

    Raises:
        CheckpointError: A variable is unknown, or the tables are missing.
    """
    missing = [name for name in (_WORDS, _MAP) if name not in variables]
    if missing:
        raise CheckpointError(f"{missing[0]!r} is missing; expected the two embedding tables of albert_zh")
    if any(name.startswith("loss/LayerNorm/") for name in variables):
        raise CheckpointError(
            "'loss/LayerNorm' normalises the pooled vector, which only albert_zh's pre-LN variant does; "
            "it cannot be converted"
        )
    words, mapping = variables[_WORDS], variables[_MAP]
    if words.dim() != 2 or mapping.dim() != 2 or words.shape[1] != mapping.shape[0]:
        raise CheckpointError(
            f"{_WORDS} {tuple(words.shape)} and {_MAP} {tuple(mapping.shape)} cannot be multiplied; the "
            "checkpoint is damaged"
        )
    table = (words.double() @ mapping.double()).to(words.dtype)
    rest = {
        original_of_albert_zh(name): value
        for name, value in variables.items()
        if name not in {_WORDS, _MAP} and is_weight(name)
    }
    return from_original({_WORDS: table, **rest})


def folding_cost(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return a sentence on how the conversion changes the size of a checkpoint of these shapes."""
    vocab_size, embedding_size = shapes[_WORDS]
    hidden_size = shapes[_MAP][1]
    before = sum(prod(shape) for name, shape in shapes.items() if is_weight(name))
    change = vocab_size * hidden_size - (vocab_size + hidden_size) * embedding_size
    return (
        f"albert_zh's two tables ({vocab_size}, {embedding_size}) and ({embedding_size}, {hidden_size}) "
        f"became their product ({vocab_size}, {hidden_size}): the outputs are the same, but {before:,} "
        f"parameters are {before + change:,} now, and further training does not keep the factors"
    )
