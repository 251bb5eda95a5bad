"""Weights of labels in the loss: torch's weighted losses, balanced by counts, refused for other kinds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar

from albert.commands.finetune import finetune
from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.features import TextFeatures
from albert.tasks.tables import Example
from albert.tasks.task import Task
from albert.training.loop import train
from albert.training.settings import LoopSettings
from samples.toy_task import sentences, settings, write_encoder, write_table

LABELS = ("ham", "offer", "spam")
WEIGHTS = (0.25, 1.5, 4.0)
SINGLE = replace(find_task("classification"), labels=LABELS, class_weights=WEIGHTS)
SEVERAL = replace(find_task("multi-label"), labels=LABELS, class_weights=WEIGHTS)
IDS = np.array([0.0, 2.0, 0.0, 1.0])
SETS = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0]])


def make_model(task: Task) -> AlbertForSequenceClassification:
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=31, embedding_size=8, hidden_size=12, num_hidden_layers=1, num_attention_heads=3,
        intermediate_size=20, initializer_range=0.5, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **{**solver_of(task).config_changes(task), "classifier_dropout_prob": 0.0},
    )  # fmt: skip
    return AlbertForSequenceClassification(config)


def make_batch(labels: np.ndarray) -> TextFeatures:  # type: ignore[type-arg]  # any shape
    return TextFeatures(np.arange(14) + 5, np.zeros(14, np.int64), np.array([2, 4, 3, 5]), labels)


@pytest.mark.parametrize("task", [SINGLE, SEVERAL], ids=["one label", "several labels"])
@pytest.mark.parametrize("micro_batch", [4, 1])
def test_gradients_are_those_of_torchs_weighted_mean_however_a_batch_is_split(
    task: Task, micro_batch: int
) -> None:
    batch = make_batch(IDS if task is SINGLE else SETS)
    model, solver = make_model(task), solver_of(task)
    logits = model.packed_logits(*model.packed_inputs(batch))
    weights = torch.tensor(WEIGHTS)
    if task is SINGLE:
        expected = F.cross_entropy(logits, torch.tensor(IDS).long(), weight=weights)
    else:
        expected = F.binary_cross_entropy_with_logits(logits, torch.tensor(SETS).float(), pos_weight=weights)
    expected.backward()
    gradient = model.classifier.weight.grad.clone()
    before = model.classifier.weight.detach().clone()
    model.zero_grad()
    parts = [batch.take(np.arange(i, i + micro_batch)) for i in range(0, 4, micro_batch)]
    loop = LoopSettings(
        max_steps=1, batch_size=4, micro_batch_size=micro_batch, precision="float32", device="cpu"
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    steps = train(
        model,
        parts,
        solver.objective(task),
        optimizer,
        learning_rate=lambda step: 0.5,
        settings=loop,
        max_grad_norm=1e9,
    )
    (step,) = steps
    assert step.loss == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close((before - model.classifier.weight) / 0.5, gradient, rtol=1e-4, atol=1e-6)


def test_accuracy_in_training_is_weighted_like_the_loss() -> None:
    model, objective = make_model(SINGLE).eval(), solver_of(SINGLE).objective(SINGLE)
    batch = make_batch(IDS)
    correct = model.packed_logits(*model.packed_inputs(batch)).argmax(-1).numpy() == IDS
    weights = np.array(WEIGHTS)[IDS.astype(int)]
    found = objective.sums(model, batch)["task"].correct
    assert found is not None
    assert float(found) == pytest.approx((weights * correct).sum())
    assert objective.counts(batch) == {"task": pytest.approx(weights.sum())}


@pytest.mark.parametrize("weights", [(), WEIGHTS], ids=["unweighted", "weighted"])
def test_the_loss_of_guessing_is_that_of_the_best_constant(weights: tuple[float, ...]) -> None:
    single, several = (replace(task, class_weights=weights) for task in (SINGLE, SEVERAL))
    factors = np.array(weights or (1.0, 1.0, 1.0))
    mass = np.array([2, 1, 1]) * factors
    expected = F.cross_entropy(
        torch.tensor(np.log(mass)).repeat(4, 1), torch.tensor(IDS).long(), weight=torch.tensor(factors)
    )
    examples = [Example("x", label=int(label)) for label in IDS]
    assert solver_of(single).guessing_loss(single, examples) == pytest.approx(float(expected))
    sets = [Example("x", label=tuple(row)) for row in SETS]
    best = [
        minimize_scalar(
            lambda logit, k=k: float(
                F.binary_cross_entropy_with_logits(
                    torch.full((4,), logit, dtype=torch.float64),
                    torch.tensor(SETS[:, k]),
                    pos_weight=torch.tensor(factors[k]),
                )
            )
        ).fun
        for k in range(3)
    ]
    assert solver_of(several).guessing_loss(several, sets) == pytest.approx(np.mean(best), abs=1e-6)


def test_balanced_weights_give_every_label_the_same_sum() -> None:
    examples = [Example("x", label=int(label)) for label in IDS]
    weights = solver_of(SINGLE).class_weights(SINGLE, examples, "balanced")
    assert weights == pytest.approx((4 / 6, 4 / 3, 4 / 3), rel=1e-5)
    sets = [Example("x", label=tuple(row)) for row in SETS]
    assert solver_of(SEVERAL).class_weights(SEVERAL, sets, "balanced") == pytest.approx(
        (1 / 3, 3, 1), rel=1e-5
    )


@pytest.mark.parametrize("text", ["1,2", "1,2,x", "1,2,-3", "0,1,2", "1,2,inf", "1,2,nan", "", "Balanced"])
def test_weights_other_than_a_positive_number_for_each_label_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected balanced, or 3 numbers above 0.*order ham,offer,spam"):
        solver_of(SINGLE).class_weights(SINGLE, [Example("x", label=0)], text)


def test_labels_that_no_or_every_example_has_cannot_be_balanced() -> None:
    examples = [Example("x", label=0), Example("x", label=1)]
    with pytest.raises(ConfigError, match=r"no training example has the label 'spam'.*order ham,offer,spam"):
        solver_of(SINGLE).class_weights(SINGLE, examples, "balanced")
    sets = [Example("x", label=(1.0, 1.0, 0.0)), Example("x", label=(1.0, 0.0, 1.0))]
    with pytest.raises(ConfigError, match="all training examples have the label 'ham'"):
        solver_of(SEVERAL).class_weights(SEVERAL, sets, "balanced")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


def test_finetune_takes_weights_and_shows_them_by_label(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in sentences(40, seed=1) if row[1] == "good"] + sentences(8, seed=2)
    write_table(tmp_path / "train.tsv", rows, "text", "label")
    finetune(settings(encoder, tmp_path, tmp_path / "a", class_weights="balanced", dev_share=0.0))
    shown = capsys.readouterr().err
    assert "bad 3.5, good 0.583333  given" in shown
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "class weights" in page
    assert "bad 3.5, good 0.583333" in page
    finetune(settings(encoder, tmp_path, tmp_path / "b"))
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] != weights[1]


@pytest.mark.parametrize("task", ["stsb", "squad1", "race", "conll2003"])
def test_kinds_without_classes_refuse_weights_by_name(task: str) -> None:
    found = find_task(task)
    with pytest.raises(ConfigError, match=f"'{task}' is a task of the kind {found.kind}; drop the flag"):
        solver_of(found).class_weights(found, [], "balanced")
