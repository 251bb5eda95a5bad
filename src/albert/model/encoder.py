"""Embeddings and the encoder: a stack of layers that share their weights, over packed tokens.

Parameters carry the names and shapes of the Hugging Face layout, so a state dict needs no translation.
Query, key and value stay three tensors (LAMB gives each its own trust ratio) and are joined to one matrix
once a forward pass, where parameters are also cast for autocast: once a step, not once a layer. A model that
only answers makes them ready once and for all (`AlbertEncoder.freeze`).
Letters: N tokens of the packed batch, E embedding size, H hidden size, F intermediate size, A heads.
Source: modeling.py of the original; Lan et al. (2020), section 3.1. Post-layer-norm; dropout stands after
the embeddings, the attention and the feed-forward part, and nowhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from albert.config import Activation, AlbertConfig
from albert.errors import DataError
from albert.model.attention import attend, attention_probabilities
from albert.model.linear import Dtype, FrozenWeights, compute_dtype, freeze, linear, prepare
from albert.model.packing import Packing


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Applies the activation of this name, elementwise."""
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
    """Draws kernels and embeddings below `module` from a normal cut at 2 `std`; biases 0, norms 1 and 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.LayerNorm):
            part.reset_parameters()


class AlbertEmbeddings(nn.Module):
    """Word, position and type embeddings of width E: summed, normalised, dropped out."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.embedding_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.embedding_size)
        self.LayerNorm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Returns the embeddings (N, E) of three packed (N,) inputs."""
        x = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(position_ids)))


class LayerWeights(NamedTuple):
    """The parameters of one layer, made ready once and used by every layer of the group."""

    qkv: FrozenWeights
    """Query, key and value as one map, H to 3H."""
    dense: FrozenWeights
    """Behind attention, H to H."""
    ffn: FrozenWeights
    """H to F."""
    ffn_output: FrozenWeights
    """F to H."""


class AlbertAttention(nn.Module):
    """The parameters of self-attention and of the normalisation behind it."""

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
        """Whether all of the block but attention runs as compiled kernels; compiled when first called."""

    def weights(self, dtype: torch.dtype) -> LayerWeights:
        """Returns this layer's parameters, query, key and value joined, all cast to `dtype`."""
        return LayerWeights(*(prepare(linears, dtype) for linears in self._linears()))

    def frozen_weights(self, dtype: Dtype) -> LayerWeights:
        """Returns the same, as they are now, for passes without gradient."""
        return LayerWeights(*(freeze(linears, dtype) for linears in self._linears()))

    def _linears(self) -> tuple[tuple[nn.Linear, ...], ...]:
        attention = self.attention
        joined = (attention.query, attention.key, attention.value)
        return joined, (attention.dense,), (self.ffn,), (self.ffn_output,)

    def project(self, x: Tensor, weights: LayerWeights) -> Tensor:
        """Returns queries, keys and values (N, 3, A, H / A) of `x` (N, H)."""
        heads = self.num_attention_heads
        return linear(x, weights.qkv).view(x.shape[0], 3, heads, x.shape[1] // heads)

    def finish(self, x: Tensor, context: Tensor, weights: LayerWeights) -> Tensor:
        """Returns the block's output (K, H) for its input `x` (K, H) and what attention read, (K, H)."""
        attended = linear(context, weights.dense)
        x = self.attention.LayerNorm(x + self.hidden_dropout(attended))
        hidden = activate(linear(x, weights.ffn), self.hidden_act)
        output = linear(hidden, weights.ffn_output)
        return self.full_layer_layer_norm(x + self.hidden_dropout(output))

    def forward(
        self, x: Tensor, weights: LayerWeights, packing: Packing, rows: Tensor | None = None
    ) -> Tensor:
        """Returns the block's output (N, H) for `x` (N, H); at the `rows` (K,) alone, (K, H), if given."""
        context = attend(
            _call(AlbertLayer.project, self, x, weights),
            packing,
            dropout_prob=self.attention_probs_dropout_prob if self.training else 0.0,
        )
        if rows is not None:
            context, x = context[rows], x[rows]
        return _call(AlbertLayer.finish, self, x, context, weights)


class AlbertLayerGroup(nn.Module):
    """The blocks with weights of their own that one layer of the group runs through."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.albert_layers = nn.ModuleList(AlbertLayer(config) for _ in range(config.inner_group_num))


@dataclass(slots=True)
class Frozen:
    """The weights of an encoder that only answers, made ready once and for all."""

    dtype: Dtype
    """Type of the products."""
    layers: dict[AlbertLayer, LayerWeights]
    """Of each block."""
    is_checked: bool = False
    """Whether somebody has compared what comes out with float32."""


class AlbertEncoder(nn.Module):
    """The map from E to H, then `num_hidden_layers` layers; the layers of a group share their weights.

    Where E equals H there is no map, as in the original.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.config = config
        self.recomputes = False
        """Whether a block keeps its input alone and computes the rest again for its gradient."""
        self.embedding_hidden_mapping_in = (
            nn.Identity()
            if config.embedding_size == config.hidden_size
            else nn.Linear(config.embedding_size, config.hidden_size)
        )
        self.albert_layer_groups = nn.ModuleList(
            AlbertLayerGroup(config) for _ in range(config.num_hidden_groups)
        )
        self.frozen: Frozen | None = None
        """What passes without gradient use; None where the blocks' weights are made ready each time."""
        # torch leaves this untyped, and what `_apply` below calls.
        self.register_load_state_dict_post_hook(_thaw_after_loading)  # type: ignore[no-untyped-call]

    def freeze(self, dtype: Dtype = "float32") -> None:
        """Makes the weights of the blocks ready for passes without gradient, which then compute in `dtype`.

        Norms, softmax and what stands outside the blocks stay in float32. Training mode, another device and
        loading a state dict undo it; who changes parameters in another way freezes again.

        Raises:
            ConfigError: The device does not compute in `dtype`.
        """
        layers = dict.fromkeys(self.layers())
        self.frozen = Frozen(dtype, {layer: layer.frozen_weights(dtype) for layer in layers})

    def thaw(self) -> None:
        """Undoes `freeze`."""
        self.frozen = None

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, as every module does."""
        if mode:
            self.thaw()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.thaw()
        applied: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return applied

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a copy has; frozen weights it has not."""
        return {**self.__dict__, "frozen": None}

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        *,
        rows: Tensor | None = None,
        hidden_states: list[Tensor] | None = None,
        attentions: list[Tensor] | None = None,
    ) -> Tensor:
        """Returns the last layer's output (N, H) for the embeddings `x` (N, E).

        Behind its attention the last block mixes tokens no more, so where heads look at a few `rows` only,
        it computes those.

        Args:
            x: Packed embeddings.
            packing: Where the sequences lie.
            rows: Tokens whose output is wanted, (K,); it is (K, H) then. All if not given.
            hidden_states: Receives the input of the first block and the output of every block, (N, H) each.
            attentions: Receives the attention probabilities of every block, (B, A, T, T) each.
        """
        if self.frozen is None or torch.is_grad_enabled():
            x = self.embedding_hidden_mapping_in(x)
            return self._run(x, packing, {}, rows=rows, hidden_states=hidden_states, attentions=attentions)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.frozen.dtype == "bf16"):
            layers = self.frozen.layers
            x = self.embedding_hidden_mapping_in(x).float()  # and so stays what is added to and normalised
            return self._run(
                x, packing, layers, rows=rows, hidden_states=hidden_states, attentions=attentions
            )

    def _run(
        self,
        x: Tensor,
        packing: Packing,
        prepared: dict[AlbertLayer, LayerWeights],
        *,
        rows: Tensor | None,
        hidden_states: list[Tensor] | None,
        attentions: list[Tensor] | None,
    ) -> Tensor:
        """Runs all blocks on `x` (N, H); weights that are not in `prepared` are made ready and put there."""
        if hidden_states is not None:
            hidden_states.append(x)
        layers = self.layers()
        for number, layer in enumerate(layers, 1):
            if layer not in prepared:
                prepared[layer] = layer.weights(compute_dtype(x))
            if attentions is not None:
                attentions.append(attention_probabilities(layer.project(x, prepared[layer]), packing))
            block = partial(checkpoint, layer, use_reentrant=False) if self.recomputes else layer
            x = block(x, prepared[layer], packing, rows if number == len(layers) else None)
            if hidden_states is not None:
                hidden_states.append(x)
        return x

    def layers(self) -> list[AlbertLayer]:
        """Returns the blocks in the order in which they run; a shared block occurs once for each run."""
        order = []
        for layer in range(self.config.num_hidden_layers):
            group = self.albert_layer_groups[self.config.group_of_layer(layer)]
            assert isinstance(group, AlbertLayerGroup)
            order += [block for block in group.albert_layers if isinstance(block, AlbertLayer)]
        return order


def _thaw_after_loading(encoder: nn.Module, _: object) -> None:
    assert isinstance(encoder, AlbertEncoder)
    encoder.thaw()


@cache
def _compiled(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Returns `method` compiled; one compilation serves all layers and, below, all numbers of rows."""
    return torch.compile(method)


def _call(method: Callable[..., Tensor], layer: AlbertLayer, x: Tensor, *others: Any) -> Tensor:
    """Calls a method of `layer` on rows `x` (K, H) and others, compiled where the layer is to be."""
    if not layer.compiled:
        return method(layer, x, *others)
    for tensor in (x, *others):
        if isinstance(tensor, Tensor):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
    return _compiled(method)(layer, x, *others)


def check_length(length: int, config: AlbertConfig) -> None:
    """Checks that the model has positions for a sequence of `length` tokens.

    Raises:
        DataError: It has not.
    """
    if length > config.max_position_embeddings:
        raise DataError(
            f"a sequence has {length} tokens, the model has {config.max_position_embeddings} positions; "
            "truncate it (truncation=True, or --max-seq-length)"
        )
