"""Every way to attend gives the numbers of the CPU's way, and each is chosen where it is possible."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from albert.model import kernels
from albert.model.attention import Way, attend, fastest_way
from albert.model.packing import Packing

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)
EXAMPLES = ([3], [8, 8], [5, 40, 1, 17], [2] * 37)
WAYS = get_args(Way)


def packed(lengths: list[int], *, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Packing]:
    torch.manual_seed(0)
    packing = Packing.of_lengths(torch.tensor(lengths))
    return torch.randn(packing.num_rows, 3, 2, 8).to(dtype), packing


def formula(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """Attention (N, A, D) between boundaries (B + 1,), as the kernels for GPUs define it."""
    assert bounds.dtype == torch.int32
    parts = []
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        assert 0 < end - start <= longest
        weights = torch.einsum("qad,kad->aqk", query[start:end], key[start:end]) / query.shape[-1] ** 0.5
        parts.append(torch.einsum("aqk,kad->qad", weights.softmax(-1), value[start:end]))
    return torch.cat(parts)


def by_torch(query: Tensor, key: Tensor, value: Tensor, *bounds: Any) -> Tensor:
    """The formula with the arguments of torch's kernel."""
    assert torch.equal(bounds[0], bounds[1])
    assert bounds[2] == bounds[3]
    return formula(query, key, value, bounds[0], bounds[2])


def by_flash_attn(qkv: Tensor, bounds: Tensor, longest: int, *, dropout_p: float) -> Tensor:
    """The formula with the arguments of flash_attn's kernel."""
    assert dropout_p == 0.0
    return formula(*qkv.unbind(1), bounds, longest)


Install = Callable[[Any, Any], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Replace the two kernels for GPUs; None means a missing one."""

    def replace(torch_kernel: Any, flash_attn_kernel: Any) -> None:
        monkeypatch.setattr(kernels, "torch_attention", lambda: torch_kernel)
        monkeypatch.setattr(kernels, "flash_attention", lambda: flash_attn_kernel)

    return replace


@given(LENGTHS)
def test_boundaries_cover_all_rows_and_no_filling_is_longer_than_the_longest_sequence(
    lengths: list[int],
) -> None:
    _, packing = packed(lengths)
    sizes = packing.boundaries.diff().tolist()
    assert sizes[: len(lengths)] == lengths
    assert sum(sizes) == packing.num_rows
    assert all(0 < size <= max(lengths) for size in sizes)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lengths", EXAMPLES)
def test_every_way_gives_the_formula(install: Install, way: Way, lengths: list[int]) -> None:
    install(by_torch, by_flash_attn)
    qkv, packing = packed(lengths)
    found = attend(qkv, packing, dropout_prob=0.0, way=way)
    expected = formula(*qkv.unbind(1), packing.boundaries, packing.max_length).flatten(1)
    assert found.shape == expected.shape
    assert found.isfinite().all()
    torch.testing.assert_close(found[: sum(lengths)], expected[: sum(lengths)], atol=1e-6, rtol=0)


@given(LENGTHS)
def test_the_padded_grid_gives_the_numbers_of_runs_to_a_millionth(lengths: list[int]) -> None:
    qkv, packing = packed(lengths)
    found = attend(qkv, packing, dropout_prob=0.0, way="padded")
    expected = attend(qkv, packing, dropout_prob=0.0, way="by_runs")
    torch.testing.assert_close(found[: sum(lengths)], expected[: sum(lengths)], atol=1e-6, rtol=0)


def test_gradients_by_runs_are_those_of_the_padded_grid() -> None:
    qkv, packing = packed([5, 5, 40, 1, 17])
    real = torch.arange(packing.num_rows)[:, None] < packing.num_tokens
    weight = torch.randn(packing.num_rows, 16) * real
    gradients = []
    for way in ("padded", "by_runs"):
        leaf = qkv.clone().requires_grad_()
        (attend(leaf, packing, dropout_prob=0.0, way=way) * weight).sum().backward()  # type: ignore[arg-type]
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=0)


def test_a_gpu_attends_without_padding_if_a_kernel_can(
    monkeypatch: pytest.MonkeyPatch, install: Install
) -> None:
    capability = (9, 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    install(by_torch, None)

    def chosen(dtype: torch.dtype = torch.bfloat16, head_size: int = 64, dropout_prob: float = 0.0) -> Way:
        return fastest_way(torch.device("cuda", 0), dtype, head_size, dropout_prob=dropout_prob)

    assert chosen() == "by_torch"
    assert chosen(dropout_prob=0.1) == "padded"  # torch's kernel has no dropout
    assert chosen(dtype=torch.float32) == "padded"
    assert chosen(head_size=26) == "padded"
    assert chosen(head_size=264) == "padded"
    install(by_torch, by_flash_attn)
    assert chosen(dropout_prob=0.1) == "by_flash_attn"
    install(None, by_flash_attn)
    assert chosen() == "by_flash_attn"
    install(None, None)
    assert chosen() == "padded"
    install(by_torch, by_flash_attn)
    capability = (7, 5)
    assert chosen() == "padded"


def test_a_cpu_attends_by_runs_whatever_kernels_there_are(install: Install) -> None:
    install(by_torch, by_flash_attn)
    assert fastest_way(torch.device("cpu"), torch.bfloat16, 64, dropout_prob=0.0) == "by_runs"


def test_this_torch_has_the_kernel_with_the_expected_arguments() -> None:
    from torch.nn.attention import varlen

    arguments = list(inspect.signature(varlen.varlen_attn).parameters)[:7]
    assert arguments == ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]
    assert (kernels.torch_attention() is None) != torch.backends.cuda.is_flash_attention_available()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_gpu_numbers_are_those_of_the_cpu(dtype: torch.dtype) -> None:
    lengths = [5, 64, 1, 17, 17]
    qkv, packing = packed(lengths, dtype=dtype)
    expected = attend(qkv.float(), packing, dropout_prob=0.0)[: sum(lengths)]
    there = Packing.of_lengths(torch.tensor(lengths), torch.device("cuda"))
    leaf = qkv.cuda().requires_grad_()
    found = attend(leaf, there, dropout_prob=0.0)
    found[: sum(lengths)].float().square().sum().backward()
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(found[: sum(lengths)].float().cpu(), expected, atol=tolerance, rtol=tolerance)
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
