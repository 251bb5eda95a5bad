"""Embeddings and the encoder: a stack of layers that share their weights, over packed tokens.

Parameters carry the names and shapes of the Hugging Face layout, so a state dict needs no translation. Query,
key and value stay three tensors, so that LAMB gives each its own trust ratio; a forward pass joins them to
one matrix, and casts all parameters for autocast, once for all layers that share them. For inference this is
done once and for all (`AlbertEncoder.prepare_for_inference`).
Letters: N tokens of the packed batch, E embedding size, H hidden size, F feed-forward size, A heads, D size
of a head, M rows whose output is used.
Source: modeling.py of the original; Lan et al. (2020), section 3.1. Post-layer-norm; dropout only after the
embeddings, the attention and the feed-forward part.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from albert.config import Activation, AlbertConfig
from albert.errors import DataError
from albert.model import kernels
from albert.model.attention import attend, attention_probabilities
from albert.model.linear import Dtype, PreparedWeights, compute_dtype, linear, prepare, prepare_for_inference
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
        """Return the embeddings (N, E) of three packed (N,) inputs."""
        x = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)  # (N,) -> (N, E)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(position_ids)))


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


class AlbertAttention(nn.Module):
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

    def _linears(self) -> tuple[tuple[nn.Linear, ...], ...]:
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
        self, x: Tensor, weights: LayerWeights, packing: Packing, rows: Tensor | None = None
    ) -> Tensor:
        """Return the block's output (N, H) for `x` (N, H); if `rows` (M,) are given, only theirs, (M, H)."""
        context = attend(
            _call(AlbertLayer.project, self, x, weights),
            packing,
            dropout_prob=self.attention_probs_dropout_prob if self.training else 0.0,
        )
        if rows is not None:
            context, x = context[rows], x[rows]  # (N, H) -> (M, H)
        return _call(AlbertLayer.finish, self, x, context, weights)


class AlbertLayerGroup(nn.Module):
    """The blocks that a layer of the group consists of, each with weights of its own."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.albert_layers = nn.ModuleList(AlbertLayer(config) for _ in range(config.inner_group_num))


@dataclass(slots=True)
class Prepared:
    """The weights of an encoder that is prepared for inference."""

    dtype: Dtype
    """Type of the products."""
    layers: dict[AlbertLayer, LayerWeights]
    """Weights of each block."""
    is_checked: bool = False
    """Whether the outputs have been compared with float32."""


class AlbertEncoder(nn.Module):
    """The mapping from E to H, then `num_hidden_layers` layers; the layers of a group share their weights.

    Where E equals H there is no mapping, as in the original.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.config = config
        self.recomputes = False
        """Whether a block keeps only its input and recomputes the rest for its gradient."""
        self.embedding_hidden_mapping_in = (
            nn.Linear(config.embedding_size, config.hidden_size) if config.has_map else nn.Identity()
        )
        self.albert_layer_groups = nn.ModuleList(
            AlbertLayerGroup(config) for _ in range(config.num_hidden_groups)
        )
        self.prepared: Prepared | None = None
        """Weights for passes without gradient; None where each pass prepares its own."""
        # torch leaves this untyped, and also what `_apply` below calls.
        self.register_load_state_dict_post_hook(_drop_prepared_after_loading)  # type: ignore[no-untyped-call]

    def prepare_for_inference(self, dtype: Dtype = "float32") -> None:
        """Prepare the weights of the blocks for passes without gradient, which then compute in `dtype`.

        Norms, softmax and everything outside the blocks stay in float32. Training mode, another device and
        loading a state dict undo it; call this again after changing parameters in any other way.

        Raises:
            ConfigError: The device does not compute in `dtype`.
        """
        layers = dict.fromkeys(self.layers())
        self.prepared = Prepared(dtype, {layer: layer.inference_weights(dtype) for layer in layers})

    def prepare_for_training(self) -> None:
        """Drop what `prepare_for_inference` prepared, so that the parameters themselves are used again."""
        self.prepared = None

    def train(self, mode: bool = True) -> Self:
        """Set training mode, which drops weights prepared for inference; see `nn.Module.train`."""
        if mode:
            self.prepare_for_training()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.prepare_for_training()
        applied: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return applied

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, without weights prepared for inference."""
        return {**self.__dict__, "prepared": None}

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        *,
        rows: Tensor | None = None,
        hidden_states: list[Tensor] | None = None,
        attentions: list[Tensor] | None = None,
    ) -> Tensor:
        """Return the last layer's output (N, H) for the embeddings `x` (N, E).

        After its attention the last block no longer mixes tokens. So where heads use a few rows only, it
        computes only those.

        Args:
            x: Packed embeddings.
            packing: Where the sequences are.
            rows: Tokens whose output is needed, (M,); the output is then (M, H). All if not given.
            hidden_states: Receives the input of the first block and the output of every block, (N, H) each.
            attentions: Receives the attention probabilities of every block, (B, A, T, T) each.
        """
        with self._precision(x.device):
            for state in self._states(x, packing, rows=rows, attentions=attentions):
                x = state
                if hidden_states is not None:
                    hidden_states.append(state)
        return x

    def at_depths(self, x: Tensor, packing: Packing, *, rows: Tensor, depths: Sequence[int]) -> list[Tensor]:
        """Return the hidden states at `rows` (M,) after each of `depths` layers, (M, H) each.

        Layers beyond the deepest are not computed, and the deepest one only at `rows` after its attention.

        Args:
            x: Packed embeddings, (N, E).
            packing: Where the sequences are.
            rows: Tokens whose states are needed.
            depths: Numbers of layers, ascending, at least one.
        """
        found = []
        with self._precision(x.device):
            states = self._states(x, packing, num_layers=depths[-1], rows=rows)
            for number, state in enumerate(states):  # number of blocks done
                layer, inside = divmod(number, self.config.inner_group_num)
                if not inside and layer in depths:
                    found.append(state if layer == depths[-1] else state[rows])  # (N, H) -> (M, H)
        return found

    def _precision(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the `with` block of a pass: the caller's autocast, or that of prepared weights."""
        if self.prepared is None or torch.is_grad_enabled():
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16, enabled=self.prepared.dtype == "bf16")

    def _states(
        self,
        x: Tensor,
        packing: Packing,
        *,
        rows: Tensor | None,
        num_layers: int | None = None,
        attentions: list[Tensor] | None = None,
    ) -> Iterator[Tensor]:
        """Yield the input of the first block, then each block's output, up to `num_layers` layers."""
        x = self.embedding_hidden_mapping_in(x)  # (N, E) -> (N, H)
        weights: dict[AlbertLayer, LayerWeights] = {}
        if self.prepared is not None and not torch.is_grad_enabled():
            weights = self.prepared.layers
            x = x.float()  # Sums and normalisations stay float32.
        yield x
        blocks = self.layers(num_layers)
        for number, layer in enumerate(blocks, 1):
            if layer not in weights:
                weights[layer] = layer.weights(compute_dtype(x))
            if attentions is not None:
                attentions.append(attention_probabilities(layer.project(x, weights[layer]), packing))
            block = partial(checkpoint, layer, use_reentrant=False) if self.recomputes else layer
            x = block(x, weights[layer], packing, rows if number == len(blocks) else None)
            yield x

    def layers(self, num_layers: int | None = None) -> list[AlbertLayer]:
        """Return the blocks in the order in which they run, a shared block once for each run.

        Args:
            num_layers: Only those of the first layers; all if not given.
        """
        order = []
        for layer in range(num_layers or self.config.num_hidden_layers):
            group = self.albert_layer_groups[self.config.group_of_layer(layer)]
            assert isinstance(group, AlbertLayerGroup)
            order += [block for block in group.albert_layers if isinstance(block, AlbertLayer)]
        return order


def _drop_prepared_after_loading(encoder: nn.Module, _: object) -> None:
    assert isinstance(encoder, AlbertEncoder)
    encoder.prepare_for_training()


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


def check_length(length: int, config: AlbertConfig) -> None:
    """Check that the model has positions for a sequence of `length` tokens.

    Raises:
        DataError: It has too few.
    """
    if length > config.max_position_embeddings:
        raise DataError(
            f"a sequence has {length} tokens, the model has {config.max_position_embeddings} positions; "
            "truncate it (truncation=True, or --max-seq-length)"
        )
