"""One block: attention, then a feed-forward part, with weights that are prepared once a pass.

Letters: N tokens of the packed batch, H hidden size, F feed-forward size, A heads, D size of a head, M rows
whose output is used.
Source: `attention_ffn_block` (modeling.py) of the original. Post-layer-norm.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from albert.choices import Dtype
from albert.config import AlbertConfig
from albert.config_fields import Activation
from albert.model import kernels
from albert.model.attention import attend
from albert.model.inspection import Inspection
from albert.model.linear import PreparedWeights, all_plain, linear, prepare, prepare_for_inference
from albert.model.packing import Packing


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Apply the activation of this name, elementwise."""
    match activation:
        case "gelu_new":
            return F.gelu(x, approximate="tanh")
        case "gelu":
            return F.gelu(x)
        case "relu":
            return F.relu(x)
        case "tanh":
            return torch.tanh(x)
        case "linear":
            return x


def initialize(module: nn.Module, *, std: float) -> None:
    """Draw weights and embeddings in `module` from a normal truncated at 2 `std`; biases 0, norms 1 and 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.LayerNorm):
            part.reset_parameters()


class LayerWeights(NamedTuple):
    """The parameters of one block, prepared once and used by every layer of the group."""

    qkv: PreparedWeights
    """Query, key and value as one layer, H to 3H."""
    dense: PreparedWeights
    """After attention, H to H."""
    ffn: PreparedWeights
    """H to F."""
    ffn_output: PreparedWeights
    """F to H."""


class Holder(nn.Module):
    """A module that only holds others: it is not called, so hooks would never run. Adding one warns."""

    def register_forward_hook(self, *arguments: Any, **named: Any) -> Any:
        """Add a hook, with a warning; see `nn.Module`."""
        self._warn()
        return super().register_forward_hook(*arguments, **named)

    def register_forward_pre_hook(self, *arguments: Any, **named: Any) -> Any:
        """Add a hook, with a warning; see `nn.Module`."""
        self._warn()
        return super().register_forward_pre_hook(*arguments, **named)

    def register_full_backward_hook(self, *arguments: Any, **named: Any) -> Any:
        """Add a hook, with a warning; see `nn.Module`."""
        self._warn()
        return super().register_full_backward_hook(*arguments, **named)

    def _warn(self) -> None:
        warnings.warn(
            f"{type(self).__name__} is not called, so this hook will never run; use a layer inside of it "
            "(query, key, value, dense) or the whole block, AlbertLayer",
            stacklevel=3,
        )


class AlbertAttention(Holder):
    """The parameters of self-attention and of the normalisation after it."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)


class AlbertLayer(nn.Module):
    """One transformer block: attention, then feed-forward, each added to its input and normalised."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.full_layer_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = AlbertAttention(config)
        self.ffn = nn.Linear(config.hidden_size, config.intermediate_size)
        self.ffn_output = nn.Linear(config.intermediate_size, config.hidden_size)
        self.hidden_dropout = nn.Dropout(config.hidden_dropout_prob)
        self.num_attention_heads = config.num_attention_heads
        self.attention_probs_dropout_prob = config.attention_probs_dropout_prob
        self.hidden_act = config.hidden_act
        self.compiled = False
        """Whether all of the block but attention runs compiled; it is compiled at the first call."""

    def weights(self, dtype: torch.dtype) -> LayerWeights:
        """Return this block's parameters, query, key and value joined, all cast to `dtype`."""
        return LayerWeights(*(prepare(linears, dtype) for linears in self._linears()))

    def inference_weights(self, dtype: Dtype) -> LayerWeights:
        """Return their current values, prepared for any number of passes without gradient."""
        return LayerWeights(*(prepare_for_inference(linears, dtype) for linears in self._linears()))

    def form(self) -> tuple[tuple[tuple[nn.Module, ...], bool], ...]:
        """Return the linear layers, as they are joined, and whether they are plain.

        Prepared weights are those of a block as long as this stays equal.
        """
        return tuple((linears, all_plain(linears)) for linears in self._linears())

    def _linears(self) -> tuple[tuple[nn.Module, ...], ...]:
        attention = self.attention
        joined = (attention.query, attention.key, attention.value)
        return joined, (attention.dense,), (self.ffn,), (self.ffn_output,)

    def project(self, x: Tensor, weights: LayerWeights) -> Tensor:
        """Return the queries, keys and values (N, 3, A, D) of `x` (N, H)."""
        heads = self.num_attention_heads
        qkv = linear(x, weights.qkv)  # (N, H) -> (N, 3H)
        return qkv.view(x.shape[0], 3, heads, x.shape[1] // heads)  # (N, 3H) -> (N, 3, A, D)

    def finish(self, x: Tensor, context: Tensor, weights: LayerWeights) -> Tensor:
        """Return the block's output (M, H) for its input `x` (M, H) and the attention's output (M, H)."""
        attended = linear(context, weights.dense)
        x = self.attention.LayerNorm(x + self.hidden_dropout(attended))
        hidden = activate(linear(x, weights.ffn), self.hidden_act)  # (M, H) -> (M, F)
        output = linear(hidden, weights.ffn_output)  # (M, F) -> (M, H)
        return self.full_layer_layer_norm(x + self.hidden_dropout(output))

    def forward(
        self,
        x: Tensor,
        weights: LayerWeights,
        packing: Packing,
        rows: Tensor | None = None,
        inspection: Inspection | None = None,
    ) -> Tensor:
        """Return the block's output (N, H) for `x` (N, H); if `rows` (M,) are given, only theirs, (M, H)."""
        dropout_prob = self.attention_probs_dropout_prob if self.training else 0.0
        qkv = _call(AlbertLayer.project, self, x, weights)
        if inspection is not None and inspection.attentions is not None:
            context = inspection.attend(qkv, dropout_prob=dropout_prob)
        else:
            context = attend(qkv, packing, dropout_prob=dropout_prob)
        if rows is not None:
            context, x = context[rows], x[rows]  # (N, H) -> (M, H)
        return _call(AlbertLayer.finish, self, x, context, weights)


@cache
def _compiled(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `method` compiled; one compilation serves all layers and, through `_call`, all row counts."""
    return torch.compile(method)


def _call(method: Callable[..., Tensor], layer: AlbertLayer, x: Tensor, *others: Any) -> Tensor:
    """Call a method of `layer` on rows `x` (M, H) and others, compiled if the layer is to be."""
    if not layer.compiled:
        return method(layer, x, *others)
    for tensor in (x, *others):
        if isinstance(tensor, Tensor):
            kernels.mark_dynamic(tensor, 0)
    return _compiled(method)(layer, x, *others)
