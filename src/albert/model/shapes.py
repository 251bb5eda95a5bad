"""The tensors that a model has, without making them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from albert.config import AlbertConfig
from albert.model.pretrained import Pretrained


class _WithoutInitialValues(TorchFunctionMode):
    """Skips `torch.nn.init`, which on the meta device loads the compiler of torch: two seconds."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def tensors_of(model_class: type[Pretrained], config: AlbertConfig) -> dict[str, Tensor]:
    """Return the tensors of a model by name, with shapes and types but without memory."""
    with torch.device("meta"), _WithoutInitialValues():
        return dict(model_class(config).state_dict())
