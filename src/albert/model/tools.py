"""What every public model can be asked, and its table of embeddings; the names are those of transformers."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.model.encoder import AlbertEmbeddings, AlbertEncoder
from albert.model.heads import MaskedLMHead


class ModelTools(nn.Module):
    """A model with a configuration, embeddings and an encoder, wherever they are in it."""

    config_class = AlbertConfig
    base_model_prefix: ClassVar[str] = "albert"
    main_input_name: ClassVar[str] = "input_ids"
    supports_gradient_checkpointing: ClassVar[bool] = True
    accepts_loss_kwargs: ClassVar[bool] = False
    """Tells `transformers.Trainer` that losses are means over one batch."""

    def __init__(self, config: AlbertConfig) -> None:
        config.check()
        super().__init__()
        self.config = config
        self.name_or_path = ""
        """Where the model was read from; libraries note it in what they store."""
        # torch leaves this untyped
        self.register_load_state_dict_pre_hook(_drop_copies)  # type: ignore[no-untyped-call]

    @property
    def base_model(self) -> nn.Module:
        """The encoder with its embeddings: `albert` in a model with a head, otherwise the model itself."""
        return self._modules.get(self.base_model_prefix) or self

    @property
    def encoder_of_layers(self) -> AlbertEncoder:
        """The encoder, wherever it is in this model."""
        return next(module for module in self.modules() if isinstance(module, AlbertEncoder))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        return next(self.parameters()).dtype

    def num_parameters(self, *, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Return the number of parameters, each counted once however often layers use it.

        Args:
            only_trainable: Leave out those without gradient.
            exclude_embeddings: Leave out the three tables of embeddings.
        """
        tables = {id(m.weight) for m in self.modules() if exclude_embeddings and isinstance(m, nn.Embedding)}
        counted = (p for p in self.parameters() if id(p) not in tables)
        return sum(p.numel() for p in counted if p.requires_grad or not only_trainable)

    def get_memory_footprint(self) -> int:
        """Return the size of the parameters in bytes."""
        return sum(p.numel() * p.element_size() for p in self.parameters())

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of word embeddings."""
        return self._embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put another table in place of the word embeddings; the masked LM head uses it, too.

        Raises:
            ConfigError: It has another width, or other rows than the masked LM head has outputs.
        """
        weight = getattr(value, "weight", None)
        width = self.config.embedding_size
        if not isinstance(weight, Tensor) or weight.ndim != 2 or weight.shape[1] != width:
            found = tuple(weight.shape) if isinstance(weight, Tensor) else type(value).__name__
            raise ConfigError(f"expected embeddings of width {width}, found {found}")
        head = self._masked_lm_head
        if head is not None and len(weight) != len(head.bias):
            raise ConfigError(
                f"the table has {len(weight)} rows, the masked LM head {len(head.bias)} outputs; change "
                "their number with resize_token_embeddings, then exchange the table"
            )
        self._embeddings.set_submodule("word_embeddings", value)
        self.config.vocab_size = len(weight)

    def get_output_embeddings(self) -> nn.Linear | None:
        """Return the last layer of the masked LM head: its weight is the table of word embeddings itself.

        None for a model without that head. The layer is a view for reading and in-place changes.
        """
        head = self._masked_lm_head
        if head is None:
            return None
        table = self._embeddings.word_embeddings.weight
        view = nn.Linear(table.shape[1], table.shape[0], device="meta")
        assert isinstance(table, nn.Parameter)
        view.weight, view.bias = table, head.bias
        return view

    def set_output_embeddings(self, value: nn.Module) -> None:  # noqa: ARG002  # refused
        """Refuse: the layer is the table of word embeddings.

        Raises:
            ConfigError: Always; use `set_input_embeddings`.
        """
        raise ConfigError("outputs are tied to the word embeddings; use set_input_embeddings for both")

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Module:
        """Give the table of word embeddings, and the outputs of the masked LM head, another number of rows.

        Args:
            new_num_tokens: Rows; the present number if not given. Fewer rows cut off the last ones.
            pad_to_multiple_of: Round up the number.
            mean_resizing: Whether new rows start as the mean of the old ones, so that a new token is neither
                likely nor unlikely; otherwise they are random, as at the start of pretraining.

        Returns:
            The new table.
        """
        table = self._embeddings.word_embeddings
        old = table.weight
        rows = len(old) if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of:
            rows = -(-rows // pad_to_multiple_of) * pad_to_multiple_of
        if rows == len(old):
            return table
        grown = nn.Embedding(rows, old.shape[1], device=old.device, dtype=old.dtype)
        with torch.no_grad():
            kept = min(rows, len(old))
            std = self.config.initializer_range
            nn.init.trunc_normal_(grown.weight, std=std, a=-2 * std, b=2 * std)
            if mean_resizing:
                grown.weight[kept:] = old.mean(0)
            grown.weight[:kept] = old[:kept]
        grown.weight.requires_grad_(old.requires_grad)
        self._embeddings.word_embeddings = grown
        head = self._masked_lm_head
        if head is not None:
            bias = head.bias.new_zeros(rows)
            bias[:kept] = head.bias.detach()[:kept]
            if mean_resizing:
                bias[kept:] = head.bias.detach().mean()
            head.bias = nn.Parameter(bias, requires_grad=head.bias.requires_grad)
        self.config.vocab_size = rows
        return grown

    def tie_weights(self, *arguments: Any, **named: Any) -> None:  # none has an effect
        """Do nothing: the masked LM head uses the table of word embeddings itself."""

    def can_generate(self) -> bool:
        """Return False: an encoder does not generate text."""
        return False

    @property
    def is_activation_checkpointing(self) -> bool:
        """Whether blocks keep only their input and recompute the rest for their gradient."""
        return self.encoder_of_layers.recomputes

    @property
    def is_gradient_checkpointing(self) -> bool:
        """The same under its older name."""
        return self.is_activation_checkpointing

    def activation_checkpointing_enable(
        self,
        activation_checkpointing_kwargs: dict[str, Any] | None = None,  # noqa: ARG002  # see below
        every_n_layers: int = 1,
        *,
        offload: bool = False,
    ) -> None:
        """Keep only each block's input for the backward pass, and recompute the rest.

        Args:
            activation_checkpointing_kwargs: Without effect: losses and gradients are the same either way.
            every_n_layers: Only 1 is supported.
            offload: Only False is supported.

        Raises:
            ConfigError: Another value than these.
        """
        if every_n_layers != 1 or offload:
            raise ConfigError(
                f"every_n_layers is {every_n_layers}, offload is {offload}; expected 1 and False: every "
                "block is recomputed, and its input stays on the device"
            )
        self.encoder_of_layers.recomputes = True

    def activation_checkpointing_disable(self) -> None:
        """Keep everything that the backward pass needs."""
        self.encoder_of_layers.recomputes = False

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None, **others: Any
    ) -> None:
        """Do the same as `activation_checkpointing_enable`, under its older name."""
        self.activation_checkpointing_enable(gradient_checkpointing_kwargs, **others)

    def gradient_checkpointing_disable(self) -> None:
        """Do the same as `activation_checkpointing_disable`, under its older name."""
        self.activation_checkpointing_disable()

    def enable_input_require_grads(self) -> None:
        """Let the word embeddings' output require gradients, for adapters on a frozen model."""
        self._input_hook = self.get_input_embeddings().register_forward_hook(_require_gradient)

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        self._input_hook.remove()

    @property
    def _embeddings(self) -> AlbertEmbeddings:
        return next(module for module in self.modules() if isinstance(module, AlbertEmbeddings))

    @property
    def _masked_lm_head(self) -> MaskedLMHead | None:
        return next((module for module in self.modules() if isinstance(module, MaskedLMHead)), None)


def _drop_copies(model: nn.Module, state: dict[str, Tensor], prefix: str, *others: Any) -> None:
    """Drop from a state dict of transformers what is no tensor here: copies, constants, an identity.

    A copy that differs from what it should be is an error, as unknown tensors are.
    """
    errors: list[str] = others[-1]
    table = f"{prefix}albert.embeddings.word_embeddings.weight"
    tied = {"predictions.decoder.weight": table, "predictions.decoder.bias": f"{prefix}predictions.bias"}
    for name, source in tied.items():
        copy = state.pop(prefix + name, None)
        if copy is not None and source in state and not torch.equal(copy, state[source]):
            errors.append(f"{prefix}{name} differs from {source}, to which it is tied here")
    for name in ("position_ids", "token_type_ids"):
        state.pop(f"{prefix}embeddings.{name}", None)
    mapping = f"{prefix}encoder.embedding_hidden_mapping_in."
    encoder = model._modules.get("encoder")  # of the bare encoder; others have it deeper
    if isinstance(encoder, AlbertEncoder) and not encoder.config.has_map and f"{mapping}weight" in state:
        weight = state.pop(f"{mapping}weight")
        bias = state.pop(f"{mapping}bias", weight.new_zeros(1))
        if not torch.equal(weight, torch.eye(len(weight)).to(weight)) or bool(bias.any()):
            errors.append(f"{mapping}weight is trained, but embedding_size equals hidden_size")


def _require_gradient(_: nn.Module, __: Any, output: Tensor) -> None:
    output.requires_grad_()
