"""Linear maps whose parameters are prepared once and used by every layer that shares them.

Preparing casts for autocast. In float32 on a CPU it also picks the kernel: oneDNN's runs at 100 GFLOP/s a
core where the BLAS that torch calls runs at 75 (AMD EPYC), so forward and the gradient of the input go
through it; for the latter it wants the transposed kernel, which sharing makes free.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, library, nn
from torch.autograd.function import once_differentiable


class LinearWeights(NamedTuple):
    """The parameters of one linear map, ready for use."""

    weight: Tensor
    """(out, in)"""
    bias: Tensor
    """(out,)"""
    transposed: Tensor | None
    """The kernel as (in, out), without gradient; None where torch's own kernel is to be used."""


def prepare(linears: tuple[nn.Linear, ...], dtype: torch.dtype) -> LinearWeights:
    """Returns the parameters of `linears`, their outputs below each other, cast to `dtype`."""
    if len(linears) == 1:
        weight: Tensor = linears[0].weight
        bias: Tensor = linears[0].bias
    else:
        weight = torch.cat(tuple(part.weight for part in linears))
        bias = torch.cat(tuple(part.bias for part in linears))
    weight = weight.to(dtype)
    transposed = weight.detach().t().contiguous() if _prefers_onednn(weight) else None
    return LinearWeights(weight, bias.to(dtype), transposed)


def linear(x: Tensor, weights: LinearWeights) -> Tensor:
    """Returns `x` (N, in) through a linear map, (N, out)."""
    if weights.transposed is None:
        return F.linear(x, weights.weight, weights.bias)
    return _OneDnnLinear.apply(x, *weights)  # type: ignore[no-untyped-call]  # torch leaves it untyped


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
