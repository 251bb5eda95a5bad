"""Multiple choice: the original's steps, questions with different numbers of choices, records and scores."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from albert.checkpoint.names import from_original, name_of_original
from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.inference.opening import open_model
from albert.model.task_models import AlbertForMultipleChoice
from albert.optim.optimizers import AdamW, make_optimizer, parameter_groups
from albert.tasks import solver
from albert.tasks.catalogue import check_kind, find_task
from albert.tasks.choice.features import ChoiceFeatures
from albert.tasks.choice.files import ChoiceExample
from albert.tasks.choice.records import CHOICE_TASKS
from albert.tasks.choice.solver import ChoiceObjective, ChoiceSolver
from albert.tasks.features import shuffled_batches
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer
from albert.training.loop import train
from albert.training.settings import LoopSettings

RACE = CHOICE_TASKS[0]
SOLVER = ChoiceSolver()


def make_model() -> AlbertForMultipleChoice:
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
    )
    return AlbertForMultipleChoice(config).eval()


def make_features(num_choices: list[int], *, seed: int) -> ChoiceFeatures:
    draw = np.random.default_rng(seed)
    sequences = sum(num_choices)
    return ChoiceFeatures(
        tokens=np.concatenate([[2, 3], draw.integers(5, 31, 200)]).astype(np.int32),
        starts=draw.integers(2, 180, (sequences, 2)),
        counts=draw.integers(1, 18, (sequences, 2)),
        num_choices=np.array(num_choices, np.int64),
        labels=draw.integers(0, 2, len(num_choices)),
    )


def examples_of(features: ChoiceFeatures, groups: list[str] | None = None) -> list[ChoiceExample]:
    rows = zip(features.num_choices, features.labels, groups or [""] * len(features), strict=True)
    return [
        ChoiceExample(passage="p", choices=tuple("abcd"[:count]), label=int(label), group=group)
        for count, label, group in rows
    ]


def test_logits_do_not_depend_on_the_rest_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    features, model = make_features([2, 4, 3, 2, 4], seed=1), make_model()
    together = SOLVER.predict(RACE, model, [], features)
    monkeypatch.setattr(solver, "TOKENS_AT_ONCE", 60)
    np.testing.assert_allclose(SOLVER.predict(RACE, model, [], features), together, atol=1e-5)
    for index, count in enumerate(features.num_choices):
        (alone,) = SOLVER.predict(RACE, model, [], features.take(np.array([index])))
        np.testing.assert_allclose(alone, together[index, :count], atol=1e-5)
        assert (together[index, count:] == -np.inf).all()


def test_loss_and_gradients_of_uneven_questions_are_the_sum_of_each_alone() -> None:
    features, objective = make_features([2, 4, 3], seed=2), ChoiceObjective()
    batches = [features] + [features.take(np.array([index])) for index in range(3)]
    totals, gradients = [], []
    for batch in batches:
        model = make_model()
        loss = objective.sums(model, batch)["task"].total
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        totals.append(float(loss.detach()))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert totals[0] == pytest.approx(sum(totals[1:]), abs=1e-5)
    torch.testing.assert_close(gradients[0], torch.stack(gradients[1:]).sum(0), atol=1e-5, rtol=1e-5)
    assert gradients[0].isfinite().all()
    assert objective.counts(features) == {"task": 3}


def test_equal_numbers_of_choices_give_the_logits_of_a_fixed_number() -> None:
    features, model = make_features([3, 3], seed=3), make_model()
    arrays = (features.input_ids, features.token_type_ids, features.lengths)
    with torch.inference_mode():
        expected = model.packed_logits(*map(torch.from_numpy, arrays), num_choices=3)
    np.testing.assert_allclose(SOLVER.predict(RACE, model, [], features), expected.numpy(), atol=1e-6)


def test_scores_include_the_accuracy_of_middle_and_high() -> None:
    features, model = make_features([4, 4, 2, 4, 3], seed=4), make_model()
    groups = ["high", "middle", "high", "high", "middle"]
    examples = examples_of(features, groups)
    predictions = SOLVER.predict(RACE, model, examples, features)
    scores = SOLVER.scores(RACE, examples, predictions)
    assert list(scores) == ["accuracy", "accuracy_high", "accuracy_middle", "loss"]
    right = predictions.argmax(-1) == features.labels
    assert scores["accuracy"] == right.mean()
    assert scores["accuracy_high"] == right[[0, 2, 3]].mean()
    assert 5 * scores["accuracy"] == pytest.approx(
        3 * scores["accuracy_high"] + 2 * scores["accuracy_middle"]
    )
    total = ChoiceObjective().sums(model, features)["task"]
    assert scores["loss"] == pytest.approx(float(total.total.detach()) / 5, abs=1e-5)
    assert total.correct is not None
    assert scores["accuracy"] == int(total.correct) / 5
    assert list(SOLVER.scores(RACE, examples_of(features), predictions)) == ["accuracy", "loss"]


def test_records_name_the_best_choice_by_letter_and_text() -> None:
    examples = [
        ChoiceExample(passage="p", choices=("x", "y", "z")),
        ChoiceExample(passage="p", choices=("u", "v")),
    ]
    predictions = np.log(np.array([[0.2, 0.3, 0.5], [0.75, 0.25, 1.0]], np.float32))
    predictions[1, 2] = -np.inf
    first, second = SOLVER.records(RACE, examples, predictions)
    assert first == {"label": "C", "answer": "z", "score": 0.5, "scores": {"A": 0.2, "B": 0.3, "C": 0.5}}
    assert second == {"label": "A", "answer": "u", "score": 0.75, "scores": {"A": 0.75, "B": 0.25}}


def test_an_example_is_shown_with_lettered_choices() -> None:
    example = ChoiceExample(passage="p", question="q?", choices=("x", "y"), label=1)
    shown = SOLVER.shown(RACE, example)
    assert shown == {"passage": "p", "question": "q?", "choices": "A. x B. y", "label": "B. y"}
    asked = SOLVER.shown(RACE, replace(example, question="", relation="cause", label=None))
    assert asked == {"passage": "p", "question": "What is the cause?", "choices": "A. x B. y"}


def test_a_regression_model_is_refused() -> None:
    rating = AlbertConfig(
        vocab_size=31, embedding_size=8, hidden_size=12, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=20, problem_type="regression", id2label={0: "score"},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="trained for regression, but task 'race' is choice"):
        check_kind(RACE, None, rating)
    check_kind(RACE, None, make_model().config)


def test_a_model_learns_questions_with_uneven_choices_and_is_read_back(
    tokenizer_folder: Path, tiny_config: Path, tmp_path: Path
) -> None:
    draw = np.random.default_rng(5)
    rows = []
    for _ in range(60):
        choices = ["stack", *draw.choice(["type", "value", "error"], draw.integers(1, 4), replace=False)]
        draw.shuffle(choices)
        rows.append({"passage": "The module takes one.", "choices": choices, "label": "stack"})
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, tokenizer = find_task("choice"), AlbertTokenizer.from_pretrained(tokenizer_folder)
    examples = list(SOLVER.read(task, [path], split="train"))
    features = SOLVER.encode(task, examples, tokenizer, lengths=Lengths(max_seq_length=32))
    torch.manual_seed(0)
    model = AlbertForMultipleChoice(AlbertConfig.from_json(tiny_config, **SOLVER.config_changes(task)))
    steps = train(
        model,
        shuffled_batches(features, 10, seed=0),
        SOLVER.objective(task),
        make_optimizer("adamw", model, weight_decay=0.01),
        learning_rate=lambda step: 2e-2,
        settings=LoopSettings(max_steps=40, batch_size=10, precision="float32", device="cpu"),
    )
    assert list(steps)[-1].loss < 0.3
    predictions = SOLVER.predict(task, model, examples, features)
    assert SOLVER.scores(task, examples, predictions)["accuracy"] == 1.0
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    again, _ = open_model(tmp_path / "model", SOLVER.model_classes(), device="cpu")
    np.testing.assert_allclose(SOLVER.predict(task, again, examples, features), predictions, atol=1e-5)


def features_of_rows(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], labels: NDArray[np.int64]
) -> ChoiceFeatures:
    """Return the features of padded sequences `[CLS] first [SEP] second [SEP]`, four a question."""
    tokens = np.concatenate([[2, 3], rows.ravel()]).astype(np.int32)
    begins = 2 + np.arange(len(rows)) * rows.shape[1]
    first = (rows == 3).argmax(1) - 1
    return ChoiceFeatures(
        tokens=tokens,
        starts=np.stack([begins + 1, begins + first + 2], axis=1),
        counts=np.stack([first, lengths - first - 3], axis=1),
        num_choices=np.full(len(labels), 4),
        labels=labels,
    )


@pytest.mark.reference
def test_four_steps_of_fine_tuning_on_race_follow_the_original(reference: Path) -> None:
    """Features, loss, loop and weights; rates and clipping are those of the trace."""
    trace = dict(np.load(reference / "finetune" / "race.npz"))
    meta = json.loads(str(trace["meta"]))
    body = np.load(reference / "ckpt_tiny" / "variables.npz")
    start = {key: torch.tensor(body[key]) for key in body.files if key.startswith("bert/")}
    start |= {key: torch.tensor(trace[f"init/{key}"]) for key in ("output_weights", "output_bias")}
    config = AlbertConfig.from_json(
        reference / "ckpt_tiny" / "albert_config.json",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        classifier_dropout_prob=0.0,
    )
    model = AlbertForMultipleChoice(config)
    model.load_state_dict(from_original(start))
    rows, mask, segments = (
        trace[name].reshape(8, -1).astype(np.int64) for name in ("input_ids", "input_mask", "segment_ids")
    )
    features = features_of_rows(rows, mask.sum(1), trace["labels"].astype(np.int64))
    assert features.input_ids.tolist() == rows[mask > 0].tolist()
    assert features.token_type_ids.tolist() == segments[mask > 0].tolist()

    optimizer = AdamW(parameter_groups(model, weight_decay=0.01))
    for number in range(meta["steps"]):
        predictions = SOLVER.predict(RACE, model, [], features)
        np.testing.assert_allclose(predictions, trace["logits"][number], atol=2e-5)
        # The original's norm counts looked-up rows one by one: it is larger, so gradients are clipped more.
        clipping = trace["global_norm_dense"][number] / trace["global_norm_used"][number]
        (step,) = train(
            model,
            [features],
            SOLVER.objective(RACE),
            optimizer,
            learning_rate=lambda step: float(trace["learning_rate"][step]),
            settings=LoopSettings(max_steps=number + 1, batch_size=2, precision="float32", device="cpu"),
            max_grad_norm=float(clipping),
            steps_done=number,
        )
        assert step.loss == pytest.approx(float(trace["loss"][number]), abs=2e-5)
        assert step.grad_norm == pytest.approx(float(trace["global_norm_dense"][number]), rel=1e-4)
    np.testing.assert_allclose(SOLVER.predict(RACE, model, [], features), trace["logits"][4], atol=2e-5)
    state = model.state_dict()
    finals = {key.removeprefix("final/"): value for key, value in trace.items() if key.startswith("final/")}
    assert len(finals) == 27
    for variable, value in finals.items():
        expected = torch.tensor(value.T if variable.endswith("/kernel") else value)
        found = state[name_of_original(variable)].reshape(expected.shape)
        # The bias adds the same to all choices: its gradient is 0 apart from rounding (1.5e-8 in the
        # original), which Adam scales up to the learning rate.
        atol = float(trace["learning_rate"].sum()) if variable == "output_bias" else 5e-6
        torch.testing.assert_close(found, expected, atol=atol, rtol=0)
