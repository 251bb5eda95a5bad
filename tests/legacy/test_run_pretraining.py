"""`python -m albert.run_pretraining`: training, resuming, and errors before a folder is created."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from albert import AlbertForPreTraining
from albert.legacy.scripts import script_main
from samples.original_files import SHAPE, random_model, write_tensorflow

main = script_main("run_pretraining")


def command(config: Path, records: Path, output: Path, *more: str) -> list[str]:
    """The README's command with smaller numbers."""
    return [
        f"--input_file={records}",
        f"--output_dir={output}",
        f"--albert_config_file={config}",
        "--do_train",
        "--train_batch_size=4",
        "--eval_batch_size=8",
        "--max_seq_length=128",
        "--max_predictions_per_seq=20",
        "--optimizer=lamb",
        "--learning_rate=.00176",
        "--num_train_steps=4",
        "--num_warmup_steps=2",
        "--save_checkpoints_steps=2",
        *more,
    ]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AlbertForPreTraining.from_pretrained(folder).state_dict()


def settings_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "run.json").read_text())["settings"])


def steps_kept(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_the_readme_s_command_trains_and_evaluates(
    config_file: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = random_model()
    checkpoint = write_tensorflow(tmp_path / "albert" / "model.ckpt-best", model)
    run = tmp_path / "run"
    arguments = command(config_file, records, run, f"--init_checkpoint={checkpoint}", "--do_eval")
    assert main(arguments) == 0
    shown = capsys.readouterr()
    count = len(model.state_dict())
    assert f"{count} of {count} tensors" in shown.err
    lines = (run / "eval_results.txt").read_text().splitlines()
    keys = [line.split(" = ")[0] for line in lines if " = " in line]
    assert keys == [
        "global_step",
        "loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "sentence_order_accuracy",
        "sentence_order_loss",
    ]
    assert lines[0] == "global_step = 4"
    assert shown.out.splitlines()[0] == "***** Eval results *****"
    assert shown.out.splitlines()[1:7] == [f"  {line}" for line in lines[:6]]
    assert steps_kept(run) == ["step-2", "step-4"]
    assert {"best", "checkpoints", "model", "run.json"} <= {path.name for path in run.iterdir()}


def test_training_starts_from_the_checkpoint(config_file: Path, records: Path, tmp_path: Path) -> None:
    model = random_model()
    checkpoint = write_tensorflow(tmp_path / "albert" / "model.ckpt-7", model)
    run = tmp_path / "run"
    more = [f"--init_checkpoint={checkpoint}", "--num_train_steps=1", "--num_warmup_steps=1"]
    assert main(command(config_file, records, run, *more)) == 0
    # The first step of a warm-up has rate 0.
    for name, tensor in weights(run / "model").items():
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=0, atol=0)


def test_the_same_command_continues_an_interrupted_one(
    config_file: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from albert.pretraining.run import Pretraining

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(command(config_file, records, whole)) == 0
    save = Pretraining._save

    def save_and_leave(self: Pretraining, place: Any) -> None:
        save(self, place)
        raise KeyboardInterrupt

    monkeypatch.setattr(Pretraining, "_save", save_and_leave)
    assert main(command(config_file, records, broken)) == 130
    assert steps_kept(broken) == ["step-2"]
    monkeypatch.setattr(Pretraining, "_save", save)
    assert main(command(config_file, records, broken)) == 0
    ours, theirs = weights(broken / "model"), weights(whole / "model")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert main(command(config_file, records, broken)) == 0


def test_the_requested_number_of_checkpoints_is_kept(
    config_file: Path, records: Path, tmp_path: Path
) -> None:
    kept = {}
    for number in ("0", "1"):
        more = ("--save_checkpoints_steps=1", f"--keep_checkpoint_max={number}")
        assert main(command(config_file, records, tmp_path / number, *more)) == 0
        kept[number] = steps_kept(tmp_path / number)
    assert kept == {"0": ["step-1", "step-2", "step-3", "step-4"], "1": ["step-4"]}


def test_flags_of_the_schedule_and_the_optimiser_reach_the_run(
    config_file: Path, records: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    more = ["--poly_power=2", "--start_warmup_step=1", "--num_warmup_steps=100", "--optimizer=adamw"]
    assert main(command(config_file, records, run, *more, "--learning_rate=0.5", "--num_train_steps=10")) == 0
    settings = settings_of(run)
    assert (settings["decay_power"], settings["start_warmup_step"]) == (2.0, 1)
    assert settings["optimizer"]["optimizer"] == "adamw"
    assert settings["optimizer"]["schedule"] == "decay-from-start"
    record = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert record["learning_rate"] == pytest.approx(0.5 * (9 - 1) / 100)


def test_other_files_in_the_folder_are_left_alone(config_file: Path, records: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "train.log").write_text("made by the shell\n")
    assert main(command(config_file, records, run)) == 0


def test_several_files_and_globs_are_read(config_file: Path, records: Path, tmp_path: Path) -> None:
    for name in ("a-1", "a-2", "b"):
        (tmp_path / name).write_bytes(records.read_bytes())
    assert main(command(config_file, Path(f"{tmp_path}/a-*,{tmp_path}/b"), tmp_path / "run")) == 0
    assert [Path(path).name for path in settings_of(tmp_path / "run")["data"]] == ["a-1", "a-2", "b"]


def test_groups_without_weights_start_as_copies_of_the_first(
    config_file: Path, records: Path, tmp_path: Path
) -> None:
    checkpoint = write_tensorflow(tmp_path / "albert" / "model.ckpt-best", random_model())
    config_file.write_text(json.dumps({**SHAPE, "num_hidden_groups": 2}))
    more = [f"--init_checkpoint={checkpoint}", "--num_train_steps=1", "--num_warmup_steps=1"]
    assert main(command(config_file, records, tmp_path / "refused", *more)) == 1
    assert main(command(config_file, records, tmp_path / "run", *more, "--init_from_group0")) == 0
    state = weights(tmp_path / "run" / "model")
    first = [name for name in state if ".albert_layer_groups.0." in name]
    assert first
    for name in first:
        assert torch.equal(state[name], state[name.replace("groups.0.", "groups.1.")])


def test_checkpoints_of_a_run_can_be_named_as_in_the_original(
    config_file: Path, records: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert main(command(config_file, records, run, "--do_eval", "--num_train_steps=3")) == 0
    first = ["--num_train_steps=1", "--num_warmup_steps=1"]
    for name, place in (("model.ckpt-best", "best"), ("model.ckpt-3", "model"), ("model.ckpt-2", None)):
        more = [f"--init_checkpoint={run / name}", *first]
        assert main(command(config_file, records, tmp_path / name, *more)) == 0, name
        began = weights(tmp_path / name / "model")
        if place is not None:
            expected = weights(run / place)
            assert all(torch.equal(began[key], expected[key]) for key in expected), name
    assert main(command(config_file, records, tmp_path / "no", f"--init_checkpoint={run}/model.ckpt-9")) == 1


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--max_seq_length=64"], 1, "made with --max_seq_length 128, not 64"),
        (["--max_predictions_per_seq=40"], 1, "made with --max_predictions_per_seq 20, not 40"),
        (["--init_checkpoint="], 2, "--init_checkpoint is empty"),
        (["--init_checkpoint=nowhere/model.ckpt-best"], 1, "nowhere/model.ckpt-best: no such checkpoint"),
        (["--input_file=nowhere*"], 1, "nowhere* matches no file"),
        (["--albert_config_file=nowhere.json"], 1, "nowhere.json: no such file"),
        (["--masked_lm_budget=5"], 1, "--masked_lm_budget 5"),
        (["--nodo_train"], 2, "--do_train or --do_eval"),
        (["--init_from_group0"], 2, "--init_from_group0 needs --init_checkpoint"),
        (["--train_batch_size=0"], 1, "--train_batch_size is 0"),
    ],
)
def test_wrong_input_is_an_error_before_a_folder_is_created(
    *,
    more: list[str],
    code: int,
    message: str,
    config_file: Path,
    records: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    assert main(command(config_file, records, run, *more)) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not run.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 1000}, "input_ids has"),
        ({"hidden_size": 12}, "hidden_size is 12, the weights in"),
        ({"max_position_embeddings": 64}, "max_position_embeddings is 64, the weights in"),
        ({"hidden_size": None}, "hidden_size is None"),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    *,
    changes: dict[str, Any],
    message: str,
    config_file: Path,
    records: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = write_tensorflow(tmp_path / "albert" / "model.ckpt-best", random_model())
    config_file.write_text(json.dumps({**SHAPE, **changes}))
    assert main(command(config_file, records, tmp_path / "run", f"--init_checkpoint={checkpoint}")) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_training_in_a_folder_of_tensorflow_checkpoints_is_refused(
    config_file: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tensorflow(tmp_path / "run" / "model.ckpt-100", random_model(), step=100)
    assert main(command(config_file, records, tmp_path / "run")) == 1
    error = capsys.readouterr().err
    assert f"--init_checkpoint={tmp_path / 'run' / 'model.ckpt-100'}" in error
    assert not (tmp_path / "run" / "run.json").exists()


def test_another_command_for_the_same_folder_is_refused_with_the_differences(
    config_file: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(command(config_file, records, run)) == 0
    assert main(command(config_file, records, run, "--num_train_steps=8")) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "max_steps was 4, now 8" in error
    assert "--output_dir a new folder" in error
