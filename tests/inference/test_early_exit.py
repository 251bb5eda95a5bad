"""Texts that leave the batch early are predicted as the logits of all depths say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from albert.cli.main import run
from albert.commands.finetune import finetune
from albert.errors import ConfigError
from albert.inference.early_exit import (
    ExitRule,
    exit_rules,
    logits_of_all_depths,
    predict_early,
    simulated,
)
from albert.inference.encoding import features_of_rows
from albert.model.task_models import AlbertForSequenceClassification
from albert.tasks.features import TextFeatures
from samples.teachers import teacher_config
from samples.toy_task import settings, write_encoder, write_toy


@pytest.fixture(scope="module", params=[1, 6], ids=["shared layers", "own layers"])
def model(request: pytest.FixtureRequest) -> AlbertForSequenceClassification:
    torch.manual_seed(3)
    config = teacher_config(num_hidden_layers=6, num_hidden_groups=request.param, num_labels=3)
    found = AlbertForSequenceClassification(config).eval()
    with torch.no_grad():
        found.classifier.weight.mul_(40)  # so that probabilities differ
    return found


@pytest.fixture(scope="module")
def features() -> TextFeatures:
    draw = np.random.default_rng(0)
    return features_of_rows([draw.integers(5, 2000, draw.integers(3, 40)).tolist() for _ in range(70)])


RULES = [*exit_rules(6), ExitRule("confidence", 1.0)]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("batch_size", [None, 16])
def test_early_exits_are_those_that_all_logits_tell(
    model: AlbertForSequenceClassification, features: TextFeatures, rule: ExitRule, batch_size: int | None
) -> None:
    logits = logits_of_all_depths(model, features)
    expected = simulated(logits, rule)
    found = predict_early(model, features, rule, batch_size=batch_size)
    np.testing.assert_array_equal(found.depths, expected.depths)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)


def test_the_rules_let_some_texts_go_and_keep_others(
    model: AlbertForSequenceClassification, features: TextFeatures
) -> None:
    depths = simulated(logits_of_all_depths(model, features), ExitRule("confidence", 0.8)).depths
    assert len(set(depths.tolist())) > 1


def test_the_logits_of_all_depths_end_with_those_of_the_model(
    model: AlbertForSequenceClassification, features: TextFeatures
) -> None:
    with torch.no_grad():
        expected = model.packed_logits(*model.packed_inputs(features)).numpy()
    np.testing.assert_allclose(logits_of_all_depths(model, features)[:, -1], expected, atol=1e-4)


def test_patience_counts_layers_that_agree_with_the_one_before() -> None:
    choices = [0, 1, 1, 1, 0, 0]
    logits = np.eye(2, dtype=np.float32)[choices][None]  # (1, L, K)
    depths = [int(simulated(logits, ExitRule("patience", n)).depths[0]) for n in (1, 2, 3)]
    assert depths == [3, 4, 6]


@pytest.mark.parametrize("text", ["patience", "patience=0", "patience=1.5", "confidence=1.5", "luck=1", ""])
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected patience=N with N layers, or confidence=P"):
        ExitRule.of(text)


def test_a_rule_is_written_as_it_is_read() -> None:
    assert [str(ExitRule.of(text)) for text in ("patience=3", "confidence=0.9")] == [
        "patience=3",
        "confidence=0.9",
    ]


def test_the_commands_compare_rules_draw_them_and_use_one(
    tmp_path: Path, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, data = write_encoder(tmp_path / "encoder", golden), write_toy(tmp_path / "data")
    model = finetune(settings(encoder, data, tmp_path / "run", depths=("all",)))["model"]
    words = ["--task", "classification", "--model", model, "--data", str(data), "--device", "cpu"]
    capsys.readouterr()
    asked = ["--early-exit", "curve", "--max-loss", "100", "--curve", str(tmp_path / "curve.png"), "--json"]
    assert run(["evaluate", *words, *asked]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["rule"] == "all layers"
    assert rows[0]["mean_depth"] == 2
    (chosen,) = [row for row in rows if row.get("chosen")]
    assert chosen["mean_depth"] == min(row["mean_depth"] for row in rows[1:])
    assert chosen["ms_per_text"] > 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert run(["evaluate", *words, "--early-exit", chosen["rule"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == pytest.approx(chosen["accuracy"])
    output = tmp_path / "out.tsv"
    new = ["--model", model, "--data", str(data), "--split", "dev", "--task", "classification"]
    assert run(["predict", *new, "--output", str(output), "--early-exit", "patience=1"]) == 0
    assert len(output.read_text().splitlines()) == 41


def test_models_that_were_not_trained_for_it_are_refused(
    tmp_path: Path, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, data = write_encoder(tmp_path / "encoder", golden), write_toy(tmp_path / "data")
    model = finetune(settings(encoder, data, tmp_path / "run"))["model"]
    words = ["evaluate", "--task", "classification", "--model", model, "--data", str(data)]
    for rule in ("curve", "patience=1"):
        assert run([*words, "--early-exit", rule]) == 1
        assert "was not trained after layer 1, where it would guess" in capsys.readouterr().err
    assert run([*words, "--curve", str(tmp_path / "a.png")]) == 1
    assert "--curve draws what --early-exit curve compares" in capsys.readouterr().err
