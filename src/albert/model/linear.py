"""Linear maps whose parameters are prepared once and used by every layer that shares them.

`prepare` makes them ready for a forward pass, with or without gradient; `freeze` for all that follow, where
weights change no more. Preparing casts for autocast. In float32 on a CPU it also picks the kernel: oneDNN's
runs at 100 GFLOP/s a core where the BLAS that torch calls runs at 75 (AMD EPYC), so forward and the gradient
of the input go through it; for the latter it wants the transposed kernel, which sharing makes free.

In int8 a weight has 8 bits and a scale of its output channel; a row of the input is quantised when it comes,
with a scale of its own, so what a row gives does not depend on the rows beside it. Inputs have 7 bits where
the processor adds products in 16 bits (AVX2 without VNNI), which products of 8 bits overflow to a hundredth
of their sum; else 8. The kernel is oneDNN's, on plain int8 tensors: torch's quantised ones are on their way
out (pytorch issue 184982), and `torch._int_mm` is a hundred times slower without VNNI.
"""

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, library, nn
from torch.autograd.function import once_differentiable

from albert.errors import ConfigError

Dtype = Literal["float32", "bf16", "int8"]
"""Type in which frozen linear maps compute."""
_ROWS_PACKED_FOR = 256
_SMALLEST_SCALE = 1e-12


class LinearWeights(NamedTuple):
    """The parameters of one linear map, ready for use."""

    weight: Tensor
    """(out, in)"""
    bias: Tensor
    """(out,)"""
    transposed: Tensor | None
    """The kernel as (in, out), for the gradient alone; None where torch's own kernel is to be used, or no
    gradient is wanted."""
    onednn: bool = False
    """Whether oneDNN's kernel is to be used."""


class PackedWeights(NamedTuple):
    """A frozen float32 map in the order in which oneDNN reads it."""

    weight: Tensor
    """(out, in), opaque."""
    bias: Tensor
    """(out,)"""


class QuantizedWeights(NamedTuple):
    """A frozen map in int8."""

    packed: Tensor
    """The int8 kernel in the order in which oneDNN reads it, opaque."""
    scales: Tensor
    """What a step of each output channel is worth, (out,), float32."""
    zeros: Tensor
    """Zeros (out,), int32: where each channel's 0 is."""
    bias: Tensor
    """(out,), float32."""


FrozenWeights = LinearWeights | PackedWeights | QuantizedWeights


def compute_dtype(x: Tensor) -> torch.dtype:
    """Returns the type matrix products run in: autocast's inside autocast, else that of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def prepare(linears: tuple[nn.Linear, ...], dtype: torch.dtype) -> LinearWeights:
    """Returns the parameters of `linears`, their outputs below each other, cast to `dtype`."""
    weight, bias = _joined(linears)
    weight = weight.to(dtype)
    onednn = _prefers_onednn(weight)
    transposed = weight.detach().t().contiguous() if onednn and torch.is_grad_enabled() else None
    return LinearWeights(weight, bias.to(dtype), transposed, onednn)


@torch.no_grad()
def freeze(linears: tuple[nn.Linear, ...], dtype: Dtype) -> FrozenWeights:
    """Returns the parameters of `linears` as they are now, ready for any number of passes without gradient.

    Raises:
        ConfigError: int8 is not to be had here.
    """
    weight, bias = (part.detach() for part in _joined(linears))
    if dtype == "bf16":
        return LinearWeights(weight.bfloat16(), bias.bfloat16(), None)
    if dtype == "int8":
        check_int8(weight.device)
        return _quantize(weight.float(), bias.float())
    if _prefers_onednn(weight):
        return PackedWeights(torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS_PACKED_FOR), bias)
    return LinearWeights(weight, bias, None)


def check_int8(device: torch.device) -> None:
    """Checks that linear maps on `device` can compute in int8.

    Raises:
        ConfigError: They cannot.
    """
    if device.type != "cpu":
        raise ConfigError(
            f"--dtype int8 is for CPUs, the model is on {device}; use bf16 there, or --device cpu"
        )
    if not (hasattr(torch.ops.onednn, "qlinear_prepack") and torch.cpu._is_avx2_supported()):
        raise ConfigError("--dtype int8 needs a processor with AVX2 and a torch with oneDNN; use float32")


def linear(x: Tensor, weights: FrozenWeights) -> Tensor:
    """Returns `x` (N, in) through a linear map, (N, out)."""
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


def _joined(linears: tuple[nn.Linear, ...]) -> tuple[Tensor, Tensor]:
    """Returns weight and bias of `linears`, their outputs below each other."""
    if len(linears) == 1:
        return linears[0].weight, linears[0].bias
    return torch.cat([part.weight for part in linears]), torch.cat([part.bias for part in linears])


def _quantize(weight: Tensor, bias: Tensor) -> QuantizedWeights:
    """Returns the map in int8; every output channel spans -127 to 127."""
    scales = weight.abs().amax(1).clamp(min=_SMALLEST_SCALE) / 127
    packed = torch.ops.onednn.qlinear_prepack((weight / scales[:, None]).round().to(torch.int8), None)
    return QuantizedWeights(packed, scales, torch.zeros(len(scales), dtype=torch.int32), bias)


def _quantized_product(x: Tensor, weights: QuantizedWeights) -> Tensor:
    """Returns `x` (N, in) through a map in int8, (N, out); see above."""
    largest = torch.linalg.vector_norm(x, float("inf"), dim=1, keepdim=True).clamp_(min=_SMALLEST_SCALE)
    levels = 127 if torch.cpu._is_vnni_supported() else 63
    steps = (x * (levels / largest)).add_(levels + 1.5).to(torch.uint8)  # cut off, so .5 rounds
    packed, scales, zeros, bias = weights
    product = torch.ops.onednn.qlinear_pointwise(
        steps, 1 / levels, levels + 1, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return torch.addcmul(bias, product, largest)


class _OneDnnLinear(torch.autograd.Function):
    """The same map by oneDNN."""

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
            gradient.t() @ x if needs_weight else None,
            gradient.sum(0) if needs_bias else None,
            None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Returns `x` (N, in) times the transpose of `weight` (out, in), plus `bias`."""
    if torch.compiler.is_compiling():
        return _opaque_product(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


# Inductor takes oneDNN's operator with constant weights only; one that it does not know it just calls.
@library.custom_op("albert::onednn_product", mutates_args=())
def _opaque_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@_opaque_product.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ARG001  # the operator's own
    return x.new_empty(x.shape[0], weight.shape[0])


def _prefers_onednn(weight: Tensor) -> bool:
    """Tells whether oneDNN's float32 kernel is there and wanted; a graph that is compiled whole chooses."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and not torch.compiler.is_compiling()
    )
