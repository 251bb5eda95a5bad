"""The losses over the vocabulary, computed in slices of rows, against the plain computation."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from albert.model import losses as module
from albert.model.losses import Projection, VocabularyLoss, distillation_loss, vocabulary_loss

VOCAB_SIZE, WIDTH, ROWS, LABELS = 11, 6, 16, 13


@pytest.fixture(autouse=True, params=[5, 1024])
def rows_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A few rows at a time, the last of them only filling, and all at once."""
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


def test_under_autocast_it_is_as_exact_as_the_plain_computation() -> None:
    parts, labels = inputs(torch.float32)
    exact = F.cross_entropy(plain(parts, labels), labels, reduction="sum")
    with torch.autocast("cpu", torch.bfloat16):
        found = vocabulary_loss(*parts, labels)
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(found.total, exact, rtol=0.02, atol=0)
    for value, other in zip(gradients(found.total, parts), gradients(exact, parts), strict=True):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, other, rtol=0.05, atol=0.15)


def test_inputs_that_need_no_gradient_get_none() -> None:
    parts, labels = inputs()
    parts[1] = parts[1].detach()
    vocabulary_loss(*parts, labels).total.backward()  # type: ignore[no-untyped-call]
    assert parts[1].grad is None
    assert parts[0].grad is not None


def test_without_masked_tokens_the_loss_is_0() -> None:
    parts, labels = inputs()
    found = vocabulary_loss(parts[0][:0], parts[1], parts[2], labels[:0])
    found.total.backward()  # type: ignore[no-untyped-call]
    assert found.total == 0
    assert len(found.losses) == len(found.correct) == 0
    assert parts[1].grad is not None
    assert not parts[1].grad.any()


def teacher_inputs(dtype: torch.dtype = torch.float64) -> Projection:
    """Return the factors of a teacher whose states are wider."""
    torch.manual_seed(1)
    shapes = ((ROWS, WIDTH + 3), (VOCAB_SIZE, WIDTH + 3), (VOCAB_SIZE,))
    return Projection(*(torch.randn(*shape, dtype=dtype) for shape in shapes))


def distil(parts: list[Tensor], temperature: float) -> VocabularyLoss:
    teacher = teacher_inputs(parts[0].dtype)
    return distillation_loss(Projection(*parts), teacher, LABELS, temperature=temperature)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_is_torchs_divergence_with_its_gradients(temperature: float) -> None:
    parts, labels = inputs()
    found = distil(parts, temperature)
    student, teacher = plain(parts, labels), plain(list(teacher_inputs()), labels)
    losses = temperature**2 * F.kl_div(
        (student / temperature).log_softmax(-1),
        (teacher / temperature).log_softmax(-1),
        reduction="none",
        log_target=True,
    ).sum(-1)
    torch.testing.assert_close(found.losses, losses.detach())
    torch.testing.assert_close(found.total, losses.sum())
    assert torch.equal(found.correct, student.argmax(-1) == teacher.argmax(-1))
    torch.testing.assert_close(gradients(found.total, parts), gradients(losses.sum(), parts))


def test_distillation_without_gradient_is_the_same() -> None:
    parts, _ = inputs()
    with torch.no_grad():
        found = distil(parts, 2.0)
    for value, other in zip(found, distil(parts, 2.0), strict=True):
        torch.testing.assert_close(value, other)


def test_a_large_temperature_compares_logits_by_squares() -> None:
    parts, labels = inputs()
    difference = plain(parts, labels) - plain(list(teacher_inputs()), labels)
    expected = difference.var(-1, correction=0).sum() / 2
    torch.testing.assert_close(distil(parts, 1e4).total, expected, rtol=1e-3, atol=0)


def test_distillation_under_autocast_follows_float32_within_its_precision() -> None:
    parts, _ = inputs(torch.float32)
    exact = distil(parts, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        found = distil(parts, 1.0)
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(found.total, exact.total, rtol=0.03, atol=0)


@pytest.mark.parametrize("kind", ["labels", "teacher"])
def test_logits_of_more_rows_than_one_slice_never_exist(rows_at_once: int, kind: str) -> None:
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
        found = distil(parts, 1.0) if kind == "teacher" else vocabulary_loss(*parts, labels)
        found.total.backward()  # type: ignore[no-untyped-call]
    # A transposed table has as many rows as the states have columns.
    assert most == max(WIDTH + 3 * (kind == "teacher"), min(rows_at_once, ROWS))
