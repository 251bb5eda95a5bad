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
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from albert.choices import Dtype
from albert.config import AlbertConfig
from albert.errors import ConfigError, DataError
from albert.model.inspection import Inspection
from albert.model.layer import AlbertLayer, Holder, LayerWeights
from albert.model.linear import compute_dtype
from albert.model.packing import Packing


class AlbertEmbeddings(nn.Module):
    """Word, position and type embeddings of width E: summed, normalised, dropped out."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.embedding_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.embedding_size)
        self.LayerNorm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor,
        position_ids: Tensor,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Return the embeddings (N, E) of packed (N,) inputs.

        Args:
            input_ids: (N,); not used if `inputs_embeds` are given.
            token_type_ids: (N,).
            position_ids: (N,).
            inputs_embeds: Word embeddings, (N, E).
        """
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)  # (N,) -> (N, E)
        x = inputs_embeds + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(position_ids)))


class AlbertLayerGroup(Holder):
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
    forms: dict[AlbertLayer, object]
    """What each block consisted of (`AlbertLayer.form`)."""
    is_checked: bool = False
    """Whether the outputs have been compared with float32."""

    def is_current(self) -> bool:
        """Return whether no layer was replaced, and no hook added or removed, since."""
        return all(block.form() == form for block, form in self.forms.items())


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
        blocks = dict.fromkeys(self.layers())
        self.prepared = Prepared(
            dtype,
            layers={block: block.inference_weights(dtype) for block in blocks},
            forms={block: block.form() for block in blocks},
        )

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
        inspection: Inspection | None = None,
    ) -> Tensor:
        """Return the last layer's output (N, H) for the embeddings `x` (N, E).

        After its attention the last block no longer mixes tokens. So where heads use a few rows only, it
        computes only those.

        Args:
            x: Packed embeddings.
            packing: Where the sequences are.
            rows: Tokens whose output is needed, (M,); the output is then (M, H). All if not given.
            inspection: Keeps hidden states and attention probabilities; not together with `rows`.
        """
        with self._precision(x.device):
            for state in self._states(x, packing, rows=rows, inspection=inspection):
                x = state
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

    def first_input(self, x: Tensor) -> Tensor:
        """Return the input of the first layer, (num_rows, H), for the embeddings `x` (num_rows, E)."""
        return self.embedding_hidden_mapping_in(x).float()

    def run_layer(self, x: Tensor, packing: Packing, number: int) -> Tensor:
        """Return the output of layer `number`, from 1, for its input (num_rows, H), without gradient.

        For callers that change the batch between layers; others are faster with `forward`.
        """
        if self.prepared is None or not self.prepared.is_current():
            self.prepare_for_inference("float32" if self.prepared is None else self.prepared.dtype)
        assert self.prepared is not None
        inside = self.config.inner_group_num
        with self._precision(x.device):
            for block in self.layers(number)[-inside:]:
                x = block(x, self.prepared.layers[block], packing)
        return x

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
        inspection: Inspection | None = None,
    ) -> Iterator[Tensor]:
        """Yield the input of the first block, then each block's output, up to `num_layers` layers."""
        x = self.embedding_hidden_mapping_in(x)  # (N, E) -> (N, H)
        keep = _unchanged if inspection is None else inspection.keep_state
        weights: dict[AlbertLayer, LayerWeights] = {}
        blocks = self.layers(num_layers)
        if self.prepared is not None and not torch.is_grad_enabled():
            if not self.prepared.is_current():
                self.prepare_for_inference(self.prepared.dtype)
            weights = self.prepared.layers
            x = x.float()  # Sums and normalisations stay float32.
        x = keep(x)
        yield x
        for number, layer in enumerate(blocks, 1):
            if layer not in weights:
                weights[layer] = layer.weights(compute_dtype(x))
            block = partial(checkpoint, layer, use_reentrant=False) if self.recomputes else layer
            x = keep(block(x, weights[layer], packing, rows if number == len(blocks) else None, inspection))
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
            for block in group.albert_layers:
                if not isinstance(block, AlbertLayer):
                    raise ConfigError(
                        f"a block of the encoder is a {type(block).__name__}, expected an AlbertLayer; only "
                        "layers inside of it can be replaced: query, key, value, dense, ffn, ffn_output"
                    )
                order.append(block)
        return order


def _unchanged(x: Tensor) -> Tensor:
    return x


def _drop_prepared_after_loading(encoder: nn.Module, _: object) -> None:
    assert isinstance(encoder, AlbertEncoder)
    encoder.prepare_for_training()


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
