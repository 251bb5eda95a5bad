"""Tensor names: the original's variables and ours, which are Hugging Face's.

One ordered table of patterns. The original stores kernels as (in, out) and torch as (out, in), so a
`kernel` is transposed on the way; `output_weights` lie as (out, in) in both worlds.
Source: variable scopes of modeling.py, run_pretraining.py and run_classifier.py of the original.
"""

import re

import torch
from torch import Tensor

from albert.errors import CheckpointError

# Scope of the original -> our prefix. In a block `LayerNorm` stands behind the attention and `LayerNorm_1`
# behind the feed-forward part.
_SCOPES = (
    (r"bert/embeddings/", "albert.embeddings."),
    (r"bert/encoder/embedding_hidden_mapping_in/", "albert.encoder.embedding_hidden_mapping_in."),
    (
        r"bert/encoder/transformer/group_(\d+)/inner_group_(\d+)/",
        r"albert.encoder.albert_layer_groups.\1.albert_layers.\2.",
    ),
    (r"bert/pooler/dense/", "albert.pooler."),
    (r"cls/predictions/transform/", "predictions."),
    (r"cls/predictions/output_bias", "predictions.bias"),
    (r"cls/seq_relationship/output_", "sop_classifier.classifier."),
    (r"output_(?=weights|bias)", "classifier."),
)
_PARTS = (
    (r"attention_1/self/(query|key|value)/", r"attention.\1."),
    (r"attention_1/output/dense/", "attention.dense."),
    (r"ffn_1/intermediate/dense/", "ffn."),
    (r"ffn_1/intermediate/output/dense/", "ffn_output."),
    (r"(?<=\d\.)LayerNorm_1/", "full_layer_layer_norm."),
    (r"(?<=\d\.)LayerNorm/", "attention.LayerNorm."),
    (r"(dense|LayerNorm)/", r"\1."),
    (r"(kernel|gamma|weights)$", "weight"),
    (r"beta$", "bias"),
    (r"(word|position|token_type)_embeddings$", r"\1_embeddings.weight"),
)


def name_of_original(variable: str) -> str:
    """Returns our name of the original's variable `variable`.

    Raises:
        CheckpointError: The original's model has no such variable.
    """
    for scope, prefix in _SCOPES:
        name, found = re.subn(f"^{scope}", prefix, variable, count=1)
        if found:
            break
    else:
        raise CheckpointError(f"{variable!r} is no variable of the original's model")
    for part, ours in _PARTS:
        name = re.sub(part, ours, name)
    return name


def from_original(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the original's variables under our names, kernels transposed.

    Raises:
        CheckpointError: A variable is unknown.
    """
    return {
        name_of_original(name): value.T.contiguous() if name.endswith("/kernel") else value
        for name, value in variables.items()
    }


def to_hugging_face(state: dict[str, Tensor], *, identity_map_size: int | None) -> dict[str, Tensor]:
    """Returns a state dict as transformers expects it in a file.

    Args:
        state: Ours.
        identity_map_size: H where E equals H: transformers always maps E to H, so it gets the identity.
    """
    state = {name: tensor.detach().contiguous() for name, tensor in state.items()}
    if identity_map_size is not None:
        prefix = "albert." if any(name.startswith("albert.") for name in state) else ""
        mapping = f"{prefix}encoder.embedding_hidden_mapping_in."
        state[f"{mapping}weight"] = torch.eye(identity_map_size)
        state[f"{mapping}bias"] = torch.zeros(identity_map_size)
    return state


def from_hugging_face(state: dict[str, Tensor], *, has_map: bool) -> dict[str, Tensor]:
    """Returns the tensors of a Hugging Face file under our names: no copies of tied ones, no identity map.

    A folder of the bare encoder names its tensors without the prefix `albert.`.

    Args:
        state: Tensors of the file.
        has_map: Whether the model maps E to H.

    Raises:
        CheckpointError: The file holds a trained map though E equals H, a shape only transformers has.
    """
    if any(name.startswith("embeddings.") for name in state):
        state = {f"albert.{name}": tensor for name, tensor in state.items()}
    state = {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith("predictions.decoder.") and not name.endswith(".position_ids")
    }
    if not has_map:
        weight = state.pop("albert.encoder.embedding_hidden_mapping_in.weight", None)
        bias = state.pop("albert.encoder.embedding_hidden_mapping_in.bias", None)
        trained = weight is not None and not torch.equal(weight, torch.eye(len(weight)).to(weight))
        if trained or (bias is not None and bool(bias.any())):
            raise CheckpointError(
                "embedding_size equals hidden_size, yet the weights hold a trained map between them, "
                "which neither the original nor this package has"
            )
    return state
