"""The training loop: accumulation, weights of parts, clipping, non-finite numbers, starting in the middle."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from albert.errors import ConfigError, RunError
from albert.model.losses import LossSum, cross_entropy_sum
from albert.optim.optimizers import AdamW, make_optimizer
from albert.training.loop import MAX_SKIPPED_STEPS, Step, evaluate, train
from albert.training.settings import LoopSettings


@dataclass(frozen=True)
class Points:
    """Items of two parts; only some items have the second part, as with sentence order."""

    input_ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    bonus: NDArray[np.int64]


class Toy:
    """Two cross-entropies over different numbers of items, the second with a weight."""

    weight = 1.0

    def counts(self, batch: Points) -> dict[str, int]:
        return {"first": len(batch.labels), "second": int((batch.bonus >= 0).sum())}

    def sums(self, model: Any, batch: Points) -> dict[str, LossSum]:
        logits = model(torch.from_numpy(batch.input_ids))
        return {
            "first": cross_entropy_sum(logits, torch.from_numpy(batch.labels)),
            "second": replace(cross_entropy_sum(logits, torch.from_numpy(batch.bonus)), weight=self.weight),
        }


class Broken(Toy):
    """A loss that is not a number in some calls."""

    def __init__(self, broken_calls: set[int]) -> None:
        self.broken_calls, self.calls = broken_calls, 0

    def sums(self, model: Any, batch: Points) -> dict[str, LossSum]:
        sums = super().sums(model, batch)
        self.calls += 1
        if self.calls in self.broken_calls:
            return {name: LossSum(part.total * float("nan"), part.correct) for name, part in sums.items()}
        return sums


def settings_of(**changes: Any) -> LoopSettings:
    """Settings in float32, where sums can be compared precisely."""
    return LoopSettings(**{"precision": "float32", **changes})


def make_model() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Embedding(11, 6), nn.Dropout(0.0), nn.Linear(6, 5))


def make_batches(sizes: list[int]) -> Iterator[Points]:
    random = np.random.default_rng(0)
    for size in sizes:
        bonus = random.integers(0, 5, size)
        bonus[random.random(size) < 0.6] = -100
        yield Points(random.integers(0, 11, size), random.integers(0, 5, size), bonus)


def joined(batches: list[Points]) -> Points:
    return Points(
        *(np.concatenate([getattr(b, n) for b in batches]) for n in ("input_ids", "labels", "bonus"))
    )


def run(model: nn.Module, batches: list[Points], settings: LoopSettings, **changes: Any) -> list[Step]:
    optimizer = changes.pop("optimizer", None) or make_optimizer("adamw", model, weight_decay=0.01)
    arguments = {"objective": Toy(), "learning_rate": lambda _: 0.1, **changes}
    objective = arguments.pop("objective")
    return list(train(model, batches, objective, optimizer, settings=settings, **arguments))


def test_accumulation_equals_one_large_batch() -> None:
    micro = list(make_batches([4, 4, 4, 4, 4, 4]))
    whole = [joined(micro[:3]), joined(micro[3:])]
    accumulated, at_once = make_model(), make_model()
    gentle = {"learning_rate": lambda _: 0.01}
    steps = run(accumulated, micro, settings_of(max_steps=2, batch_size=12, micro_batch_size=4), **gentle)
    reference = run(at_once, whole, settings_of(max_steps=2, batch_size=12), **gentle)
    for found, expected in zip(steps, reference, strict=True):
        assert found.loss == pytest.approx(expected.loss, abs=1e-6)
        assert found.parts["second"].accuracy == pytest.approx(expected.parts["second"].accuracy, abs=1e-6)
        assert found.tokens == expected.tokens == 12
    for name, parameter in accumulated.named_parameters():
        torch.testing.assert_close(parameter, at_once.get_parameter(name), atol=1e-6, rtol=0)


def test_each_part_is_averaged_over_its_own_items() -> None:
    model, (batch,) = make_model(), list(make_batches([7]))
    (step,) = run(model, [batch], settings_of(max_steps=1, batch_size=7), learning_rate=lambda _: 0.0)
    logits = make_model()(torch.from_numpy(batch.input_ids))
    first = nn.functional.cross_entropy(logits, torch.from_numpy(batch.labels))
    second = nn.functional.cross_entropy(logits, torch.from_numpy(batch.bonus))
    assert step.parts["first"].loss == pytest.approx(first.item(), abs=1e-6)
    assert step.parts["second"].loss == pytest.approx(second.item(), abs=1e-6)
    assert step.loss == pytest.approx((first + second).item(), abs=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.25, 3.0])
def test_a_weight_scales_the_gradient_of_its_part_and_not_its_score(weight: float) -> None:
    model, (batch,) = make_model(), list(make_batches([7]))
    objective = Toy()
    objective.weight = weight
    seen: list[Tensor] = []

    class Spy(AdamW):
        """Keeps the gradients of a step."""

        def step(self, closure: None = None) -> None:
            seen.extend(p.grad.clone() for group in self.param_groups for p in group["params"])

    (step,) = run(
        model,
        [batch],
        settings_of(max_steps=1, batch_size=7),
        objective=objective,
        optimizer=Spy(model.parameters()),
        max_grad_norm=1e9,
    )
    logits = model(torch.from_numpy(batch.input_ids))
    first = nn.functional.cross_entropy(logits, torch.from_numpy(batch.labels))
    second = nn.functional.cross_entropy(logits, torch.from_numpy(batch.bonus))
    expected = torch.autograd.grad(first + weight * second, list(model.parameters()))
    torch.testing.assert_close(seen, list(expected), atol=1e-6, rtol=1e-5)
    assert step.parts["second"].loss == pytest.approx(second.item(), abs=1e-6)
    assert step.loss == pytest.approx((first + weight * second).item(), abs=1e-6)


def test_gradients_are_clipped_to_the_global_norm() -> None:
    seen: list[float] = []

    class Spy(AdamW):
        """Keeps the norm of the gradients of a step."""

        def step(self, closure: None = None) -> None:
            gradients = [p.grad for group in self.param_groups for p in group["params"]]
            seen.append(torch.cat([g.flatten() for g in gradients]).norm().item())

    model = make_model()
    (step,) = run(
        model,
        list(make_batches([4])),
        settings_of(max_steps=1, batch_size=4),
        optimizer=Spy(model.parameters()),
        max_grad_norm=0.01,
    )
    assert step.grad_norm > 0.01
    assert seen == [pytest.approx(0.01, rel=1e-5)]


def test_a_non_finite_loss_changes_neither_weights_nor_moments_and_training_continues() -> None:
    batches = list(make_batches([4, 4, 4]))
    model = make_model()
    states: list[list[Tensor]] = []
    optimizer = make_optimizer("lamb", model, weight_decay=0.01)
    steps = []
    for step in train(
        model,
        batches,
        Broken({2}),
        optimizer,
        learning_rate=lambda _: 0.1,
        settings=settings_of(max_steps=3, batch_size=4),
    ):
        steps.append(step)
        moments = [t for state in optimizer.state.values() for t in state.values()]
        states.append([t.detach().clone() for t in [*model.parameters(), *moments]])
    assert [step.skipped for step in steps] == [False, True, False]
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(states[1], states[2], strict=True))


def test_many_non_finite_losses_end_the_run_with_advice_and_unchanged_weights() -> None:
    model = make_model()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    settings = settings_of(max_steps=50, batch_size=4)
    with pytest.raises(RunError, match="lower --learning-rate"):
        run(model, list(make_batches([4] * 50)), settings, objective=Broken(set(range(1, 51))))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert MAX_SKIPPED_STEPS < 50


def test_training_ends_with_its_batches() -> None:
    assert len(run(make_model(), list(make_batches([4] * 3)), settings_of(max_steps=9, batch_size=4))) == 3


def test_dropout_of_a_step_depends_only_on_its_number() -> None:
    def trained(parts: list[tuple[int, int]]) -> list[Tensor]:
        model = make_model()
        model[1] = nn.Dropout(0.5)
        batches = list(make_batches([4] * 6))
        optimizer = make_optimizer("adamw", model, weight_decay=0.01)
        for begin, end in parts:
            torch.manual_seed(123)  # Earlier random numbers must not matter.
            settings = settings_of(max_steps=end, batch_size=4, seed=5)
            run(model, batches[begin:end], settings, optimizer=optimizer, steps_done=begin)
        return list(model.parameters())

    for whole, split in zip(trained([(0, 6)]), trained([(0, 2), (2, 6)]), strict=True):
        assert torch.equal(whole, split)


def test_evaluation_averages_over_all_batches_without_dropout() -> None:
    model = make_model()
    model[1] = nn.Dropout(0.9)
    batches = list(make_batches([3, 5]))
    settings = settings_of(max_steps=1, batch_size=4)
    scores = evaluate(model, batches, Toy(), settings)
    whole = joined(batches)
    logits = make_model()(torch.from_numpy(whole.input_ids))
    expected = nn.functional.cross_entropy(logits, torch.from_numpy(whole.bonus)).item()
    assert scores["second"].loss == pytest.approx(expected, abs=1e-6)
    right = logits.argmax(-1).numpy() == whole.labels
    assert scores["first"].accuracy == pytest.approx(right.mean(), abs=1e-6)


def test_a_micro_batch_that_does_not_divide_the_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="--micro-batch-size 5 does not divide --batch-size 12"):
        LoopSettings(batch_size=12, micro_batch_size=5)


def test_bf16_follows_float32_within_its_precision() -> None:
    losses = {}
    for precision in ("float32", "bf16"):
        settings = LoopSettings(max_steps=30, batch_size=16, precision=precision)  # type: ignore[arg-type]
        losses[precision] = [step.loss for step in run(make_model(), list(make_batches([16] * 30)), settings)]
    assert np.abs(np.subtract(losses["float32"], losses["bf16"])).max() < 0.05
