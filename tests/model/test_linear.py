"""Prepared linear maps against torch's own, values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from albert.model.linear import linear, prepare


@pytest.mark.parametrize("rows", [1, 7, 200])
def test_a_prepared_map_equals_torch_s_with_all_gradients(rows: int) -> None:
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


def test_frozen_parameters_get_no_gradient() -> None:
    part = nn.Linear(5, 3).requires_grad_(requires_grad=False)
    x = torch.randn(4, 5, requires_grad=True)
    linear(x, prepare((part,), torch.float32)).sum().backward()
    assert part.weight.grad is None
    torch.testing.assert_close(x.grad, part.weight.sum(0).expand(4, 5))


def test_a_map_cast_to_bf16_computes_in_bf16() -> None:
    part = nn.Linear(5, 3)
    x = torch.randn(4, 5).bfloat16()
    found = linear(x, prepare((part,), torch.bfloat16))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, F.linear(x, part.weight.bfloat16(), part.bias.bfloat16()))
