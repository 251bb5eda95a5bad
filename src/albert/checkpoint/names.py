"""Tensor names: the original's variables, and ours, which are Hugging Face's.

One table is used in both directions. The original stores kernels as (in, out) and torch as (out, in), so a
`kernel` is transposed; `output_weights` are (out, in) in both. Variables of a TF-Hub module have the prefix
`module/`. The names of albert_zh's own family are in `albert_zh`.
Source: variable scopes of modeling.py, run_pretraining.py, classifier_utils.py, race_utils.py and
squad_utils.py of the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar

from albert.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

Family = Literal["google", "tf-hub", "albert_zh"]
"""Origin of a checkpoint: the original, the same as a TF-Hub module, or albert_zh's own model."""

HUB_PREFIX = "module/"
_BLOCK = "bert/encoder/transformer/group_{}/inner_group_{}/"
_OUR_BLOCK = "albert.encoder.albert_layer_groups.{}.albert_layers.{}."
_BLOCK_PATTERN = re.compile(r"bert/encoder/transformer/group_(\d+)/inner_group_(\d+)/")
_OUR_BLOCK_PATTERN = re.compile(r"albert\.encoder\.albert_layer_groups\.(\d+)\.albert_layers\.(\d+)\.")
_NO_WEIGHT = re.compile(r"(.*/)?((adam|lamb)_[mv]|global_step)")

MAP = "albert.encoder.embedding_hidden_mapping_in"
"""Our name of the map from E to H."""
_WORD_TABLE = re.compile(r"(?P<prefix>.*?)(albert\.|bert\.)?embeddings\.word_embeddings\.weight")
_WRAPPERS = re.compile(r"(module\.|model\.)+")

_TABLES = {
    "bert/embeddings/word_embeddings": "albert.embeddings.word_embeddings.weight",
    "bert/embeddings/position_embeddings": "albert.embeddings.position_embeddings.weight",
    "bert/embeddings/token_type_embeddings": "albert.embeddings.token_type_embeddings.weight",
    "cls/predictions/output_bias": "predictions.bias",
}
# In a block `LayerNorm` follows the attention and `LayerNorm_1` the feed-forward part.
_NORMS = {
    "bert/embeddings/LayerNorm": "albert.embeddings.LayerNorm",
    f"{_BLOCK}LayerNorm": f"{_OUR_BLOCK}attention.LayerNorm",
    f"{_BLOCK}LayerNorm_1": f"{_OUR_BLOCK}full_layer_layer_norm",
    "cls/predictions/transform/LayerNorm": "predictions.LayerNorm",
    "end_logits/LayerNorm": "end_logits.LayerNorm",
}
_LINEARS = {
    "bert/encoder/embedding_hidden_mapping_in": "albert.encoder.embedding_hidden_mapping_in",
    f"{_BLOCK}attention_1/self/query": f"{_OUR_BLOCK}attention.query",
    f"{_BLOCK}attention_1/self/key": f"{_OUR_BLOCK}attention.key",
    f"{_BLOCK}attention_1/self/value": f"{_OUR_BLOCK}attention.value",
    f"{_BLOCK}attention_1/output/dense": f"{_OUR_BLOCK}attention.dense",
    f"{_BLOCK}ffn_1/intermediate/dense": f"{_OUR_BLOCK}ffn",
    f"{_BLOCK}ffn_1/intermediate/output/dense": f"{_OUR_BLOCK}ffn_output",
    "bert/pooler/dense": "albert.pooler",
    "cls/predictions/transform/dense": "predictions.dense",
    "start_logits/dense": "start_logits.dense",
    "end_logits/dense_0": "end_logits.dense_0",
    "end_logits/dense_1": "end_logits.dense_1",
    "answer_class/dense_0": "answer_class.dense_0",
    "answer_class/dense_1": "answer_class.dense_1",
}
# The classifier of texts (K rows) and the one of RACE's choices (one row) have the same, empty scope.
_OUTPUTS = {
    "cls/seq_relationship/": "sop_classifier.classifier",
    "cls/squad/": "qa_outputs",
    "": "classifier",
}
_OURS = {
    **_TABLES,
    **{f"{norm}/gamma": f"{ours}.weight" for norm, ours in _NORMS.items()},
    **{f"{norm}/beta": f"{ours}.bias" for norm, ours in _NORMS.items()},
    **{f"{linear}/kernel": f"{ours}.weight" for linear, ours in _LINEARS.items()},
    **{f"{linear}/bias": f"{ours}.bias" for linear, ours in _LINEARS.items()},
    **{f"{scope}output_weights": f"{ours}.weight" for scope, ours in _OUTPUTS.items()},
    **{f"{scope}output_bias": f"{ours}.bias" for scope, ours in _OUTPUTS.items()},
}
_ORIGINALS = {ours: original for original, ours in _OURS.items()}


def family_of(variables: Iterable[str]) -> Family:
    """Return the origin of a checkpoint with these `variables`.

    Raises:
        CheckpointError: They are not those of an ALBERT.
    """
    names = sorted(variables)
    if "bert/embeddings/word_embeddings_2" in names:
        return "albert_zh"
    prefixes: dict[str, Family] = {"": "google", HUB_PREFIX: "tf-hub"}
    for prefix, family in prefixes.items():
        stripped = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        if "bert/embeddings/word_embeddings" in stripped and any(map(_BLOCK_PATTERN.match, stripped)):
            return family
    found = ", ".join(repr(name) for name in names[:3]) or "none"
    raise CheckpointError(
        f"expected the variables of an ALBERT (bert/encoder/transformer/group_0/..., or albert_zh's "
        f"bert/encoder/layer_shared/...), found {found}{' and others' if len(names) > 3 else ''}"
    )


def is_weight(variable: str) -> bool:
    """Return whether a variable is a weight, rather than an optimiser moment or the step count."""
    return not _NO_WEIGHT.fullmatch(variable)


def name_of_original(variable: str) -> str:
    """Return our name of the original's variable `variable`, with or without TF-Hub's prefix.

    Raises:
        CheckpointError: The original's model has no such variable.
    """
    name = variable.removeprefix(HUB_PREFIX)
    block = _BLOCK_PATTERN.match(name)
    ours = _OURS.get(_BLOCK_PATTERN.sub(_BLOCK, name))
    if ours is None:
        raise CheckpointError(f"{variable!r} is not a variable of the original's model")
    return ours.format(*block.groups()) if block else ours


def original_name(name: str) -> str:
    """Return the original's variable of our `name`.

    Raises:
        CheckpointError: The original has no such variable.
    """
    block = _OUR_BLOCK_PATTERN.match(name)
    original = _ORIGINALS.get(_OUR_BLOCK_PATTERN.sub(_OUR_BLOCK, name))
    if original is None:
        raise CheckpointError(f"the original has no variable for {name!r}")
    return original.format(*block.groups()) if block else original


def from_original(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the original's weights under our names, kernels transposed, without what is not a weight.

    Raises:
        CheckpointError: A variable is unknown, or a kernel is not a matrix.
    """
    return {
        name_of_original(name): _transposed(name, value)
        for name, value in variables.items()
        if is_weight(name)
    }


def to_original(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return our tensors under the original's names, kernels transposed.

    Raises:
        CheckpointError: The original has no such variable.
    """
    variables = {original_name(name): value for name, value in state.items()}
    return {name: _transposed(name, value) for name, value in variables.items()}


def to_hugging_face(state: Mapping[str, Tensor], *, identity_map_size: int | None) -> dict[str, Tensor]:
    """Return a state dict as transformers expects it in a file.

    Args:
        state: Our state dict.
        identity_map_size: H if E equals H: transformers always maps E to H, so the file needs an identity.
    """
    import torch

    state = {name: tensor.detach().contiguous() for name, tensor in state.items()}
    if identity_map_size is not None:
        prefix = "albert." if any(name.startswith("albert.") for name in state) else ""
        mapping = f"{prefix}encoder.embedding_hidden_mapping_in."
        state[f"{mapping}weight"] = torch.eye(identity_map_size)
        state[f"{mapping}bias"] = torch.zeros(identity_map_size)
    return state


def from_hugging_face(state: dict[str, Tensor], *, has_map: bool) -> dict[str, Tensor]:
    """Return the tensors of a Hugging Face file under our names, without tied copies and identity mapping.

    A folder of the bare encoder names its tensors without the prefix `albert.`.

    Args:
        state: Tensors of the file.
        has_map: Whether the model has a mapping from E to H.

    Raises:
        CheckpointError: The file has a trained mapping although E equals H, which only transformers supports.
    """
    state = named_as_ours(state)
    if not has_map:
        weight, bias = state.pop(f"{MAP}.weight", None), state.pop(f"{MAP}.bias", None)
        trained = weight is not None and not weight.equal(weight.new_zeros(weight.shape).fill_diagonal_(1))
        if trained or (bias is not None and bool(bias.any())):
            raise CheckpointError(
                "embedding_size equals hidden_size, but the weights contain a trained mapping between them, "
                "which neither the original nor albert has; such a model cannot be used here"
            )
    return state


def named_as_ours(state: Mapping[str, T]) -> dict[str, T]:
    """Return what belongs to the tensors of a Hugging Face file by our names, without tied copies.

    Raises:
        CheckpointError: As `without_wrappers`.
    """
    named = {_current_name(name): value for name, value in without_wrappers(state).items()}
    if any(name.startswith("embeddings.") for name in named):
        named = {f"albert.{name}": value for name, value in named.items()}
    return {
        name: value
        for name, value in named.items()
        if not name.startswith("predictions.decoder.") and not name.endswith(".position_ids")
    }


def without_wrappers(state: Mapping[str, T]) -> dict[str, T]:
    """Return tensors without the prefixes that wrappers gave to the names of a Hugging Face file.

    These are `module.` of data parallelism, `_orig_mod.` of torch.compile, which also occurs inside, and
    `model.` of training frameworks.

    Raises:
        CheckpointError: The names have another prefix, or there are several models.
    """
    plain = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    tables = [found for name in plain if (found := _WORD_TABLE.fullmatch(name))]
    prefixes = sorted({found["prefix"] for found in tables})
    if not prefixes or "" in prefixes:
        return plain
    if len(prefixes) > 1 or not _WRAPPERS.fullmatch(prefixes[0]):
        names = " and ".join(repr(prefix) for prefix in prefixes)
        raise CheckpointError(
            f"the names of the tensors start with {names}, expected albert. alone; store the state dict of "
            "one model, without what wraps it"
        )
    return {name.removeprefix(prefixes[0]): tensor for name, tensor in plain.items()}


def _current_name(name: str) -> str:
    """Return a tensor's current name; the first ports kept the original's `bert`, `gamma` and `beta`."""
    return current_norm(re.sub(r"^bert\.", "albert.", name))


def current_norm(name: str) -> str:
    """Return the name of a tensor with `weight` and `bias` for the original's `gamma` and `beta`."""
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))


def _transposed(variable: str, value: Tensor) -> Tensor:
    """Return a kernel transposed, and any other variable unchanged."""
    if not variable.endswith("/kernel"):
        return value
    if value.dim() != 2:
        raise CheckpointError(
            f"{variable} has shape {tuple(value.shape)}, expected a matrix; albert_zh's 'fast' variant, "
            "whose feed-forward kernels are split into groups, cannot be converted"
        )
    return value.T.contiguous()
