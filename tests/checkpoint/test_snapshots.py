"""The version of `state.json`: older files are read, newer ones are refused, incomplete ones are damaged."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from albert.checkpoint.layout import RunLayout
from albert.checkpoint.snapshots import (
    FORMAT_VERSION,
    NewerFormatError,
    TrainingState,
    load_newest_snapshot,
    load_snapshot_weights,
    save_snapshot,
)
from albert.errors import CheckpointError
from albert.optim.optimizers import make_optimizer

STATE = TrainingState(
    step=7, skipped_examples=96, roll_backs=2, stream_examples=640, stream_epoch=3, stream_window=1
)
UNVERSIONED = {
    "step": 7, "skipped_examples": 96, "roll_backs": 2, "mark_examples": 640, "mark_epoch": 3,
    "mark_window": 1,
}  # fmt: skip
"""What the first version, which had no version number, wrote for `STATE`."""


@pytest.fixture
def run(tmp_path: Path) -> RunLayout:
    """A run with checkpoints after steps 5 and 7."""
    layout = RunLayout(tmp_path)
    for state in (TrainingState(step=5), STATE):
        save_snapshot(layout.checkpoints, state, *trained(state.step))
    return layout


def trained(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    return model, make_optimizer("lamb", model, weight_decay=0.01)


def load(run: RunLayout) -> TrainingState:
    return load_newest_snapshot(run.checkpoints, *trained(0))


def rewrite(run: RunLayout, **changes: Any) -> None:
    """Change the newest `state.json`; a value of None removes a key."""
    path = run.checkpoint(7) / "state.json"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def make_unversioned(run: RunLayout) -> None:
    path = run.checkpoint(7) / "state.json"
    checksums = json.loads(path.read_text())["sha256"]
    path.write_text(json.dumps({**UNVERSIONED, "sha256": checksums}))


def test_the_file_has_a_version_and_the_names_of_the_state(run: RunLayout) -> None:
    content = json.loads((run.checkpoint(7) / "state.json").read_text())
    assert content.pop("format_version") == FORMAT_VERSION == 1
    assert set(content.pop("sha256")) == {"model.safetensors", "optimizer.safetensors"}
    assert TrainingState(**content) == STATE
    assert load(run) == STATE


def test_a_file_without_a_version_is_read_by_its_older_names(run: RunLayout) -> None:
    make_unversioned(run)
    assert load(run) == STATE


@pytest.mark.parametrize("key", ["step", "stream_window", "roll_backs", "sha256"])
def test_a_missing_key_is_damage_and_not_0(
    run: RunLayout, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    rewrite(run, **{key: None})
    with pytest.raises(CheckpointError, match=f"state.json: damaged; the key '{key}' is missing"):
        load_snapshot_weights(run.checkpoint(7), trained(0)[0])
    assert load(run).step == 5
    assert "trying the checkpoint before" in capsys.readouterr().err


def test_a_missing_key_of_an_older_file_is_damage_too(run: RunLayout) -> None:
    make_unversioned(run)
    rewrite(run, mark_epoch=None)
    with pytest.raises(CheckpointError, match="the key 'mark_epoch' is missing"):
        load_snapshot_weights(run.checkpoint(7), trained(0)[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": "seven"}, "a value has the wrong type"),
        ({"format_version": "1"}, "expected a number as format_version, found '1'"),
        ({"sha256": 3}, "a value has the wrong type"),
    ],
)
def test_a_value_of_another_type_is_damage(run: RunLayout, changes: dict[str, Any], message: str) -> None:
    rewrite(run, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_snapshot_weights(run.checkpoint(7), trained(0)[0])
    assert load(run).step == 5


def test_a_newer_version_is_an_error_and_not_a_reason_to_use_the_checkpoint_before(run: RunLayout) -> None:
    rewrite(run, format_version=2)
    with pytest.raises(NewerFormatError, match=r"format version 2, .* reads 1 and older; resume the run"):
        load(run)


def test_the_layout_finds_what_was_saved(run: RunLayout) -> None:
    (run.checkpoints / "step-x").mkdir()
    assert run.steps() == [5, 7]
    assert run.checkpoint(7) == run.folder / "checkpoints" / "step-7"
    assert RunLayout(run.folder / "none").steps() == []
