"""Attention by other kernels than the CPU's: what they are given, and that they change no number."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from albert.model import attention
from albert.model.attention import attend
from albert.model.packing import Packing

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)


def packed(lengths: list[int], *, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Packing]:
    torch.manual_seed(0)
    packing = Packing.of_lengths(torch.tensor(lengths))
    return torch.randn(packing.num_rows, 3, 2, 8).to(dtype), packing


def formula(query: Tensor, key: Tensor, value: Tensor, where: Tensor, longest: int) -> Tensor:
    """Attention (R, A, D) between boundaries (B + 1,), as the kernels for GPUs promise it."""
    assert where.dtype == torch.int32
    parts = []
    for start, end in zip(where[:-1].tolist(), where[1:].tolist(), strict=True):
        assert 0 < end - start <= longest
        weights = torch.einsum("qad,kad->aqk", query[start:end], key[start:end]) / query.shape[-1] ** 0.5
        parts.append(torch.einsum("aqk,kad->qad", weights.softmax(-1), value[start:end]))
    return torch.cat(parts)


def by_torch(query: Tensor, key: Tensor, value: Tensor, *where: Any) -> Tensor:
    assert torch.equal(where[0], where[1])
    assert where[2] == where[3]
    return formula(query, key, value, where[0], where[2])


def by_flash_attn(qkv: Tensor, where: Tensor, longest: int, *, dropout_p: float) -> Tensor:
    assert dropout_p == 0.0
    return formula(*qkv.unbind(1), where, longest)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts the formula in the place of a kernel."""

    def put(name: str, kernel: Callable[..., Tensor] | None) -> None:
        monkeypatch.setattr(attention, name, lambda: kernel)

    return put


@given(LENGTHS)
def test_boundaries_cover_all_rows_and_no_piece_of_filling_is_longest(lengths: list[int]) -> None:
    _, packing = packed(lengths)
    sizes = packing.boundaries.diff().tolist()
    assert sizes[: len(lengths)] == lengths
    assert sum(sizes) == packing.num_rows
    assert all(0 < size <= max(lengths) for size in sizes)


@pytest.mark.parametrize(
    ("way", "kernel", "formula"),
    [
        ("_attend_by_torch", "_torch_kernel", by_torch),
        ("_attend_by_flash_attn", "_flash_attn_kernel", by_flash_attn),
    ],
)
def test_kernels_for_any_lengths_are_given_what_they_ask_for(
    stand_in: Callable[..., None], way: str, kernel: str, formula: Callable[..., Tensor]
) -> None:
    stand_in(kernel, formula)
    for lengths in ([3], [8, 8], [5, 40, 1, 17], [2] * 37):
        qkv, packing = packed(lengths)
        found = getattr(attention, way)(qkv, packing, 0.0)
        expected = attend(qkv, packing, dropout_prob=0.0)
        assert found.shape == expected.shape
        assert found.isfinite().all()
        torch.testing.assert_close(found[: sum(lengths)], expected[: sum(lengths)], atol=1e-6, rtol=0)


@given(LENGTHS)
def test_the_padded_grid_gives_the_same_to_a_millionth(lengths: list[int]) -> None:
    qkv, packing = packed(lengths)
    found = attention._attend_padded(qkv, packing, 0.0)
    expected = attend(qkv, packing, dropout_prob=0.0)
    torch.testing.assert_close(found[: sum(lengths)], expected[: sum(lengths)], atol=1e-6, rtol=0)


def test_gradients_by_runs_are_those_of_the_padded_grid() -> None:
    qkv, packing = packed([5, 5, 40, 1, 17])
    real = torch.arange(packing.num_rows)[:, None] < packing.num_tokens
    weight = torch.randn(packing.num_rows, 16) * real
    gradients = []
    for way in (attention._attend_padded, attention._attend_one_by_one):
        leaf = qkv.clone().requires_grad_()
        (way(leaf, packing, 0.0) * weight).sum().backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=0)


class FakeGpu:
    """Queries, keys and values as the choice of a kernel sees them."""

    def __init__(self, head: int = 64, dtype: torch.dtype = torch.bfloat16) -> None:
        self.shape, self.dtype, self.device = (8, 3, 12, head), dtype, torch.device("cuda", 0)


def test_a_gpu_attends_without_padding_wherever_a_kernel_can(
    monkeypatch: pytest.MonkeyPatch, stand_in: Callable[..., None]
) -> None:
    capability = (9, 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    stand_in("_torch_kernel", by_torch)
    stand_in("_flash_attn_kernel", None)

    def chosen(dropout: float = 0.0, **changes: Any) -> Any:
        return attention._kernel_for(FakeGpu(**changes), dropout)  # type: ignore[arg-type]

    assert chosen() is attention._attend_by_torch
    assert chosen(0.1) is None  # torch's does not drop out
    assert chosen(dtype=torch.float32) is None
    assert chosen(head=26) is None
    stand_in("_flash_attn_kernel", by_flash_attn)
    assert chosen(0.1) is attention._attend_by_flash_attn
    stand_in("_torch_kernel", None)
    assert chosen() is attention._attend_by_flash_attn
    capability = (7, 5)
    assert chosen() is None


def test_this_torch_names_its_kernel_as_expected() -> None:
    from torch.nn.attention import varlen

    asked = list(inspect.signature(varlen.varlen_attn).parameters)[:7]
    assert asked == ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]
    assert attention._found("torch.nn.attention.varlen", "varlen_attn") is varlen.varlen_attn
    assert (attention._torch_kernel() is None) != torch.backends.cuda.is_flash_attention_available()


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
