"""The objective: weighted parts, losses at several depths, and a teacher, against plain sums."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from albert.config import AlbertConfig
from albert.data.batches import PretrainingBatch
from albert.errors import ConfigError
from albert.model.language_models import AlbertForPreTraining
from albert.optim.optimizers import make_optimizer
from albert.pretraining.objective import (
    PretrainingObjective,
    Teacher,
    make_held_out_objective,
    make_objective,
)
from albert.pretraining.settings import ObjectiveSettings
from albert.training.loop import Step, evaluate, in_micro_batches, train
from albert.training.settings import LoopSettings

CONFIG = AlbertConfig(
    vocab_size=1009, embedding_size=6, hidden_size=8, num_hidden_layers=3, num_attention_heads=2,
    intermediate_size=12,
)  # fmt: skip
TEACHER = replace(CONFIG, hidden_size=12, num_hidden_layers=2)
LENGTHS = np.array([12, 70, 7, 20, 33, 9, 8, 12])


def make_model(config: AlbertConfig = CONFIG, *, seed: int = 0) -> AlbertForPreTraining:
    torch.manual_seed(seed)
    model = AlbertForPreTraining(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def batch() -> PretrainingBatch:
    draw = np.random.default_rng(0)
    ids = draw.integers(5, CONFIG.vocab_size, LENGTHS.sum())
    masked = np.sort(draw.choice(len(ids), 30, replace=False))
    order = np.arange(len(LENGTHS)) % 2
    order[3] = -100  # a single segment
    return PretrainingBatch(
        input_ids=ids,
        token_type_ids=draw.integers(0, 2, len(ids)),
        lengths=LENGTHS,
        masked_positions=masked,
        masked_labels=draw.integers(5, CONFIG.vocab_size, len(masked)),
        sentence_order_labels=order,
        word_starts=np.ones(len(ids), bool),
    )


def states_at(model: AlbertForPreTraining, batch: PretrainingBatch, depth: int) -> Tensor:
    """Return the hidden states (N, H) after some layers, as the padded entry point gives them."""
    width = int(batch.lengths.max())
    grid = torch.zeros(len(batch), width, dtype=torch.long)
    types, mask = torch.zeros_like(grid), torch.zeros_like(grid)
    starts = np.cumsum(batch.lengths) - batch.lengths
    for row, (start, length) in enumerate(zip(starts, batch.lengths, strict=True)):
        grid[row, :length] = torch.from_numpy(batch.input_ids[start : start + length])
        types[row, :length] = torch.from_numpy(batch.token_type_ids[start : start + length])
        mask[row, :length] = 1
    output = model.albert(grid, mask, types, output_hidden_states=True)
    return output.hidden_states[depth][mask.bool()]


def masked_lm_logits(model: AlbertForPreTraining, batch: PretrainingBatch, depth: int) -> Tensor:
    masked = states_at(model, batch, depth)[torch.from_numpy(batch.masked_positions)]
    return model.predictions(masked, model.albert.embeddings.word_embeddings.weight)


def masked_lm(model: AlbertForPreTraining, batch: PretrainingBatch, depth: int) -> Tensor:
    return F.cross_entropy(masked_lm_logits(model, batch, depth), torch.from_numpy(batch.masked_labels))


def sentence_order(model: AlbertForPreTraining, batch: PretrainingBatch, depth: int) -> Tensor:
    starts = torch.from_numpy(np.cumsum(batch.lengths) - batch.lengths)
    pooled = torch.tanh(model.albert.pooler(states_at(model, batch, depth)[starts]))  # type: ignore[misc]
    return F.cross_entropy(model.sop_classifier(pooled), torch.from_numpy(batch.sentence_order_labels))


def divergence(
    model: AlbertForPreTraining, teacher: AlbertForPreTraining, batch: PretrainingBatch, temperature: float
) -> Tensor:
    student = (masked_lm_logits(model, batch, 3) / temperature).log_softmax(-1)
    expected = (masked_lm_logits(teacher, batch, 2) / temperature).log_softmax(-1).detach()
    return temperature**2 * F.kl_div(student, expected, reduction="batchmean", log_target=True)


def loss_of(objective: PretrainingObjective, model: AlbertForPreTraining, batch: PretrainingBatch) -> Tensor:
    counts, sums = objective.counts(batch), objective.sums(model, batch)
    return torch.stack([part.weight * part.total / counts[name] for name, part in sums.items()]).sum()


def assert_same_gradients(model: AlbertForPreTraining, found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    parameters = list(model.parameters())
    theirs = torch.autograd.grad(expected, parameters)
    for mine, other in zip(torch.autograd.grad(found, parameters), theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def steps_of(
    model: AlbertForPreTraining,
    objective: PretrainingObjective,
    batches: Sequence[PretrainingBatch],
    *,
    micro_batches: int = 1,
    steps_done: int = 0,
    optimizer: Any = None,
) -> list[Step]:
    size = len(batches[0])
    settings = LoopSettings(
        max_steps=steps_done + len(batches),
        batch_size=size,
        micro_batch_size=size // micro_batches,
        precision="float32",
    )
    return list(
        train(
            model,
            in_micro_batches(batches, micro_batches),
            objective,
            optimizer or make_optimizer("adamw", model, weight_decay=0.01),
            learning_rate=lambda _: 1e-3,
            settings=settings,
            steps_done=steps_done,
        )
    )


def objective_of(**settings: Any) -> PretrainingObjective:
    """The objective of settings, with a teacher if they name one."""
    teacher = Teacher.of(make_model(TEACHER, seed=1)) if "teacher" in settings else None
    return make_objective(ObjectiveSettings(**settings), CONFIG, teacher)


OBJECTIVES: dict[str, dict[str, Any]] = {
    "default": {},
    "weights": {"sentence_loss_weight": 0.25},
    "depths": {"depths": (1, 2)},
    "teacher": {"teacher": "any", "teacher_weight": 0.5, "teacher_temperature": 2.0},
    "all": {"depths": (2,), "teacher": "any", "sentence_loss_weight": 3.0},
}


def test_by_default_the_loss_is_masked_lm_plus_sentence_order(batch: PretrainingBatch) -> None:
    model, objective = make_model(), objective_of()
    assert list(objective.counts(batch)) == ["masked_lm", "sentence_order"]
    expected = masked_lm(model, batch, 3) + sentence_order(model, batch, 3)
    assert_same_gradients(model, loss_of(objective, model, batch), expected)


def test_the_weight_of_sentence_order_scales_its_gradient_and_not_its_reported_loss(
    batch: PretrainingBatch,
) -> None:
    model, objective = make_model(), objective_of(sentence_loss_weight=0.25)
    order = sentence_order(model, batch, 3)
    assert_same_gradients(model, loss_of(objective, model, batch), masked_lm(model, batch, 3) + 0.25 * order)
    (step,) = steps_of(make_model(), objective, [batch])
    assert step.parts["sentence_order"].loss == pytest.approx(order.item(), rel=1e-4)
    parts = step.parts["masked_lm"].loss + 0.25 * step.parts["sentence_order"].loss
    assert step.loss == pytest.approx(parts, rel=1e-5)


def test_a_weight_of_0_leaves_the_head_without_gradient(batch: PretrainingBatch) -> None:
    model = make_model()
    loss_of(objective_of(sentence_loss_weight=0.0), model, batch).backward()  # type: ignore[no-untyped-call]
    gradient = model.sop_classifier.classifier.weight.grad
    assert gradient is not None
    assert not gradient.any()


def test_losses_at_several_depths_are_those_computed_separately_and_averaged(
    batch: PretrainingBatch,
) -> None:
    model, objective = make_model(), objective_of(depths=(1, 2), sentence_loss_weight=2.0)
    sums, counts = objective.sums(model, batch), objective.counts(batch)
    names = {3: "", 2: "@2", 1: "@1"}
    assert list(counts) == [f"{part}{n}" for n in names.values() for part in ("masked_lm", "sentence_order")]
    for depth, name in names.items():
        for part, plain in (("masked_lm", masked_lm), ("sentence_order", sentence_order)):
            found = sums[part + name].total / counts[part + name]
            torch.testing.assert_close(found, plain(model, batch, depth), atol=1e-4, rtol=1e-5)
    expected = [masked_lm(model, batch, d) + 2 * sentence_order(model, batch, d) for d in names]
    assert_same_gradients(model, loss_of(objective, model, batch), torch.stack(expected).mean())


def test_the_last_layer_may_be_named_as_a_depth(batch: PretrainingBatch) -> None:
    assert list(objective_of(depths=(3,)).counts(batch)) == ["masked_lm", "sentence_order"]


@pytest.mark.parametrize("depth", [0, 4])
def test_a_depth_that_the_model_lacks_is_refused(depth: int) -> None:
    with pytest.raises(ConfigError, match=f"--depths names layer {depth}; the model has layers 1 to 3"):
        objective_of(depths=(depth,))


def test_the_depths_of_layers_with_several_blocks_are_counted_in_layers(batch: PretrainingBatch) -> None:
    config = replace(CONFIG, inner_group_num=2)
    model = make_model(config)
    sums = make_objective(ObjectiveSettings(depths=(2,)), config).sums(model, batch)
    expected = masked_lm(model, batch, 2 * 2)  # hidden states are counted in blocks
    torch.testing.assert_close(sums["masked_lm@2"].total / len(batch.masked_labels), expected)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_a_teacher_adds_the_divergence_from_its_predictions(
    batch: PretrainingBatch, temperature: float
) -> None:
    model, teacher = make_model(), make_model(TEACHER, seed=1)
    settings = ObjectiveSettings(teacher="any", teacher_weight=0.5, teacher_temperature=temperature)
    objective = make_objective(settings, CONFIG, Teacher.of(teacher))
    plain = masked_lm(model, batch, 3) + sentence_order(model, batch, 3)
    expected = plain + 0.5 * divergence(model, teacher, batch, temperature)
    assert_same_gradients(model, loss_of(objective, model, batch), expected)
    agreement = objective.sums(model, batch)["distillation"].correct
    same = masked_lm_logits(model, batch, 3).argmax(-1) == masked_lm_logits(teacher, batch, 2).argmax(-1)
    assert agreement == same.sum()


def test_a_teacher_does_not_change_and_runs_without_dropout(batch: PretrainingBatch) -> None:
    teacher = make_model(replace(TEACHER, hidden_dropout_prob=0.5), seed=1)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    objective = make_objective(ObjectiveSettings(teacher="any"), CONFIG, Teacher.of(teacher))
    model = make_model().eval()
    first = objective.sums(model, batch)["distillation"].total.item()
    assert objective.sums(model, batch)["distillation"].total.item() == first
    steps_of(model, objective, [batch] * 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_teacher_equal_to_the_model_agrees_in_everything(batch: PretrainingBatch) -> None:
    model = make_model().eval()
    objective = make_objective(ObjectiveSettings(teacher="any"), CONFIG, Teacher.of(make_model()))
    part = objective.sums(model, batch)["distillation"]
    assert part.total.item() == pytest.approx(0, abs=1e-3)
    assert part.correct == len(batch.masked_labels)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_accumulation_equals_one_large_batch(batch: PretrainingBatch, name: str) -> None:
    at_once, accumulated = make_model(), make_model()
    batches = [batch, batch.take(0, len(batch))]
    expected = steps_of(at_once, objective_of(**OBJECTIVES[name]), batches)
    found = steps_of(accumulated, objective_of(**OBJECTIVES[name]), batches, micro_batches=4)
    for step, other in zip(found, expected, strict=True):
        assert step.loss == pytest.approx(other.loss, rel=1e-5)
        for part, score in step.parts.items():
            assert score.loss == pytest.approx(other.parts[part].loss, rel=1e-5)
            assert score.accuracy == pytest.approx(other.parts[part].accuracy)
    for mine, other_parameter in zip(accumulated.parameters(), at_once.parameters(), strict=True):
        torch.testing.assert_close(mine, other_parameter, atol=2e-5, rtol=0)


def test_held_out_scores_are_those_of_all_depths_and_of_length_classes(batch: PretrainingBatch) -> None:
    model = make_model()
    objective = make_held_out_objective(ObjectiveSettings(depths=(1,), teacher="any"), CONFIG)
    scores = evaluate(model, [batch], objective, LoopSettings(precision="float32"))
    assert set(scores) == {
        "masked_lm", "sentence_order", "masked_lm_1-64", "masked_lm_65-128", "masked_lm@1",
        "sentence_order@1",
    }  # fmt: skip
    assert scores["masked_lm@1"].loss == pytest.approx(masked_lm(model, batch, 1).item(), rel=1e-4)
    counts = objective.counts(batch)
    by_length = sum(scores[name].loss * counts[name] for name in ("masked_lm_1-64", "masked_lm_65-128"))
    assert by_length / counts["masked_lm"] == pytest.approx(scores["masked_lm"].loss, rel=1e-5)
    # Length classes repeat tokens that the loss contains already.
    assert objective.sums(model, batch)["masked_lm_1-64"].weight == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sentence_loss_weight": -1.0}, "--sentence-loss-weight is -1.0; expected 0 or more"),
        ({"teacher_weight": -0.5}, "--teacher-weight is -0.5; expected 0 or more"),
        ({"teacher_temperature": 0.0}, "--teacher-temperature is 0.0; expected more than 0"),
    ],
)
def test_weights_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ObjectiveSettings(**settings)


def test_more_parts_take_more_flops_and_only_a_teacher_takes_memory() -> None:
    flops = {name: objective_of(**o).flops(CONFIG, LENGTHS, 20) for name, o in OBJECTIVES.items()}
    assert flops["default"] == flops["weights"] < flops["depths"]
    assert flops["default"] < flops["teacher"]
    assert objective_of().teacher_bytes == 0
    parameters = sum(p.numel() for p in make_model(TEACHER).parameters())
    assert objective_of(teacher="any").teacher_bytes == 4 * parameters
