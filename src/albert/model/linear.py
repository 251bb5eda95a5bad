"""Linear layers whose parameters are prepared once and used by every layer that shares them.

`prepare` makes them ready for one forward pass, with or without gradient; `prepare_for_inference` for all
that follow, as long as the weights do not change. Preparing casts for autocast and, in float32 on a CPU,
picks the kernel: oneDNN's runs at 100 GFLOP/s a core where the BLAS behind `F.linear` runs at 75 (AMD EPYC).
Forward and the gradient of the input go through it; the latter needs the transposed weight, one copy for all
layers.

In int8 a weight has 8 bits and one scale per output channel. Each row of the input is quantised on arrival
with a scale of its own, so a row's result does not depend on the rest of the batch. Inputs have 7 bits where
the processor adds products in 16 bits (AVX2 without VNNI), because products of 8 bits overflow there by up to
a hundredth of their sum; 8 bits elsewhere. The kernel is oneDNN's, on plain int8 tensors: torch's quantised
tensors are deprecated (pytorch issue 184982), and `torch._int_mm` is a hundred times slower without VNNI.

A layer that is more than a plain `nn.Linear`, because an adapter, a quantised layer, a parametrization or a
hook took its place, is called as the module that it is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, library, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules import module as module_hooks

from albert.choices import Dtype
from albert.errors import ConfigError
from albert.model import kernels

_ROWS_PACKED_FOR = 256
_SMALLEST_SCALE = 1e-12
_PLAIN_TENSORS = (nn.Parameter, Tensor)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = tuple(f"_global{hooks}" for hooks in _HOOKS)


class LinearWeights(NamedTuple):
    """The parameters of one linear layer, ready for use."""

    weight: Tensor
    """(out, in)"""
    bias: Tensor
    """(out,)"""
    transposed: Tensor | None
    """The weight as (in, out), for the gradient of the input; None with `F.linear`, or without gradient."""
    onednn: bool = False
    """Whether oneDNN's kernel is used instead of `F.linear`."""


class PackedWeights(NamedTuple):
    """A float32 layer prepared for inference, in the order in which oneDNN reads it."""

    weight: Tensor
    """(out, in), opaque."""
    bias: Tensor
    """(out,)"""


class QuantizedWeights(NamedTuple):
    """An int8 layer prepared for inference."""

    packed: Tensor
    """The int8 weight in the order in which oneDNN reads it, opaque."""
    scales: Tensor
    """Value of one int8 step, by output channel, (out,), float32."""
    zeros: Tensor
    """The int8 value that stands for 0, by output channel, (out,), int32: all zeros."""
    bias: Tensor
    """(out,), float32."""


class Called(NamedTuple):
    """Layers that are not plain: nothing is prepared, they are called."""

    modules: tuple[nn.Module, ...]
    """Their outputs stand one after the other."""


PreparedWeights = LinearWeights | PackedWeights | QuantizedWeights | Called


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the type of matrix products: autocast's inside autocast, else that of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def is_plain(module: nn.Module) -> bool:
    """Return whether calling `module` does nothing but multiply by its own weight and add its bias."""
    # Libraries put adapters in place of a layer, change its class (parametrizations), replace its method, add
    # hooks, or store another kind of tensor.
    return (
        type(module) is nn.Linear
        and "forward" not in module.__dict__
        and not any(module.__dict__[hooks] for hooks in _HOOKS)
        and all(type(parameter) in _PLAIN_TENSORS for parameter in (module.weight, module.bias))
    )


def all_plain(modules: Sequence[nn.Module]) -> TypeGuard[Sequence[nn.Linear]]:
    """Return whether all of `modules` are plain, and no hook is set for all modules of the process."""
    return not any(getattr(module_hooks, hooks) for hooks in _GLOBAL_HOOKS) and all(map(is_plain, modules))


def prepare(linears: tuple[nn.Module, ...], dtype: torch.dtype) -> LinearWeights | Called:
    """Return the parameters of `linears`, joined to one layer and cast to `dtype`, for one forward pass."""
    if not all_plain(linears):
        return Called(linears)
    weight, bias = _joined(linears)  # (out, in), (out,)
    weight = weight.to(dtype)
    onednn = _prefers_onednn(weight)
    needs_gradient = onednn and torch.is_grad_enabled()
    transposed = weight.detach().t().contiguous() if needs_gradient else None  # (out, in) -> (in, out)
    return LinearWeights(weight, bias.to(dtype), transposed, onednn)


@torch.no_grad()
def prepare_for_inference(linears: tuple[nn.Module, ...], dtype: Dtype) -> PreparedWeights:
    """Return the current parameters of `linears`, joined, ready for any number of passes without gradient.

    Raises:
        ConfigError: This device cannot compute in int8, or a layer is not a plain one.
    """
    if not all_plain(linears):
        if dtype == "int8":
            changed = next((module for module in linears if not is_plain(module)), linears[0])
            raise ConfigError(
                f"a layer was replaced or has hooks ({type(changed).__name__}), which has no int8 form; "
                "merge the adapter into the model first, or use float32 or bf16"
            )
        return Called(linears)
    weight, bias = (part.detach() for part in _joined(linears))
    if dtype == "bf16":
        return LinearWeights(weight.bfloat16(), bias.bfloat16(), None)
    if dtype == "int8":
        check_int8(weight.device)
        return _quantize(weight.float(), bias.float())
    onednn, reorder = _prefers_onednn(weight), kernels.onednn_order()
    if onednn and reorder is not None:
        return PackedWeights(reorder(weight, _ROWS_PACKED_FOR), bias)
    return LinearWeights(weight, bias, None, onednn)


def check_int8(device: torch.device) -> None:
    """Check that linear layers on `device` can compute in int8.

    Raises:
        ConfigError: They cannot; the message says what to use instead.
    """
    if device.type != "cpu":
        raise ConfigError(
            f"--dtype int8 is for CPUs, the model is on {device}; use bf16 there, or --device cpu"
        )
    if kernels.onednn_int8() is None or not kernels.cpu_has("avx2"):
        raise ConfigError("--dtype int8 needs a processor with AVX2 and a torch with oneDNN; use float32")


def linear(x: Tensor, weights: PreparedWeights) -> Tensor:
    """Return the product (N, out) of `x` (N, in) and a prepared layer."""
    if isinstance(weights, Called):
        parts = [module(x) for module in weights.modules]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
    if isinstance(weights, QuantizedWeights):
        return _quantized_product(x, weights)
    if isinstance(weights, PackedWeights):
        return _product(x, weights.weight, weights.bias)
    if not weights.onednn:
        return F.linear(x, weights.weight, weights.bias)
    if weights.transposed is None:
        return _product(x, weights.weight, weights.bias)
    # torch leaves it untyped
    return _OneDnnLinear.apply(x, *weights[:3])  # type: ignore[no-untyped-call]


def _joined(linears: Sequence[nn.Linear]) -> tuple[Tensor, Tensor]:
    """Return the weight (out, in) and bias (out,) of `linears`, their outputs one after the other."""
    if len(linears) == 1:
        return linears[0].weight, linears[0].bias
    return torch.cat([part.weight for part in linears]), torch.cat([part.bias for part in linears])


def _quantize(weight: Tensor, bias: Tensor) -> QuantizedWeights:
    """Return a layer in int8; every output channel spans -127 to 127."""
    int8 = kernels.onednn_int8()
    assert int8 is not None  # check_int8
    scales = weight.abs().amax(1).clamp(min=_SMALLEST_SCALE) / 127  # (out, in) -> (out,)
    packed = int8.prepack((weight / scales[:, None]).round().to(torch.int8), None)
    return QuantizedWeights(packed, scales, torch.zeros(len(scales), dtype=torch.int32), bias)


def _quantized_product(x: Tensor, weights: QuantizedWeights) -> Tensor:
    """Return the product (N, out) of `x` (N, in) and a layer in int8."""
    int8 = kernels.onednn_int8()
    assert int8 is not None  # check_int8
    largest = torch.linalg.vector_norm(x, float("inf"), dim=1, keepdim=True)  # (N, in) -> (N, 1)
    largest.clamp_(min=_SMALLEST_SCALE)
    levels = 127 if kernels.cpu_has("vnni") else 63
    # The conversion truncates, so adding .5 rounds.
    steps = (x * (levels / largest)).add_(levels + 1.5).to(torch.uint8)  # (N, in)
    packed, scales, zeros, bias = weights
    product = int8.product(
        steps, 1 / levels, levels + 1, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return torch.addcmul(bias, product, largest)  # (N, out)


class _OneDnnLinear(torch.autograd.Function):
    """The product by oneDNN's kernel, with its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, transposed: Tensor) -> Tensor:
        ctx.save_for_backward(x, transposed)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, transposed = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        gradient = gradient.contiguous()
        return (
            _product(gradient, transposed, None) if needs_x else None,
            gradient.t() @ x if needs_weight else None,  # (out, N) @ (N, in) -> (out, in)
            gradient.sum(0) if needs_bias else None,  # (N, out) -> (out,)
            None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return `x` (N, in) times the transpose of `weight` (out, in), plus `bias`, by oneDNN."""
    if torch.compiler.is_compiling():
        return _opaque_product(x, weight, bias)
    product = kernels.onednn_product()
    assert product is not None  # _prefers_onednn
    found: Tensor = product(x, weight, bias)
    return found


# Inductor accepts oneDNN's operator with constant weights only; an operator it does not know it just calls.
@library.custom_op("albert::onednn_product", mutates_args=())
def _opaque_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product = kernels.onednn_product()
    assert product is not None  # _prefers_onednn
    found: Tensor = product(x, weight, bias)
    return found


@_opaque_product.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ARG001  # the operator's signature
    return x.new_empty(x.shape[0], weight.shape[0])


def _prefers_onednn(weight: Tensor) -> bool:
    """Return whether oneDNN's float32 kernel is used; a graph that is compiled whole chooses for itself."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and kernels.onednn_product() is not None
        and not torch.compiler.is_compiling()
    )
