"""Operators outside torch's public interface, each looked up here once.

They are faster than public ones, and any version of torch may drop or rename them. So every function below
returns None, or does nothing, where its operator is missing. What happens then:

    oneDNN's float32 product        F.linear is used
    oneDNN's order of weights       weights stay in their own order
    oneDNN's int8 product           int8 is refused, with the types to use instead
    attention over packed tokens    queries, keys and values are padded
    marking a size as dynamic       the compiler compiles a second time for a second size
    the processor's instructions    they count as missing
"""

from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

Kernel = Callable[..., Any]
Function = TypeVar("Function", bound=Callable[..., Any])
CpuFeature = Literal["avx2", "vnni", "avx512_bf16", "amx_tile"]


class Int8Kernels(NamedTuple):
    """oneDNN's product of int8 matrices."""

    prepack: Kernel
    """Bring a weight (out, in) into oneDNN's order."""
    product: Kernel
    """Multiply rows of 8 bits by such a weight."""


@cache
def onednn_product() -> Kernel | None:
    """Return `(x, weight, bias) -> product` in float32 on a CPU, as oneDNN computes it."""
    operator = _operator("mkldnn", "_linear_pointwise")
    if operator is None:
        return None

    def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        found: Tensor = operator(x, weight, bias, "none", [], "")
        return found

    return product


@cache
def onednn_order() -> Kernel | None:
    """Return `(weight, rows) -> weight` that reorders a float32 weight for oneDNN, for so many rows."""
    return _operator("mkldnn", "_reorder_linear_weight")


@cache
def onednn_int8() -> Int8Kernels | None:
    """Return oneDNN's product in int8."""
    prepack, product = _operator("onednn", "qlinear_prepack"), _operator("onednn", "qlinear_pointwise")
    return None if prepack is None or product is None else Int8Kernels(prepack, product)


@cache
def torch_attention() -> Kernel | None:
    """Return torch's attention over packed sequences: from version 2.10, if built with flash attention."""
    if not torch.backends.cuda.is_flash_attention_available():
        return None
    return _attribute("torch.nn.attention.varlen", "varlen_attn")


@cache
def flash_attention() -> Kernel | None:
    """Return the attention over packed sequences of the package flash_attn, if it is installed."""
    return _attribute("flash_attn", "flash_attn_varlen_qkvpacked_func")


def untraced(function: Function) -> Function:
    """Return a function that a compiler of whole models calls, instead of tracing it."""
    apart: list[Function] = []

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if not torch.compiler.is_compiling():
            return function(*arguments, **named)
        if not apart:
            # Made only for a compiler: this loads it, which takes as long as all the rest of torch.
            apart.append(torch.compiler.disable(function))  # type: ignore[no-untyped-call]  # torch's
        return apart[0](*arguments, **named)

    return cast(Function, call)


def mark_dynamic(tensor: Tensor, dimension: int) -> None:
    """Declare to the compiler that the size of a dimension varies between calls."""
    marker = _attribute("torch._dynamo", "maybe_mark_dynamic")
    if marker is not None:
        marker(tensor, dimension)


@cache
def cpu_has(feature: CpuFeature) -> bool:
    """Return whether the processor has these instructions, as far as torch reports."""
    probe = getattr(torch.cpu, f"_is_{feature}_supported", None)
    return probe is not None and bool(probe())


def _operator(namespace: str, name: str) -> Kernel | None:
    """Return an operator of torch by name."""
    found: Kernel | None = getattr(getattr(torch.ops, namespace), name, None)
    return found


def _attribute(module: str, name: str) -> Kernel | None:
    """Return an attribute of a module that may be missing, or may lack it."""
    try:
        found: Kernel | None = getattr(import_module(module), name, None)
    except ImportError:
        return None
    return found
