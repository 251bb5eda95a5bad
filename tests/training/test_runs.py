"""Run folders: resuming, refusing, and surviving damage."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from albert.checkpoint import snapshots
from albert.checkpoint.layout import checkpoint_steps
from albert.checkpoint.snapshots import TrainingState, save_snapshot
from albert.errors import CheckpointError, RunError
from albert.optim.optimizers import Lamb, make_optimizer
from albert.training.runs import Run

SETTINGS = {"data": "shards", "loop": {"seed": 0, "max_steps": 9}}


def open_run(folder: Path, **changes: object) -> Run:
    return Run.open(folder, command="pretrain", settings={**SETTINGS, **changes}, inputs={"data": "abc"})


def trained(steps: int) -> tuple[nn.Module, Lamb]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = make_optimizer("lamb", model, weight_decay=0.01)
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return model, optimizer  # type: ignore[return-value]


def test_the_same_command_opens_the_same_run_again(tmp_path: Path) -> None:
    open_run(tmp_path / "run").finish({"accuracy": 0.5})
    assert open_run(tmp_path / "run").result == {"accuracy": 0.5}


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    open_run(tmp_path)
    with pytest.raises(RunError, match=r"other settings \(seed was 0, now 1\).*--output a new folder"):
        open_run(tmp_path, loop={"seed": 1, "max_steps": 9})


def test_settings_that_an_older_record_lacks_count_with_their_defaults(tmp_path: Path) -> None:
    open_run(tmp_path)

    def reopen(weight: float) -> Run:
        settings = {**SETTINGS, "objective": {"weight": weight}}
        return Run.open(
            tmp_path, command="pretrain", settings=settings, inputs={"data": "abc"}, defaults={"weight": 1.0}
        )

    assert reopen(1.0).record["settings"] == SETTINGS
    with pytest.raises(RunError, match=r"other settings \(weight was 1.0, now 2.0\)"):
        reopen(2.0)


def test_other_data_is_refused(tmp_path: Path) -> None:
    open_run(tmp_path)
    with pytest.raises(RunError, match="other inputs"):
        Run.open(tmp_path, command="pretrain", settings=SETTINGS, inputs={"data": "xyz"})


def test_a_run_of_another_command_is_refused(tmp_path: Path) -> None:
    open_run(tmp_path)
    with pytest.raises(RunError, match="contains a run of `albert pretrain`, not of `albert finetune`"):
        Run.open(tmp_path, command="finetune", settings=SETTINGS, inputs={})


def test_a_folder_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="contains no run"):
        open_run(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"other": 1}'])
def test_a_damaged_record_is_an_error_and_is_not_changed(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json"):
        open_run(tmp_path)
    assert (tmp_path / "run.json").read_text() == content


def test_resuming_restores_weights_and_moments_exactly(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    model, optimizer = trained(3)
    run.save(TrainingState(step=3), model, optimizer, keep=2)
    again, fresh = trained(0)
    assert open_run(tmp_path).resume(again, fresh) == TrainingState(step=3)
    for (name, parameter), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(parameter, other), name
        for key, moment in optimizer.state[parameter].items():
            assert torch.equal(moment, fresh.state[other][key])


@pytest.mark.parametrize("victim", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], victim: str, damage: str
) -> None:
    run = open_run(tmp_path)
    for step in (1, 2):
        run.save(TrainingState(step=step), *trained(step), keep=2)
    path = run.checkpoints / "step-2" / victim
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        middle = len(content) // 2
        content[middle] ^= 0xFF
        path.write_bytes(content[:middle] if damage == "truncate" else content)
    model, optimizer = trained(0)
    assert run.resume(model, optimizer).step == 1
    assert torch.equal(model.weight, trained(1)[0].weight)  # type: ignore[arg-type]
    message = capsys.readouterr().err
    assert "step-2" in message
    assert "trying the checkpoint before" in message


def test_when_every_checkpoint_is_damaged_the_run_does_not_silently_restart(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    run.save(TrainingState(step=1), *trained(1), keep=2)
    (run.checkpoints / "step-1" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        run.resume(*trained(0))


def test_only_the_newest_checkpoints_are_kept_and_leftovers_are_removed(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    (run.checkpoints / ".step-7.tmp").mkdir(parents=True)
    for step in (1, 2, 3, 10):
        run.save(TrainingState(step=step), *trained(1), keep=2)
    assert checkpoint_steps(run.checkpoints) == [3, 10]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["step-10", "step-3"]


def test_log_records_after_the_checkpoint_are_dropped_and_so_is_an_incomplete_line(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    for step in (1, 2, 3):
        run.log({"step": step})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    save_snapshot(run.checkpoints, TrainingState(step=2), *trained(1))
    run.resume(*trained(0))
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [1, 2]


def test_a_full_disk_is_an_error_that_keeps_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(tmp_path)
    run.save(TrainingState(step=1), *trained(1), keep=1)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("albert.checkpoint.folder.save_file", no_space)
    with pytest.raises(RunError, match="No space left on device; earlier checkpoints are intact"):
        run.save(TrainingState(step=2), *trained(2), keep=1)
    monkeypatch.undo()
    assert run.resume(*trained(0)).step == 1


def test_the_position_in_the_data_is_saved_with_the_weights(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    state = TrainingState(step=7, skipped_examples=96, roll_backs=2, stream_examples=5, stream_window=1)
    run.save(state, *trained(1), keep=1)
    assert run.resume(*trained(0)) == state


def test_checkpoints_of_multiples_of_keep_every_are_kept(tmp_path: Path) -> None:
    run = open_run(tmp_path)
    for step in range(1, 8):
        run.save(TrainingState(step=step), *trained(1), keep=2, keep_every=3)
    assert checkpoint_steps(run.checkpoints) == [3, 6, 7]


def test_older_checkpoints_are_removed_only_if_the_newest_is_intact_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(tmp_path)
    run.save(TrainingState(step=1), *trained(1), keep=1)
    whole = snapshots.write_json

    def spoil(path: Path, content: object) -> None:
        whole(path, content)
        with (path.parent / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"?")  # the disk stores other bytes than it was given

    monkeypatch.setattr(snapshots, "write_json", spoil)
    run.save(TrainingState(step=2), *trained(2), keep=1)
    assert checkpoint_steps(run.checkpoints) == [1, 2]
    assert "earlier checkpoints are kept" in capsys.readouterr().err
    assert run.resume(*trained(0)).step == 1
