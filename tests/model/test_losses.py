"""The loss over the vocabulary that goes some rows at a time, against the plain way."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from albert.model import losses as module
from albert.model.losses import vocabulary_loss

VOCAB_SIZE, WIDTH, ROWS, LABELS = 11, 6, 16, 13


@pytest.fixture(autouse=True, params=[5, 1024])
def rows_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Some rows at a time, the last of them filling alone, and all at once."""
    monkeypatch.setattr(module, "ROWS_AT_ONCE", request.param)
    return int(request.param)


def inputs(dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], Tensor]:
    torch.manual_seed(0)
    shapes = ((ROWS, WIDTH), (VOCAB_SIZE, WIDTH), (VOCAB_SIZE,))
    parts = [torch.randn(*shape, dtype=dtype).requires_grad_() for shape in shapes]
    return parts, torch.randint(0, VOCAB_SIZE, (LABELS,))


def plain(parts: list[Tensor], labels: Tensor) -> Tensor:
    return F.linear(*parts)[: len(labels)]


def gradients(total: Tensor, parts: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(3 * total, parts)


def test_loss_gradients_and_correctness_are_those_of_all_logits() -> None:
    parts, labels = inputs()
    found, logits = vocabulary_loss(*parts, labels), plain(parts, labels)
    losses = F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(found.losses, losses.detach())
    torch.testing.assert_close(found.total, losses.sum())
    assert torch.equal(found.correct, logits.argmax(-1) == labels)
    torch.testing.assert_close(gradients(found.total, parts), gradients(losses.sum(), parts))


def test_without_gradient_it_is_the_same() -> None:
    parts, labels = inputs()
    with torch.no_grad():
        found = vocabulary_loss(*parts, labels)
    expected = vocabulary_loss(*parts, labels)
    assert not found.total.requires_grad
    for value, other in zip(found, expected, strict=True):
        assert torch.equal(value, other)


def test_under_autocast_it_is_as_exact_as_the_plain_way() -> None:
    parts, labels = inputs(torch.float32)
    exact = F.cross_entropy(plain(parts, labels), labels, reduction="sum")
    with torch.autocast("cpu", torch.bfloat16):
        found = vocabulary_loss(*parts, labels)
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(found.total, exact, rtol=0.02, atol=0)
    for value, other in zip(gradients(found.total, parts), gradients(exact, parts), strict=True):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, other, rtol=0.05, atol=0.15)


def test_what_needs_no_gradient_gets_none() -> None:
    parts, labels = inputs()
    parts[1] = parts[1].detach()
    vocabulary_loss(*parts, labels).total.backward()  # type: ignore[no-untyped-call]
    assert parts[1].grad is None
    assert parts[0].grad is not None


def test_nothing_hidden_costs_nothing() -> None:
    parts, labels = inputs()
    found = vocabulary_loss(parts[0][:0], parts[1], parts[2], labels[:0])
    found.total.backward()  # type: ignore[no-untyped-call]
    assert found.total == 0
    assert len(found.losses) == len(found.correct) == 0
    assert parts[1].grad is not None
    assert not parts[1].grad.any()


def test_logits_of_more_rows_than_go_at_once_never_exist(rows_at_once: int) -> None:
    parts, labels = inputs()
    most = 0

    class Watch(TorchDispatchMode):
        """Keeps the most rows as wide as the vocabulary that anything returned."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal most
            out = func(*args, **(kwargs or {}))
            if isinstance(out, Tensor) and out.ndim == 2 and out.shape[1] == VOCAB_SIZE:
                most = max(most, len(out))
            return out

    with Watch():
        vocabulary_loss(*parts, labels).total.backward()  # type: ignore[no-untyped-call]
    # The transposed table has as many rows as it is wide.
    assert most == max(WIDTH, min(rows_at_once, ROWS))
