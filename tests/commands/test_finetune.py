"""Fine-tuning from files to model folders: learning, resuming, refusing bad input."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from albert.commands.finetune import finetune
from albert.errors import CheckpointError, ConfigError, DataError, RunError
from albert.tasks.classification.solver import ClassificationSolver
from albert.tasks.task import ColumnSettings
from samples.toy_task import sentences, settings, write_encoder, write_table, write_toy


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> Path:
    """A folder with a tiny pretrained model."""
    return write_encoder(tmp_path_factory.mktemp("encoder"), golden)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of own data whose label depends on one word."""
    return write_toy(tmp_path_factory.mktemp("toy"))


def test_a_separable_task_is_learnt_from_scratch(encoder: Path, toy: Path, tmp_path: Path) -> None:
    result = finetune(
        settings(
            encoder,
            toy,
            tmp_path / "run",
            from_scratch=True,
            max_steps=240,
            batch_size=16,
            eval_steps=40,
            learning_rate=2e-3,
            schedule="linear",
        )
    )
    assert result["best"]["accuracy"] == 1.0
    assert result["best"]["f1_macro"] == 1.0


def test_a_number_is_learnt(encoder: Path, tmp_path: Path) -> None:
    rows = [(text, "1.5" if label == "good" else "-0.5") for text, label in sentences(96, seed=3)]
    write_table(tmp_path / "train.tsv", rows, "text", "label")
    write_table(tmp_path / "dev.tsv", rows[:30], "text", "label")
    result = finetune(
        settings(
            encoder,
            tmp_path,
            tmp_path / "run",
            task="regression",
            from_scratch=True,
            max_steps=240,
            batch_size=16,
            eval_steps=40,
            learning_rate=2e-3,
            schedule="linear",
        )
    )
    assert result["best"]["pearson"] > 0.95
    assert result["last"]["loss"] < 0.1


def test_model_folders_open_in_transformers_with_the_labels_and_the_same_logits(
    encoder: Path, toy: Path, tmp_path: Path
) -> None:
    import transformers

    from albert.inference.trained_model import open_trained
    from albert.tasks.tables import Example

    finetune(settings(encoder, toy, tmp_path / "run"))
    texts = [text for text, _ in sentences(5, seed=4)]
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "best").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "run" / "best")
    with torch.no_grad():
        expected = theirs(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    ours = open_trained(str(tmp_path / "run" / "best"), task=None, device="cpu")
    examples = [Example(text) for text in texts]
    features = ours.solver.encode(ours.task, examples, ours.tokenizer, lengths=ours.lengths)
    logits = ours.solver.predict(ours.task, ours.model, examples, features)
    torch.testing.assert_close(torch.from_numpy(logits), expected, atol=1e-5, rtol=0)
    assert theirs.config.id2label == {0: "bad", 1: "good"}
    assert theirs.config.problem_type == "single_label_classification"


def test_the_run_folder_records_settings_and_result(encoder: Path, toy: Path, tmp_path: Path) -> None:
    result = finetune(settings(encoder, toy, tmp_path / "run"))
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert record["settings"]["max_steps"] == 6
    assert record["inputs"]["recipe"]["warmup_steps"] == 0
    assert record["result"] | {"next": result["next"]} == result
    assert [entry["step"] for entry in log if "held_out" in entry] == [3, 6]


def test_a_finished_run_is_not_repeated(encoder: Path, toy: Path, tmp_path: Path) -> None:
    asked = settings(encoder, toy, tmp_path / "run")
    first = finetune(asked)
    written = (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns
    assert finetune(asked) == first
    assert (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns == written


def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    encoder: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"max_steps": 9, "save_steps": 2, "hidden_dropout_prob": 0.1}
    unbroken = finetune(settings(encoder, toy, tmp_path / "unbroken", **changes))
    broken = settings(encoder, toy, tmp_path / "broken", **changes)
    score = ClassificationSolver.scores
    calls: list[int] = []

    def power_cut(*arguments: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score(*arguments)

    monkeypatch.setattr(ClassificationSolver, "scores", power_cut)
    with pytest.raises(KeyboardInterrupt):
        finetune(broken)
    resumed = finetune(broken)
    assert (resumed["best"], resumed["last"]) == (unbroken["best"], unbroken["last"])
    for folder in ("best", "model"):
        expected = load_file(tmp_path / "unbroken" / folder / "model.safetensors")
        found = load_file(tmp_path / "broken" / folder / "model.safetensors")
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_micro_batches_change_nothing_but_rounding(encoder: Path, toy: Path, tmp_path: Path) -> None:
    whole = finetune(settings(encoder, toy, tmp_path / "whole", optimizer="lamb"))
    parts = finetune(settings(encoder, toy, tmp_path / "parts", optimizer="lamb", micro_batch_size=2))
    # Without dropout before the classifier the two would be equal; with it they see other masks.
    assert parts["last"]["loss"] == pytest.approx(whole["last"]["loss"], abs=0.02)


def test_changed_data_are_refused_when_resuming(encoder: Path, toy: Path, tmp_path: Path) -> None:
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_bytes((toy / name).read_bytes())
    asked = settings(encoder, tmp_path, tmp_path / "run")
    finetune(asked)
    write_table(tmp_path / "dev.tsv", sentences(40, seed=9), "text", "label")
    with pytest.raises(RunError, match="dev_file"):
        finetune(asked)


def test_the_best_model_is_that_of_the_first_best_score(
    encoder: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.5, 0.75, 0.75, 0.25])  # the first is that of guessing
    answer = {"loss": 1.0}
    monkeypatch.setattr(ClassificationSolver, "scores", lambda *_: {"accuracy": next(scores)} | answer)
    result = finetune(settings(encoder, toy, tmp_path / "run", max_steps=4, eval_steps=1))
    assert result["best"] == {"step": 2, "accuracy": 0.75, "loss": 1.0}
    assert result["last"]["step"] == 4
    assert "| step | 2.0000 |" in (tmp_path / "run" / "best" / "README.md").read_text(encoding="utf-8")


def test_the_warm_up_is_scaled_to_the_given_steps(encoder: Path, toy: Path, tmp_path: Path) -> None:
    rows = [("1", text, text, label) for text, label in sentences(8, seed=5)]
    labelled = [(a, b, c, "entailment" if label == "good" else "not_entailment") for a, b, c, label in rows]
    for split in ("train", "dev"):
        write_table(tmp_path / "RTE" / f"{split}.tsv", labelled, "index", "sentence1", "sentence2", "label")
    asked = {"task": "rte", "recipe": "paper", "max_steps": 8, "learning_rate": None}
    finetune(settings(encoder, tmp_path, tmp_path / "run", **asked))
    recipe_used = json.loads((tmp_path / "run" / "run.json").read_text())["inputs"]["recipe"]
    assert recipe_used == {
        "max_steps": 8,
        "batch_size": 8,
        "max_seq_length": 32,
        "learning_rate": 3e-5,
        "warmup_steps": 2,
        "adam_beta2": 0.999,
        "hidden_dropout_prob": 0.1,
    }


def test_only_the_encoder_is_kept_of_a_model_with_other_labels(
    encoder: Path, toy: Path, tmp_path: Path
) -> None:
    finetune(settings(encoder, toy, tmp_path / "first"))
    write_table(tmp_path / "train.tsv", [("a", "x"), ("b", "y"), ("c", "z")], "text", "label")
    first = tmp_path / "first" / "model"
    result = finetune(settings(first, tmp_path, tmp_path / "second", max_steps=1, batch_size=2))
    config = json.loads((Path(result["model"]) / "config.json").read_text(encoding="utf-8"))
    assert config["label2id"] == {"x": 0, "y": 1, "z": 2}


def test_random_weights_are_refused_without_the_flag(encoder: Path, toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "config-only"
    folder.mkdir()
    for name in ("config.json", "spiece.model", "tokenizer_config.json"):
        (folder / name).write_bytes((encoder / name).read_bytes())
    with pytest.raises(CheckpointError, match="--from-scratch"):
        finetune(settings(folder, toy, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    assert finetune(settings(folder, toy, tmp_path / "run", from_scratch=True))["steps"] == 6


@pytest.mark.parametrize("changes", [{"hidden_dropout_prob": 1.5}, {"warmup_steps": 7}, {"device": "tpu9"}])
def test_bad_settings_leave_no_run_folder(
    encoder: Path, toy: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        finetune(settings(encoder, toy, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_a_sequence_longer_than_the_positions_is_refused(encoder: Path, toy: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--max-seq-length is 33, but the model has 32 positions"):
        finetune(settings(encoder, toy, tmp_path / "run", max_seq_length=33))


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (
            [("a", "x"), ("b", "y")],
            {"columns": ColumnSettings(text_column="sentence")},
            r"train\.tsv:1: no column 'sentence'",
        ),
        ([("a", "x"), ("", "y")], {}, r"train\.tsv:3: the text in column 'text' is empty"),
        ([("a", "x"), ("b", "")], {}, "1 different labels"),
        ([], {"task": "regression"}, "holds no example"),
    ],
)
def test_bad_data_are_refused_before_a_run_is_started(
    encoder: Path, tmp_path: Path, rows: list[tuple[str, ...]], changes: dict[str, Any], message: str
) -> None:
    write_table(tmp_path / "train.tsv", rows, "text", "label")
    with pytest.raises(DataError, match=message):
        finetune(settings(encoder, tmp_path, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_a_dev_label_unknown_to_training_is_named(encoder: Path, toy: Path, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_bytes((toy / "train.tsv").read_bytes())
    write_table(tmp_path / "dev.tsv", [("a", "goood")], "text", "label")
    with pytest.raises(DataError, match=r"dev\.tsv:2: unknown label 'goood'; did you mean 'good'"):
        finetune(settings(encoder, tmp_path, tmp_path / "run"))
