"""Which evaluation of a fine-tuning is its result, and what happens if training collapses."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from albert.commands.finetune import finetune
from albert.errors import ConfigError, TokenizerError
from albert.finetuning.collapse import CollapseError
from albert.tasks.classification.solver import ClassificationSolver
from samples.toy_task import sentences, settings, write_encoder, write_table, write_toy


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    """Data whose labels do not depend on the texts."""
    rows = [(text, draw) for (text, _), draw in zip(sentences(96, seed=5), "xyyx" * 24, strict=True)]
    for split in ("train", "dev"):
        write_table(tmp_path / "blind" / f"{split}.tsv", rows, "text", "label")
    return tmp_path / "blind"


def scores_in_turn(monkeypatch: pytest.MonkeyPatch, *accuracies: float) -> None:
    """Replace the accuracies by given ones: the first is that of guessing, the others are those on dev."""
    rest = iter(accuracies)
    monkeypatch.setattr(
        ClassificationSolver, "scores", lambda *_: {"accuracy": next(rest), "f1_macro": 0.0, "loss": 1.0}
    )


def test_the_report_says_which_evaluation_is_the_result(
    encoder: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for select, accuracy in (("best", 0.75), ("last", 0.25)):
        scores_in_turn(monkeypatch, 0.4, 0.5, 0.75, 0.25)
        result = finetune(settings(encoder, toy, tmp_path / select, max_steps=3, eval_steps=1, select=select))
        assert result["accuracy"] == accuracy
        assert select in result["selection"]


def test_several_seeds_give_their_median_and_each(encoder: Path, toy: Path, tmp_path: Path) -> None:
    result = finetune(settings(encoder, toy, tmp_path / "run", seeds=3, seed=7, max_steps=3))
    assert result["median_accuracy"] == median(result["accuracy"])
    assert len(result["accuracy"]) == 3
    weights = [load_file(tmp_path / "run" / f"seed-{n}" / "model" / "model.safetensors") for n in (7, 8, 9)]
    assert not torch.equal(weights[0]["classifier.weight"], weights[1]["classifier.weight"])
    assert finetune(settings(encoder, toy, tmp_path / "run", seeds=3, seed=7, max_steps=3)) == result


def test_training_stops_without_a_better_score(
    encoder: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores_in_turn(monkeypatch, 0.4, 0.5, 0.75, 0.7, 0.6)
    result = finetune(settings(encoder, toy, tmp_path / "run", max_steps=9, eval_steps=1, patience=2))
    assert (result["best"]["step"], result["last"]["step"]) == (2, 4)


def test_a_run_killed_after_its_early_stop_does_not_train_further(
    encoder: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from albert.finetuning import run as finetuning_run

    scores_in_turn(monkeypatch, 0.3, 0.5, 0.4, 0.3)
    asked = settings(encoder, toy, tmp_path / "run", max_steps=9, eval_steps=1, patience=1)
    with monkeypatch.context() as killed:
        killed.setattr(finetuning_run, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            finetune(asked)
    assert finetune(asked)["last"]["step"] == 2


def test_a_collapsed_training_stops_with_the_reason(encoder: Path, blind: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"max_steps": 400, "eval_steps": 60, "learning_rate": 0.5}
    with pytest.raises(CollapseError, match=r"guessing by frequency gives 0\.693.*--on-collapse restart"):
        finetune(settings(encoder, blind, tmp_path / "run", **asked))
    assert finetune(settings(encoder, blind, tmp_path / "on", on_collapse="warn", **asked))["steps"] == 400


def test_a_collapsed_training_restarts_with_half_the_rate_and_another_seed(
    encoder: Path, blind: Path, tmp_path: Path
) -> None:
    asked = settings(
        encoder,
        blind,
        tmp_path / "run",
        on_collapse="restart",
        max_steps=200,
        eval_steps=60,
        learning_rate=0.5,
    )
    with pytest.raises(CollapseError):
        finetune(asked)
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert len(record["attempts"]) == 3
    peaks = [
        max(json.loads(line).get("learning_rate", 0) for line in log.read_text().splitlines())
        for log in (tmp_path / "run" / "log-0.jsonl", tmp_path / "run" / "log-1.jsonl")
    ]
    assert peaks[1] == pytest.approx(peaks[0] / 2)


def test_the_encoder_of_an_intermediate_task_is_used(encoder: Path, toy: Path, tmp_path: Path) -> None:
    finetune(settings(encoder, toy, tmp_path / "first"))
    lent = tmp_path / "first" / "model"
    asked = settings(encoder, toy, tmp_path / "second", init_from=str(lent), max_steps=1, learning_rate=0.0)
    finetune(asked)
    expected = load_file(lent / "model.safetensors")
    found = load_file(tmp_path / "second" / "model" / "model.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_an_intermediate_model_of_another_vocabulary_is_refused(
    encoder: Path, toy: Path, tmp_path: Path, golden: Path
) -> None:
    other = write_encoder(tmp_path / "other", golden)
    config = json.loads((other / "tokenizer_config.json").read_text(encoding="utf-8"))
    (other / "tokenizer_config.json").write_text(json.dumps(config | {"do_lower_case": False}))
    with pytest.raises(TokenizerError, match="another vocabulary"):
        finetune(settings(encoder, toy, tmp_path / "run", init_from=str(other)))


def test_epochs_can_be_given_in_place_of_steps(encoder: Path, toy: Path, tmp_path: Path) -> None:
    result = finetune(settings(encoder, toy, tmp_path / "run", max_steps=None, num_epochs=0.5))
    assert result["steps"] == 96 // 8 // 2
    with pytest.raises(ConfigError, match="choose one"):
        settings(encoder, toy, tmp_path / "other", max_steps=3, num_epochs=1)
