"""BERT encoders, converted exactly: an ALBERT that shares no layer.

Every layer is a group of its own, and E equals H, so there is no map from E to H. Both normalise after
attention and feed-forward, and both tie the masked LM head to the table of words, so nothing is computed
otherwise. The next-sentence head becomes the one of sentence order, which has the same shape.
Letters: E embedding size, H hidden size.
Source: the names of transformers' BertModel and of the models on top of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from albert.checkpoint.names import current_norm, without_wrappers
from albert.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

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
DECODER = "cls.predictions.decoder."
"""Beginning of the names of the masked LM's output layer, which must be the table of words."""


def from_bert(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a BERT under our names; those that we do not know keep theirs.

    Raises:
        CheckpointError: The output layer of the masked LM head is not the table of words.
    """
    state = bert_named_as_ours(stored)
    decoder, words = state.pop(f"{DECODER}weight", None), state.get(_WORDS)
    if decoder is not None and words is not None and not decoder.equal(words):
        raise CheckpointError(
            "the output layer of the masked LM head is not the table of words (untied weights); an ALBERT "
            "has one table for both, so such a model cannot be converted"
        )
    return state


def bert_named_as_ours(stored: Mapping[str, T]) -> dict[str, T]:
    """Return what belongs to the tensors of a BERT by our names; those that we do not know keep theirs."""
    plain = {name.removeprefix("bert."): value for name, value in without_wrappers(stored).items()}
    named = {
        _our_name(current_norm(name)): value
        for name, value in plain.items()
        if not name.endswith("position_ids")
    }
    bias = named.pop(f"{DECODER}bias", None)
    if bias is not None:  # one tensor with two names, of which a file may have either
        named.setdefault("predictions.bias", bias)
    return named


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
