"""`python -m albert.run_classifier`: the README's command on GLUE, its files, keys and errors."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from albert import AlbertConfig, AlbertForSequenceClassification, AlbertTokenizer
from albert.checkpoint.names import from_original, name_of_original
from albert.checkpoint.snapshots import read_snapshot_weights
from albert.inference.trained_model import open_trained
from albert.legacy import finetuning_evaluation, finetuning_models, run_classifier
from albert.legacy.finetuning_job import with_classifier_dropout
from albert.legacy.scripts import script_main
from albert.metrics.scores import score
from albert.optim.optimizers import clip_gradients
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.features import TextFeatures
from albert.tasks.texts import TextSolver
from albert.training import loop
from albert.training.runs import Run
from samples.finetuning_files import Pretrained, results_in, steps_kept, write_pretrained

main = script_main("run_classifier")
KEYS = {"eval_accuracy", "eval_loss", "loss", "global_step", "best"}


@pytest.fixture
def pretrained(tmp_path: Path, golden: Path) -> Pretrained:
    return write_pretrained(tmp_path / "pretrained", golden)


@pytest.fixture
def glue(golden: Path) -> Path:
    return golden / "glue" / "data"


def command(pretrained: Pretrained, glue: Path, output: Path, *more: str) -> list[str]:
    """The README's command, with smaller numbers appended."""
    return [
        f"--data_dir={glue}",
        f"--output_dir={output}",
        *pretrained.flags(),
        "--do_train",
        "--do_eval",
        "--do_predict",
        "--do_lower_case",
        "--max_seq_length=128",
        "--optimizer=adamw",
        "--task_name=MNLI",
        "--warmup_step=1000",
        "--learning_rate=3e-5",
        "--train_step=10000",
        "--save_checkpoints_steps=100",
        "--train_batch_size=128",
        "--warmup_step=1",
        "--train_step=3",
        "--save_checkpoints_steps=1",
        "--train_batch_size=4",
        *more,
    ]


def test_the_readme_s_command_trains_evaluates_and_predicts(
    pretrained: Pretrained, glue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run)) == 0
    shown = capsys.readouterr()
    assert "25 of 25 tensors" in shown.err
    assert shown.out.count("***** Eval results *****\n  eval_accuracy = ") == 3
    results = results_in(run / "eval_results.txt")
    assert [found["global_step"] for found in results] == [1, 2, 3]
    assert all(set(found) == KEYS for found in results)
    assert (run / "eval_results.txt").read_text().count("=" * 50 + "\n") == 3
    accuracies = [found["eval_accuracy"] for found in results]
    last, best_step, best = (run / "best_trial.txt").read_text().strip().split(":")
    assert (int(last), float(best)) == (3, max(accuracies))
    assert int(best_step) == 1 + accuracies.index(max(accuracies))
    assert steps_kept(run) == ["step-2", "step-3"]


def test_predictions_are_those_of_the_best_model(pretrained: Pretrained, glue: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run)) == 0
    trained = open_trained(str(run / "model.ckpt-best"), task="mnli", device="cpu")
    paths = (glue / "MNLI" / "test_matched.tsv",)
    examples = list(trained.solver.read(trained.task, paths, split="test", labelled=False))
    features = trained.solver.encode(trained.task, examples, trained.tokenizer, lengths=trained.lengths)
    assert trained.lengths.max_seq_length == 128
    answers = trained.solver.predict(trained.task, trained.model, examples, features)
    rows = [line.split("\t") for line in (run / "test_results.tsv").read_text().splitlines()]
    written = np.array(rows, np.float64)
    exponentials = np.exp(answers)
    np.testing.assert_allclose(written, exponentials / exponentials.sum(1, keepdims=True), atol=1e-5)
    header, *lines = (run / "submit_results.tsv").read_text().splitlines()
    assert header == "index\tprediction"
    labels = ("contradiction", "entailment", "neutral")
    assert lines == [f"{e.id}\t{labels[row.argmax()]}" for e, row in zip(examples, answers, strict=True)]


def test_the_best_model_is_the_one_that_was_evaluated(
    pretrained: Pretrained, glue: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run, "--learning_rate=0.05", "--train_step=6")) == 0
    results = results_in(run / "eval_results.txt")
    trained = open_trained(str(run / "model.ckpt-best"), task="mnli", device="cpu")
    examples = list(trained.solver.read(trained.task, (glue / "MNLI" / "dev_matched.tsv",), split="dev"))
    features = trained.solver.encode(trained.task, examples, trained.tokenizer, lengths=trained.lengths)
    answers = trained.solver.predict(trained.task, trained.model, examples, features)
    scores = trained.solver.scores(trained.task, examples, answers)
    best = max(results, key=lambda found: found["eval_accuracy"])  # the first of equal ones
    assert scores["accuracy"] == pytest.approx(best["eval_accuracy"], abs=1e-6)
    assert scores["loss"] == pytest.approx(best["eval_loss"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("cola", {"matthew_corr", "eval_accuracy"}),
        ("sst-2", {"eval_accuracy"}),
        ("MRPC", {"eval_accuracy", "f1"}),
        ("STS-B", {"pearson", "spearman", "MSE"}),
        ("qqp", {"eval_accuracy", "f1"}),
        ("mismnli", {"eval_accuracy"}),
        ("qnli", {"eval_accuracy"}),
        ("rte", {"eval_accuracy"}),
        ("wnli", {"eval_accuracy"}),
    ],
)
def test_every_task_has_its_keys_and_the_first_one_decides(
    name: str, keys: set[str], pretrained: Pretrained, glue: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    more = [f"--task_name={name}", "--train_step=1", "--warmup_step=0", "--eval_batch_size=3"]
    assert main(command(pretrained, glue, run, *more)) == 0
    (found,) = results_in(run / "eval_results.txt")
    assert set(found) == keys | {"eval_loss", "loss", "global_step", "best"}
    first = {"cola": "matthew_corr", "STS-B": "pearson"}.get(name, "eval_accuracy")
    assert found["best"] == pytest.approx(found[first], nan_ok=True)
    if name == "STS-B":
        columns = {line.count("\t") for line in (run / "test_results.tsv").read_text().splitlines()}
        assert columns == {0}


def test_training_flags_reach_the_run(pretrained: Pretrained, glue: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert (
        main(
            command(
                pretrained,
                glue,
                run,
                "--nodo_eval",
                "--nodo_predict",
                "--optimizer=lamb",
                "--train_step=10",
                "--save_checkpoints_steps=5",
            )
        )
        == 0
    )
    record = json.loads((run / "run.json").read_text())
    settings = record["settings"]
    expected = {
        "optimizer": "lamb", "schedule": "decay-from-start", "learning_rate": 3e-5, "max_steps": 10,
        "warmup_steps": 1, "batch_size": 4, "max_seq_length": 128, "weight_decay": 0.01, "max_grad_norm": 1.0,
        "hidden_dropout_prob": 0.0,
    }  # fmt: skip
    assert {name: settings[name] for name in expected} == expected
    config = json.loads((run / "model" / "config.json").read_text())
    assert config["classifier_dropout_prob"] == 0.1
    rates = [r["learning_rate"] for r in Run(run, record).log_records() if "learning_rate" in r]
    assert rates[-1] == pytest.approx(3e-5 * (1 - 9 / 10), rel=1e-3)
    assert not (run / "eval_results.txt").exists()
    assert steps_kept(run) == ["step-10", "step-5"]


def test_dropout_comes_from_the_configuration(pretrained: Pretrained, glue: Path, tmp_path: Path) -> None:
    shape = json.loads(pretrained.config.read_text())
    dropout = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}
    pretrained.config.write_text(json.dumps({**shape, **dropout}))
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run, "--nodo_eval", "--nodo_predict", "--train_step=1")) == 0
    config = json.loads((run / "model" / "config.json").read_text())
    assert {name: config[name] for name in dropout} == dropout


@pytest.mark.parametrize(("number", "kept"), [("1", ["step-3"]), ("0", ["step-1", "step-2", "step-3"])])
def test_keep_checkpoint_max_keeps_as_many(
    number: str, kept: list[str], pretrained: Pretrained, glue: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run, f"--keep_checkpoint_max={number}")) == 0
    assert steps_kept(run) == kept
    assert len(results_in(run / "eval_results.txt")) == len(kept)


def test_an_evaluation_during_the_training_misses_no_checkpoint(
    pretrained: Pretrained, glue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in run_glue.sh: one process trains, the other waits for checkpoints and ends with the last."""
    monkeypatch.setattr(finetuning_evaluation, "POLL_SECONDS", 0.01)
    run = tmp_path / "run"
    codes = []
    arguments = command(pretrained, glue, run, "--nodo_train", "--nodo_predict", "--train_step=4")
    evaluation = threading.Thread(target=lambda: codes.append(main(arguments)))
    evaluation.start()
    assert main(command(pretrained, glue, run, "--nodo_eval", "--nodo_predict", "--train_step=4")) == 0
    evaluation.join(timeout=60)
    assert codes == [0]
    assert [found["global_step"] for found in results_in(run / "eval_results.txt")] == [1, 2, 3, 4]
    assert (run / "model.ckpt-best" / "spiece.model").is_file()


def test_an_interrupted_evaluation_continues(pretrained: Pretrained, glue: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run)) == 0
    before = results_in(run / "eval_results.txt")
    (run / "best_trial.txt").write_text("2:1:9.0\n")
    evaluate = ["--nodo_train", "--nodo_predict"]
    assert main(command(pretrained, glue, run, *evaluate)) == 0
    after = results_in(run / "eval_results.txt")
    assert [found["global_step"] for found in after[len(before) :]] == [3]
    assert (run / "best_trial.txt").read_text() == "3:1:9.0\n"
    assert main(command(pretrained, glue, run, *evaluate)) == 0
    assert results_in(run / "eval_results.txt") == after


def test_an_equal_score_does_not_replace_the_first(
    pretrained: Pretrained, glue: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run, "--learning_rate=0", "--nodo_predict")) == 0
    assert (run / "best_trial.txt").read_text().startswith("3:1:")


def test_the_best_model_is_exported_with_its_threshold(
    pretrained: Pretrained, glue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, exported = tmp_path / "run", tmp_path / "exported"
    more = ["--nodo_predict", "--train_step=1", "--warmup_step=0"]
    more += [f"--export_dir={exported}", "--threshold_to_export=0.25"]
    assert main(command(pretrained, glue, run, *more)) == 0
    assert json.loads((exported / "threshold.json").read_text()) == {"threshold": 0.25}
    best = run / "model.ckpt-best"
    assert (exported / "model.safetensors").read_bytes() == (best / "model.safetensors").read_bytes()
    model = AlbertForSequenceClassification.from_pretrained(exported)
    assert model.config.id2label == {0: "contradiction", 1: "entailment", 2: "neutral"}
    assert AlbertTokenizer.from_pretrained(exported).vocab_size == 2000
    assert main(command(pretrained, glue, run, *more)) == 1
    assert "exported: exists; give --export_dir a new folder" in capsys.readouterr().err


def test_features_are_cached_and_made_again_for_other_flags(
    pretrained: Pretrained, glue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [f"--cached_dir={tmp_path / 'cached'}", "--nodo_predict", "--train_step=1", "--warmup_step=0"]
    counts = []
    for number, flags in enumerate(
        [[], [], ["--nodo_lower_case"], ["--nodo_lower_case", "--max_seq_length=32"]]
    ):
        assert main(command(pretrained, glue, tmp_path / str(number), *more, *flags)) == 0
        error = capsys.readouterr().err
        counts.append((error.count("using the features in it"), error.count("are made again")))
    assert counts == [(0, 0), (2, 0), (0, 2), (0, 2)]
    assert {path.name for path in (tmp_path / "cached").iterdir()} == {
        "mnli_train.tf_record",
        "mnli_eval.tf_record",
    }
    first, second = (results_in(tmp_path / name / "eval_results.txt") for name in ("0", "1"))
    assert first == second


def test_a_model_folder_or_a_module_replaces_checkpoint_and_vocabulary(
    pretrained: Pretrained,
    glue: Path,
    tmp_path: Path,
    tokenizer_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from samples.original_files import random_model

    module = tmp_path / "module"
    random_model(max_position_embeddings=512).save_pretrained(module)
    for path in tokenizer_folder.iterdir():
        shutil.copy(path, module)
    more = ["--nodo_predict", "--train_step=1", "--warmup_step=0"]
    plain = command(pretrained, glue, tmp_path / "plain", *more)
    assert main(plain) == 0
    hub = [a for a in command(pretrained, glue, tmp_path / "hub", *more) if "_config_file" not in a]
    hub = [a for a in hub if "init_checkpoint" not in a]
    assert main([*hub, f"--albert_hub_module_handle={module}", "--spm_model_file=unused"]) == 0
    folder = command(pretrained, glue, tmp_path / "folder", *more, f"--init_checkpoint={module}")
    assert main(folder) == 0
    first, *others = (results_in(tmp_path / name / "eval_results.txt") for name in ("plain", "hub", "folder"))
    assert all(other == first for other in others)
    capsys.readouterr()
    handle = "--albert_hub_module_handle=https://tfhub.dev/google/albert_base/1"
    assert main([*hub, handle, f"--output_dir={tmp_path / 'none'}"]) == 1
    assert (
        "using albert/albert-base-v1 of the Hugging Face Hub, which has the same weights"
        in capsys.readouterr().err
    )


def test_a_fine_tuned_checkpoint_predicts_and_is_evaluated_without_training(
    pretrained: Pretrained, glue: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    assert main(command(pretrained, glue, run)) == 0
    more = ["--nodo_train", f"--init_checkpoint={run / 'model.ckpt-best'}"]
    assert main(command(pretrained, glue, other, *more)) == 0
    (found,) = results_in(other / "eval_results.txt")
    best = max(results_in(run / "eval_results.txt"), key=lambda found: found["eval_accuracy"])
    assert found["eval_loss"] == pytest.approx(best["eval_loss"], abs=1e-6)
    for name in ("test_results.tsv", "submit_results.tsv"):
        assert (other / name).read_text() == (run / name).read_text()


def test_random_weights_give_a_warning(
    pretrained: Pretrained, glue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(
        pretrained, glue, tmp_path / "run", "--nodo_predict", "--train_step=1", "--warmup_step=0"
    )
    assert main([argument for argument in arguments if "init_checkpoint" not in argument]) == 0
    assert "all weights start at random" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--init_checkpoint="], 2, "--init_checkpoint is empty"),
        (["--init_checkpoint=nowhere/model.ckpt-best"], 1, "nowhere/model.ckpt-best: no such checkpoint"),
        (["--spm_model_file=nowhere.model"], 1, "--spm_model_file: nowhere.model: no such file"),
        (["--albert_config_file="], 2, "--albert_config_file or --albert_hub_module_handle must be given"),
        (["--albert_config_file=nowhere.json"], 1, "nowhere.json: no such file"),
        (["--task_name=mnlli"], 2, "did you mean 'mnli'"),
        (["--max_seq_length=513"], 1, "--max_seq_length is 513, but the model has 512 positions"),
        (["--data_dir=nowhere"], 1, "nowhere: no such file or folder; --data_dir names the"),
        (["--train_batch_size=0"], 1, "--train_batch_size is 0"),
        (["--nodo_train", "--nodo_eval", "--nodo_predict"], 2, "nothing to do"),
    ],
)
def test_wrong_input_is_a_one_line_error_before_anything_is_written(
    *,
    more: list[str],
    code: int,
    message: str,
    pretrained: Pretrained,
    glue: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run, *more)) == code
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not run.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"hidden_size": 12}, "hidden_size is 12"), ({"vocab_size": 1000}, "vocab_size is 1000")],
)
def test_a_configuration_of_another_model_is_refused(
    *,
    changes: dict[str, Any],
    message: str,
    pretrained: Pretrained,
    glue: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shape = json.loads(pretrained.config.read_text())
    pretrained.config.write_text(json.dumps({**shape, **changes}))
    assert main(command(pretrained, glue, tmp_path / "run")) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_vocabulary_of_another_size_is_refused(
    pretrained: Pretrained, glue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from samples.original_files import random_model, write_tensorflow

    small = {"vocab_size": 300, "max_position_embeddings": 512}
    checkpoint = write_tensorflow(tmp_path / "small" / "model.ckpt-best", random_model(**small))
    shape = json.loads(pretrained.config.read_text())
    pretrained.config.write_text(json.dumps({**shape, **small}))
    assert main(command(pretrained, glue, tmp_path / "run", f"--init_checkpoint={checkpoint}")) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the model has 300 embeddings, its tokenizer 2000 tokens" in error


def test_prediction_without_a_model_is_refused(
    pretrained: Pretrained, glue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(pretrained, glue, tmp_path / "run", "--nodo_train", "--nodo_eval")) == 1
    assert "holds no checkpoint to predict with" in capsys.readouterr().err.splitlines()[-1]


def test_run_glue_trains_and_evaluates_in_two_processes(
    pretrained: Pretrained, glue: Path, tmp_path: Path, tokenizer_folder: Path
) -> None:
    """The script with its own settings, shortened by appended flags."""
    from samples.original_files import random_model

    root, module = tmp_path / "root", tmp_path / "module"
    random_model(max_position_embeddings=512).save_pretrained(module)
    for path in tokenizer_folder.iterdir():
        shutil.copy(path, module)
    root.mkdir()
    (root / "glue").symlink_to(glue)
    script = Path(__file__).parents[2] / "scripts" / "run_glue.sh"
    short = ["--train_step=2", "--warmup_step=1", "--save_checkpoints_steps=1", "--train_batch_size=2"]
    environment = {
        "ALBERT_ROOT": str(root),
        "MODEL": str(module),
        "TASKS": "RTE",
        "PYTHON": sys.executable,
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", str(script), *short],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (root / "glue_results").iterdir()] == ["RTE"]
    run = root / "glue_results" / "RTE"
    assert [found["global_step"] for found in results_in(run / "eval_results.txt")] == [1, 2]
    settings = json.loads((run / "run.json").read_text())["settings"]
    assert (settings["learning_rate"], settings["max_seq_length"]) == (3e-5, 512)
    assert (run / "submit_results.tsv").is_file()


def test_run_glue_of_the_original_gives_a_module_and_an_empty_checkpoint(
    glue: Path, tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its flags, for a module on this disk, shortened; one process trains, the next one evaluates."""
    from samples.original_files import random_model

    module, run = tmp_path / "module", tmp_path / "output" / "MRPC"
    random_model().save_pretrained(module)
    for path in tokenizer_folder.iterdir():
        shutil.copy(path, module)
    common = [
        f"--output_dir={run}", f"--data_dir={glue}", f"--vocab_file={tmp_path / 'vocab.txt'}",
        f"--spm_model_file={tmp_path / '30k-clean.model'}", "--do_lower_case", "--max_seq_length=128",
        "--optimizer=adamw", "--task_name=MRPC", "--warmup_step=1000", "--learning_rate=2e-5",
        "--train_step=2", "--save_checkpoints_steps=1", "--train_batch_size=2",
        f"--albert_hub_module_handle={module}", "--init_checkpoint=", "--albert_config_file=",
    ]  # fmt: skip
    assert main([*common, "--do_train", "--nodo_eval", "--nodo_predict"]) == 0
    shown = capsys.readouterr().err
    assert "the warm-up of 1,000 steps is longer than the training of 2; the rate reaches 0.2%" in shown
    assert "None given" not in shown
    assert main([*common, "--nodo_train", "--do_eval", "--do_predict"]) == 0
    assert [found["global_step"] for found in results_in(run / "eval_results.txt")] == [1, 2]


def test_scores_of_the_evaluation_equal_those_of_the_metrics(
    pretrained: Pretrained, glue: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    more = ["--task_name=mrpc", "--train_step=1", "--warmup_step=0", "--nodo_predict"]
    assert main(command(pretrained, glue, run, *more)) == 0
    trained = open_trained(str(run / "model.ckpt-best"), task="mrpc", device="cpu")
    examples = list(trained.solver.read(trained.task, (glue / "MRPC" / "dev.tsv",), split="dev"))
    features = trained.solver.encode(trained.task, examples, trained.tokenizer, lengths=trained.lengths)
    answers = trained.solver.predict(trained.task, trained.model, examples, features)
    labels = np.array([example.label for example in examples])
    expected = score(("accuracy", "f1"), labels=labels, predictions=answers.argmax(-1))
    (found,) = results_in(run / "eval_results.txt")
    assert found["eval_accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
    assert found["f1"] == pytest.approx(expected["f1"], abs=1e-6)
    losses = trained.solver.losses(trained.task, examples, answers)
    assert found["eval_loss"] == pytest.approx(losses.mean(), abs=1e-5)
    assert found["loss"] == pytest.approx(np.mean([losses[:8].mean(), losses[8:].mean()]), abs=1e-5)


@pytest.mark.reference
@pytest.mark.parametrize(
    ("stored", "task_name"),
    [("classifier_mnli", "mnli"), ("classifier_mnli_nowarmup", "mnli"), ("classifier_stsb", "sts-b")],
)
def test_four_steps_equal_those_of_the_original(  # noqa: PLR0917  # fixtures, then the case
    pretrained: Pretrained,
    glue: Path,
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stored: str,
    task_name: str,
) -> None:
    """The original's checkpoint, head and batch, with ids instead of texts, and without dropout."""
    trace = dict(np.load(reference / "finetune" / f"{stored}.npz", allow_pickle=False))
    meta = json.loads(str(trace["meta"]))
    body = dict(np.load(reference / "ckpt_tiny" / "variables.npz", allow_pickle=False))
    variables = {name: value for name, value in body.items() if name.startswith("bert/")}
    variables |= {name: trace[f"init/{name}"] for name in ("output_weights", "output_bias")}
    shape = reference / "ckpt_tiny" / "albert_config.json"
    task = with_classifier_dropout(find_task(task_name), 0.0)
    head = solver_of(task).config_changes(task)
    model = AlbertForSequenceClassification(AlbertConfig.from_json(shape, **head))
    model.load_state_dict(from_original({name: torch.tensor(value) for name, value in variables.items()}))
    model.save_pretrained(tmp_path / "model")
    real = trace["input_mask"] > 0
    batch = TextFeatures(
        trace["input_ids"][real].astype(np.int64),
        trace["segment_ids"][real].astype(np.int64),
        real.sum(1).astype(np.int64),
        trace["labels"].astype(np.float64),
    )
    monkeypatch.setattr(run_classifier, "task_named", lambda name: task)
    monkeypatch.setattr(TextSolver, "encode", lambda *_, **__: batch)
    monkeypatch.setattr(finetuning_models, "check_tokenizer", lambda *_, **__: None)
    # The original counts looked-up rows of a table one by one: its norm is larger, so it clips more.
    norms = iter((trace["global_norm_dense"] / trace["global_norm_used"]).tolist() + [1.0] * 6)

    def clip(parameters: Any, norm: torch.Tensor, *, max_norm: float) -> None:
        clip_gradients(parameters, norm, max_norm=max_norm * next(norms))

    monkeypatch.setattr(loop, "clip_gradients", clip)
    # The original trained in float32; the scripts take bf16 on a processor that has it.
    monkeypatch.setattr(loop, "autocast_dtype", lambda *_: None)
    more = ["--nodo_eval", "--nodo_predict", f"--init_checkpoint={tmp_path / 'model'}"]
    more += [
        f"--albert_config_file={shape}",
        f"--task_name={task_name}",
        f"--learning_rate={meta['init_lr']}",
    ]
    more += [f"--train_step={meta['num_train_steps']}", f"--warmup_step={meta['num_warmup_steps']}"]
    run = tmp_path / "run"
    assert main(command(pretrained, glue, run, *more, "--save_checkpoints_steps=4")) == 0
    found = read_snapshot_weights(run / "checkpoints" / "step-4")
    for name, value in trace.items():
        if name.startswith("final/"):
            variable = name.removeprefix("final/")
            expected = torch.tensor(value.T if variable.endswith("/kernel") else value)
            torch.testing.assert_close(found[name_of_original(variable)], expected, atol=5e-6, rtol=0)
