"""The parts of the loss of a distillation, against plain formulas."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from albert.distillation.batches import DistillationBatch
from albert.distillation.objective import DistillationObjective, MaskedTokens, make_objective
from albert.distillation.settings import LossName, LossSettings
from albert.distillation.student import Student
from albert.model.albert_model import AlbertModel
from albert.model.language_models import AlbertForMaskedLM
from albert.model.packing import Packing
from albert.model.task_models import AlbertForSequenceClassification, AlbertForTokenClassification
from albert.training.loop import in_micro_batches
from samples.teachers import teacher_config

LENGTHS = (3, 5, 5, 9)
CONFIG = teacher_config(num_hidden_layers=3, num_hidden_groups=1)
TEACHER = teacher_config(hidden_size=64, num_attention_heads=8)


def batch_with(**outputs: torch.Tensor) -> DistillationBatch:
    draw = np.random.default_rng(0)
    count = sum(LENGTHS)
    return DistillationBatch(
        draw.integers(5, 2000, count),
        np.zeros(count, np.int64),
        np.array(LENGTHS),
        {name: value.half().numpy() for name, value in outputs.items()},
    )


def objective_of(*names: LossName, student: object = CONFIG, **settings: object) -> DistillationObjective:
    losses = LossSettings(loss=names, **settings)  # type: ignore[arg-type]
    return make_objective(
        losses, names, student, TEACHER, problem="one_class", masked=MaskedTokens([0, 1, 2, 3, 4], 4)  # type: ignore[arg-type]
    )  # fmt: skip


def encoder_student(**sizes: int) -> Student:
    torch.manual_seed(0)
    return Student(AlbertModel(CONFIG, add_pooling_layer=False), **sizes)


def states_of(student: Student, batch: DistillationBatch, depth: int = 3) -> torch.Tensor:
    ids, types = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.token_type_ids)
    packing = Packing.of_lengths(torch.from_numpy(batch.lengths))
    rows = torch.arange(len(ids))
    (x,) = student.encoder.encode_depths(ids, types, packing, rows=rows, depths=(depth,))
    return x


def means(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([part.mean(0) for part in x.split(list(LENGTHS))])


def test_vectors_are_compared_by_their_cosine() -> None:
    teacher = torch.randn(4, 24)
    batch, student = batch_with(vectors=teacher), encoder_student(vector_size=24)
    objective = objective_of("vectors")
    found = objective.sums(student, batch)["vectors"]
    expected = 1 - F.cosine_similarity(
        student.vector_map(means(states_of(student, batch))), teacher.half().float()
    )
    torch.testing.assert_close(found.total, expected.sum(), atol=1e-5, rtol=0)
    assert objective.counts(batch) == {"vectors": 4}


def test_states_are_compared_by_their_error_over_the_size_of_the_teachers() -> None:
    teacher = torch.randn(22, 64)
    batch, student = batch_with(states=teacher), encoder_student(state_size=64)
    objective = objective_of("states")
    found = objective.sums(student, batch)["states"].total / objective.counts(batch)["states"]
    exact = teacher.half().float()
    error = (student.state_map(states_of(student, batch)) - exact).square().mean() / exact.square().mean()
    torch.testing.assert_close(found, error, atol=1e-5, rtol=1e-5)


def test_similarities_compare_which_texts_are_near() -> None:
    student = encoder_student()
    batch = batch_with(vectors=means(states_of(student, batch_with())).detach())
    found = objective_of("similarities").sums(student, batch)["similarities"]
    assert found.total.item() == pytest.approx(0, abs=0.05), "a student that agrees has no loss"
    assert found.correct == 4
    other = objective_of("similarities").sums(student, batch_with(vectors=torch.randn(4, 32)))
    assert other["similarities"].total.item() > 1


def test_relations_are_those_of_minilm() -> None:
    teacher = torch.randn(22, 3 * 64)
    batch, student = batch_with(relations=teacher), encoder_student()
    found = objective_of("relations").sums(student, batch)["relations"].total
    before = states_of(student, batch, depth=2)
    block = student.encoder.encoder.layers()[-1]
    ours = [layer(before) for layer in (block.attention.query, block.attention.key, block.attention.value)]
    theirs = teacher.half().float().view(22, 3, 64).unbind(1)
    total, heads = 0.0, 4  # the largest number that divides 4 and 8
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(mine.split(list(LENGTHS)), other.split(list(LENGTHS)), strict=True):
            p, q = (
                torch.log_softmax(y @ y.transpose(1, 2) / math.sqrt(y.shape[-1]), -1)
                for y in (x.view(len(x), heads, -1).transpose(0, 1) for x in (a, b))
            )
            total += (q.exp() * (q - p)).sum().item() / (3 * heads)
    assert found.item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_logits_of_texts_are_compared_as_softened_distributions(temperature: float) -> None:
    teacher = torch.randn(4, 3)
    torch.manual_seed(0)
    model = AlbertForSequenceClassification(CONFIG.changed(num_labels=3)).eval()
    batch = batch_with(logits=teacher)
    objective = objective_of("logits", temperature=temperature)
    found = objective.sums(Student(model), batch)["logits"]
    ids, types = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.token_type_ids)
    logits = model.packed_logits(ids, types, torch.tensor(LENGTHS))
    p = (logits / temperature).softmax(-1)
    q = (teacher.half().float() / temperature).softmax(-1)
    expected = temperature**2 * (q * (q.log() - p.log())).sum()
    torch.testing.assert_close(found.total, expected, atol=1e-5, rtol=1e-4)
    assert objective.counts(batch) == {"logits": 4}


def test_logits_of_a_tagger_are_compared_for_every_token() -> None:
    model = AlbertForTokenClassification(CONFIG.changed(num_labels=3)).eval()
    batch = batch_with(logits=torch.randn(22, 3))
    objective = objective_of("logits")
    assert objective.counts(batch) == {"logits": 22}
    assert objective.sums(Student(model), batch)["logits"].total.item() > 0


def test_masked_tokens_are_no_special_ones_and_as_many_as_counted() -> None:
    torch.manual_seed(0)
    student = Student(AlbertForMaskedLM(CONFIG))
    batch = batch_with()
    objective = objective_of("mlm")
    assert objective.counts(batch) == {"masked_lm": round(0.15 * 22)}
    found = objective.sums(student, batch)["masked_lm"]
    # Random weights guess among all 2,000 tokens.
    assert found.total.item() / 3 == pytest.approx(math.log(2000), rel=0.3)
    found.total.backward()
    assert student.encoder.embeddings.word_embeddings.weight.grad is not None


def test_every_depth_has_its_share_of_the_weight() -> None:
    batch = batch_with(vectors=torch.randn(4, 32), states=torch.randn(22, 32))
    objective = objective_of("vectors", "states", depths=("all",), loss_weights=(3.0, 1.5))
    found = objective.sums(encoder_student(), batch)
    assert {name: part.weight for name, part in found.items()} == {
        "vectors": 1.0, "states": 0.5, "vectors@2": 1.0, "states@2": 0.5, "vectors@1": 1.0, "states@1": 0.5,
    }  # fmt: skip


def test_micro_batches_add_up_to_the_batch() -> None:
    batch = batch_with(vectors=torch.randn(4, 32), relations=torch.randn(22, 192))
    objective, student = objective_of("vectors", "relations"), encoder_student()
    whole = objective.sums(student, batch)
    parts = [objective.sums(student, part) for part in in_micro_batches([batch], 2)]
    for name, value in whole.items():
        torch.testing.assert_close(sum(part[name].total for part in parts), value.total, rtol=1e-5, atol=1e-5)
