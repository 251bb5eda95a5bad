"""`python -m albert.run_race`: the README's command, levels, the test set, and caches."""

import json
from pathlib import Path

import pytest

from albert.inference.trained_model import open_trained
from albert.legacy.scripts import script_main
from samples.finetuning_files import Pretrained, results_in, steps_kept, write_pretrained, write_race

main = script_main("run_race")


@pytest.fixture
def pretrained(tmp_path: Path, golden: Path) -> Pretrained:
    return write_pretrained(tmp_path / "pretrained", golden)


@pytest.fixture
def data(tmp_path: Path, golden: Path) -> Path:
    return write_race(tmp_path / "data", golden)


def command(pretrained: Pretrained, data: Path, output: Path, *more: str) -> list[str]:
    """The README's command, with smaller numbers appended."""
    return [
        f"--output_dir={output}",
        f"--train_file={data / 'train.tfrecord'}",
        f"--eval_file={data / 'eval.tfrecord'}",
        f"--data_dir={data}",
        *pretrained.flags(),
        "--max_seq_length=512",
        "--max_qa_length=128",
        "--do_train",
        "--do_eval",
        "--train_batch_size=32",
        "--eval_batch_size=8",
        "--learning_rate=1e-5",
        "--train_step=12000",
        "--warmup_step=1000",
        "--save_checkpoints_steps=100",
        "--train_batch_size=2",
        "--train_step=3",
        "--warmup_step=1",
        "--save_checkpoints_steps=1",
        *more,
    ]


def test_the_readme_s_command_trains_evaluates_and_tests(
    pretrained: Pretrained, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    more = ["--do_predict", "--dropout_prob=0.2", f"--predict_file={tmp_path / 'predict.tfrecord'}"]
    assert main(command(pretrained, data, run, *more)) == 0
    assert "***** Predict results *****" in capsys.readouterr().out
    results = results_in(run / "eval_results.txt")
    assert [found["global_step"] for found in results] == [1, 2, 3]
    assert all({"eval_accuracy", "eval_loss", "loss", "best"} <= set(found) for found in results)
    best = max(results, key=lambda found: found["eval_accuracy"])
    (tested,) = results_in(run / "predict_results.txt")  # the questions are those of the dev set
    assert tested["best"] == pytest.approx(best["eval_accuracy"])
    assert tested["eval_loss"] == pytest.approx(best["eval_loss"], abs=1e-5)
    assert (tmp_path / "predict.tfrecord").is_file()
    assert json.loads((run / "model.ckpt-best" / "config.json").read_text())["classifier_dropout_prob"] == 0.2
    trained = open_trained(str(run / "model.ckpt-best"), task="race", device="cpu")
    assert (trained.lengths.max_seq_length, trained.lengths.max_qa_length) == (512, 128)


@pytest.mark.parametrize("level", ["middle", "high"])
def test_a_single_level_is_trained_and_scored(
    level: str, pretrained: Pretrained, data: Path, tmp_path: Path
) -> None:
    other = {"middle": "high", "high": "middle"}[level]
    for split in ("train", "dev"):
        (data / "RACE" / split / other / "all.txt").write_text("not to be read\n")
    run = tmp_path / "run"
    assert main(command(pretrained, data, run, f"--{level}_only")) == 0
    found = results_in(run / "eval_results.txt")[-1]
    assert found["eval_accuracy"] == found[f"eval_accuracy_{level}"]
    assert f"eval_accuracy_{other}" not in found


def test_num_keep_checkpoint_keeps_as_many(pretrained: Pretrained, data: Path, tmp_path: Path) -> None:
    assert main(command(pretrained, data, tmp_path / "run", "--num_keep_checkpoint=1")) == 0
    assert steps_kept(tmp_path / "run") == ["step-3"]


def test_the_test_set_is_scored_without_an_evaluation(
    pretrained: Pretrained, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert main(command(pretrained, data, run, "--nodo_eval", "--do_predict")) == 0
    (found,) = results_in(run / "predict_results.txt")
    assert "best" not in found
    assert "eval_accuracy" in found


def test_a_cache_of_another_program_is_left_unchanged(
    pretrained: Pretrained, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = data / "train.tfrecord"
    cache.write_bytes(b"records of TensorFlow")
    assert main(command(pretrained, data, tmp_path / "run", "--nodo_eval", "--train_step=1")) == 0
    assert "left unchanged" in capsys.readouterr().err
    assert cache.read_bytes() == b"records of TensorFlow"


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--high_only", "--middle_only"], 1, "--high_only and --middle_only exclude each other"),
        (["--task_name=rice"], 2, "--task_name is 'rice'; expected race"),
        (["--nodo_train", "--nodo_eval"], 2, "nothing to do"),
        (["--data_dir=nowhere"], 1, "nowhere: no such file or folder"),
    ],
)
def test_wrong_input_is_a_one_line_error(
    *,
    more: list[str],
    code: int,
    message: str,
    pretrained: Pretrained,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(command(pretrained, data, tmp_path / "run", *more)) == code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()
