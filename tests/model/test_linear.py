"""Prepared linear layers against torch's own: values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from albert.errors import ConfigError
from albert.model.linear import linear, prepare, prepare_for_inference


@pytest.mark.parametrize("rows", [1, 7, 200])
def test_a_prepared_layer_equals_torchs_with_all_gradients(rows: int) -> None:
    torch.manual_seed(0)
    parts = (nn.Linear(12, 20), nn.Linear(12, 8))
    x = torch.randn(rows, 12, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    expected = torch.cat([part(twin) for part in parts], dim=1)
    found = linear(x, prepare(parts, torch.float32))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    upstream = torch.randn_like(found)
    parameters = [p for part in parts for p in part.parameters()]
    theirs = torch.autograd.grad(expected, [twin, *parameters], upstream)
    ours = torch.autograd.grad(found, [x, *parameters], upstream)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-5)


def test_parameters_without_requires_grad_get_no_gradient() -> None:
    part = nn.Linear(5, 3).requires_grad_(requires_grad=False)
    x = torch.randn(4, 5, requires_grad=True)
    linear(x, prepare((part,), torch.float32)).sum().backward()
    assert part.weight.grad is None
    torch.testing.assert_close(x.grad, part.weight.sum(0).expand(4, 5))


def test_a_layer_cast_to_bf16_computes_in_bf16() -> None:
    part = nn.Linear(5, 3)
    x = torch.randn(4, 5).bfloat16()
    found = linear(x, prepare((part,), torch.bfloat16))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, F.linear(x, part.weight.bfloat16(), part.bias.bfloat16()))


def outputs(parts: tuple[nn.Linear, ...], x: torch.Tensor) -> torch.Tensor:
    return torch.cat([part(x) for part in parts], dim=1)


@pytest.mark.parametrize("rows", [1, 7, 200])
def test_a_layer_prepared_for_inference_equals_torchs(rows: int) -> None:
    torch.manual_seed(0)
    parts = (nn.Linear(12, 20), nn.Linear(12, 8))
    x = torch.randn(rows, 12)
    with torch.no_grad():
        found = linear(x, prepare_for_inference(parts, "float32"))
        torch.testing.assert_close(found, outputs(parts, x), atol=1e-6, rtol=0)
        torch.testing.assert_close(found, linear(x, prepare(parts, torch.float32)), atol=1e-6, rtol=0)


@torch.no_grad()
def test_errors_of_int8_are_below_its_steps_for_channels_and_rows_of_any_size() -> None:
    torch.manual_seed(0)
    part = nn.Linear(64, 48)
    part.weight.mul_(torch.logspace(-4, 2, 48)[:, None])
    x = torch.randn(30, 64) * torch.logspace(-3, 3, 30)[:, None]
    found = linear(x, prepare_for_inference((part,), "int8")) - part.bias
    expected = x @ part.weight.t()
    # Each of 64 products is off by half a step of the input (1/63 of the row) and of the weight (1/127).
    largest = x.abs().amax(1, keepdim=True) * part.weight.abs().amax(1)
    assert ((found - expected).abs() <= 64 * largest * (0.5 / 63 + 0.5 / 127 + 1e-4)).all()
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).median() < 0.02
    assert ((found - expected).norm(dim=0) / expected.norm(dim=0)).median() < 0.02


@torch.no_grad()
def test_sums_in_int8_do_not_overflow() -> None:
    part = nn.Linear(3072, 8)
    part.weight.fill_(0.5)
    part.bias.zero_()
    x = torch.ones(3, 3072)
    weights = prepare_for_inference((part,), "int8")
    torch.testing.assert_close(linear(x, weights), torch.full((3, 8), 1536.0))
    torch.testing.assert_close(linear(-x, weights), torch.full((3, 8), -1536.0))


@torch.no_grad()
def test_a_row_in_int8_does_not_depend_on_the_rest_of_the_batch() -> None:
    torch.manual_seed(0)
    weights = prepare_for_inference((nn.Linear(40, 24),), "int8")
    x = torch.randn(9, 40)
    alone = torch.cat([linear(row[None], weights) for row in x])
    torch.testing.assert_close(linear(x, weights), alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(linear(torch.cat([x, 1e4 * x]), weights)[:9], alone, atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_row_and_a_channel_of_zeros_stay_finite_in_int8() -> None:
    part = nn.Linear(8, 4)
    part.weight[1] = 0
    found = linear(torch.zeros(3, 8), prepare_for_inference((part,), "int8"))
    torch.testing.assert_close(found, part.bias.expand(3, 4))


def test_int8_is_refused_off_the_cpu() -> None:
    with pytest.raises(ConfigError, match="--dtype int8 is for CPUs, the model is on meta"):
        prepare_for_inference((nn.Linear(4, 4, device="meta"),), "int8")
