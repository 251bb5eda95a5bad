"""Loss and logits of classifiers: equal to the original's, and independent of the grouping of examples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from albert.checkpoint.names import from_original, name_of_original
from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks import solver as solver_module
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.classification.solver import ClassificationObjective, ClassificationSolver
from albert.tasks.features import TextFeatures
from albert.tasks.tables import Example
from albert.tasks.task import Task

SOLVER = ClassificationSolver()
OWN = find_task("classification")
TASK = replace(OWN, labels=("a", "b", "c"))


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


def make_batch(lengths: list[int], *, seed: int) -> TextFeatures:
    draw = np.random.default_rng(seed)
    count = sum(lengths)
    return TextFeatures(
        draw.integers(5, 31, count),
        draw.integers(0, 2, count),
        np.array(lengths),
        draw.integers(0, 3, len(lengths)).astype(np.float64),
    )


def logits_of(model: AlbertForSequenceClassification, features: TextFeatures) -> NDArray[np.float32]:
    return SOLVER.predict(TASK, model, [], features)


def test_logits_do_not_depend_on_the_rest_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    features = make_batch([7, 33, 3, 12, 12, 25, 4], seed=1)
    model = make_model()
    together = logits_of(model, features)
    monkeypatch.setattr(solver_module, "TOKENS_AT_ONCE", 20)
    np.testing.assert_allclose(logits_of(model, features), together, atol=1e-5)
    for index in range(len(features)):
        alone = logits_of(model, features.take(np.array([index])))
        np.testing.assert_allclose(alone[0], together[index], atol=1e-5)


def test_no_examples_give_no_logits() -> None:
    assert logits_of(make_model(), make_batch([], seed=0)).shape == (0, 3)


def test_scores_report_the_mean_of_the_loss_that_is_trained() -> None:
    features = make_batch([5, 9, 30, 2], seed=2)
    model = make_model().eval()
    total = ClassificationObjective().sums(model, features)["task"].total.detach()
    count = ClassificationObjective().counts(features)["task"]
    examples = [Example("", None, int(label)) for label in features.labels]
    predictions = logits_of(model, features)
    found = SOLVER.scores(TASK, examples, predictions)
    assert SOLVER.losses(TASK, examples, predictions).mean() == pytest.approx(found["loss"])
    assert found["loss"] == pytest.approx(float(total) / count, abs=1e-5)
    assert list(found) == ["accuracy", "f1_macro", "loss"]


def test_records_name_the_label_and_its_probability() -> None:
    predictions = np.log(np.array([[0.25, 0.5, 0.25], [0.8, 0.1, 0.1]], np.float32))
    records = list(SOLVER.records(TASK, [Example("x"), Example("y")], predictions))
    assert [record["label"] for record in records] == ["b", "a"]
    assert [record["score"] for record in records] == pytest.approx([0.5, 0.8])
    assert records[1]["scores"] == pytest.approx({"a": 0.8, "b": 0.1, "c": 0.1})


def test_an_example_is_shown_with_the_name_of_its_label() -> None:
    assert SOLVER.shown(TASK, Example("x", "y", 2)) == {"text": "x", "pair": "y", "label": "c"}
    assert SOLVER.shown(TASK, Example("x")) == {"text": "x"}


def test_a_model_with_other_labels_is_refused() -> None:
    config = replace(make_model().config, id2label={0: "yes", 1: "no"})
    message = "has the labels yes, no, but task 'rte' has entailment, not_entailment"
    with pytest.raises(ConfigError, match=message):
        SOLVER.with_labels_of(find_task("rte"), config)


def labels_by_model(task: Task, names: tuple[str, ...]) -> tuple[str, ...]:
    config = replace(make_model().config, id2label=dict(enumerate(names)))
    return SOLVER.with_labels_of(task, config).labels


def test_labels_come_in_the_order_of_the_models_outputs() -> None:
    mnli = find_task("mnli")
    assert labels_by_model(mnli, ("neutral", "entailment", "contradiction"))[0] == "neutral"
    assert labels_by_model(mnli, ("LABEL_0", "LABEL_1", "LABEL_2")) == mnli.labels
    assert labels_by_model(OWN, ("x", "y")) == ("x", "y")


@pytest.mark.reference
@pytest.mark.parametrize(
    ("name", "task"), [("classifier_stsb", "regression"), ("classifier_mnli", "classification")]
)
def test_loss_logits_and_gradients_equal_the_original(reference: Path, name: str, task: str) -> None:
    trace = dict(np.load(reference / "finetune" / f"{name}.npz", allow_pickle=False))
    variables = dict(np.load(reference / "ckpt_tiny" / "variables.npz", allow_pickle=False))
    body = {key: value for key, value in variables.items() if key.startswith("bert/")}
    head = {key: trace[f"init/{key}"] for key in ("output_weights", "output_bias")}
    labels = {index: str(index) for index in range(len(head["output_bias"]))}
    config = AlbertConfig.from_json(reference / "ckpt_tiny" / "albert_config.json", id2label=labels)
    model = AlbertForSequenceClassification(config).eval()
    model.load_state_dict(from_original({k: torch.tensor(v) for k, v in {**body, **head}.items()}))

    real = trace["input_mask"] > 0
    batch = TextFeatures(
        trace["input_ids"][real].astype(np.int64),
        trace["segment_ids"][real].astype(np.int64),
        real.sum(1).astype(np.int64),
        trace["labels"].astype(np.float64),
    )
    objective = solver_of(find_task(task)).objective(find_task(task))
    loss = objective.sums(model, batch)["task"].total / len(batch)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    assert float(loss.detach()) == pytest.approx(float(trace["loss"][0]), abs=1e-5)
    np.testing.assert_allclose(logits_of(model, batch).squeeze(), trace["logits"][0], atol=1e-5)
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    for key, value in trace.items():
        if key.startswith("step0/grad/"):
            variable = key.removeprefix("step0/grad/")
            expected = torch.tensor(value.T if variable.endswith("/kernel") else value)
            found = gradients[name_of_original(variable)]
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
