"""Loss and logits of classifiers: the original's numbers, and indifference to how examples are grouped."""

from pathlib import Path

import numpy as np
import pytest
import torch

from albert.checkpoint.names import from_original, name_of_original
from albert.checkpoint.task_models import AlbertForSequenceClassification
from albert.model.config import AlbertConfig
from albert.tasks import classification
from albert.tasks.classification import ClassificationObjective, classify, scores_of
from albert.tasks.features import Features
from albert.tasks.own import OWN_TASKS
from albert.tasks.task import Kind


def make_model() -> AlbertForSequenceClassification:
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=31,
        embedding_size=8,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=40,
        initializer_range=0.5,
        id2label={0: "a", 1: "b", 2: "c"},
    )
    return AlbertForSequenceClassification(config)


def make_batch(lengths: list[int], *, seed: int) -> Features:
    draw = np.random.default_rng(seed)
    count = sum(lengths)
    return Features(
        draw.integers(5, 31, count),
        draw.integers(0, 2, count),
        np.array(lengths),
        draw.integers(0, 3, len(lengths)).astype(np.float64),
    )


def test_logits_do_not_depend_on_the_company_of_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_batch([7, 33, 3, 12, 12, 25, 4], seed=1)
    model = make_model()
    together = classify(model, features)
    monkeypatch.setattr(classification, "PIECES_AT_ONCE", 20)
    np.testing.assert_allclose(classify(model, features), together, atol=1e-5)
    for index in range(len(features)):
        alone = classify(model, features.take(np.array([index])))
        np.testing.assert_allclose(alone[0], together[index], atol=1e-5)


def test_nothing_to_classify_gives_no_logits() -> None:
    assert classify(make_model(), make_batch([], seed=0)).shape == (0, 3)


def test_scores_report_the_mean_of_the_loss_that_is_trained() -> None:
    features = make_batch([5, 9, 30, 2], seed=2)
    model = make_model().eval()
    total = ClassificationObjective("classification").sums(model, features)["task"].total.detach()
    count = ClassificationObjective("classification").counts(features)["task"]
    found = scores_of(OWN_TASKS[0], model, features)
    assert found["loss"] == pytest.approx(float(total) / count, abs=1e-5)
    assert list(found) == ["accuracy", "f1_macro", "loss"]


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "kind"), [("classifier_stsb", "regression"), ("classifier_mnli", "classification")]
)
def test_loss_logits_and_gradients_equal_the_original(reference: Path, name: str, kind: Kind) -> None:
    trace = dict(np.load(reference / "finetune" / f"{name}.npz", allow_pickle=False))
    variables = dict(np.load(reference / "ckpt_tiny" / "variables.npz", allow_pickle=False))
    body = {key: value for key, value in variables.items() if key.startswith("bert/")}
    head = {key: trace[f"init/{key}"] for key in ("output_weights", "output_bias")}
    labels = {index: str(index) for index in range(len(head["output_bias"]))}
    config = AlbertConfig.from_json(reference / "ckpt_tiny" / "albert_config.json", id2label=labels)
    model = AlbertForSequenceClassification(config).eval()
    model.load_state_dict(from_original({k: torch.tensor(v) for k, v in {**body, **head}.items()}))

    real = trace["input_mask"] > 0
    batch = Features(
        trace["input_ids"][real].astype(np.int64),
        trace["segment_ids"][real].astype(np.int64),
        real.sum(1).astype(np.int64),
        trace["labels"].astype(np.float64),
    )
    loss = ClassificationObjective(kind).sums(model, batch)["task"].total / len(batch)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    assert float(loss.detach()) == pytest.approx(float(trace["loss"][0]), abs=1e-5)
    np.testing.assert_allclose(classify(model, batch).squeeze(), trace["logits"][0], atol=1e-5)
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    for key, value in trace.items():
        if key.startswith("step0/grad/"):
            variable = key.removeprefix("step0/grad/")
            expected = torch.tensor(value.T if variable.endswith("/kernel") else value)
            found = gradients[name_of_original(variable)]
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
