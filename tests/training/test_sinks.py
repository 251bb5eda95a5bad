"""The log in TensorBoard and trackio, read back by their own readers."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from albert.errors import ConfigError
from albert.training.sinks import TENSORBOARD_FOLDER, open_sinks

TRAINING = {"step": 10, "loss": 2.5, "skipped": 0, "masked_lm_loss": 1.5, "mfu": float("nan")}
EVALUATION = {"step": 10, "held_out": {"masked_lm_loss": 1.25, "masked_lm_loss_1-64": 1.0}}
EVENT = {"step": 10, "event": "roll-back", "text": "loss rose to 9.1; back to step 5"}

TRACKIO = """
import json, sys
from pathlib import Path
from albert.training.sinks import open_sinks
folder, steps = Path(sys.argv[1]), json.loads(sys.argv[2])
(sink,) = open_sinks(["trackio"], folder, "base", {"seed": 3})
for step in steps:
    sink.write({"step": step, "loss": 10.0 / step})
    sink.write({"step": step, "held_out": {"masked_lm_loss": 9.0 / step}})
sink.write({"step": steps[-1], "event": "roll-back", "text": "back to step 5"})
sink.close()
"""


def shown(folder: Path) -> Any:
    """What TensorBoard would show of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own
        events = EventAccumulator(str(folder / TENSORBOARD_FOLDER))
        events.Reload()
    return events


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in shown(folder).Scalars(name)]


def texts(folder: Path, name: str) -> list[str]:
    return [
        event.tensor_proto.string_val[0].decode() for event in shown(folder).Tensors(f"{name}/text_summary")
    ]


def write(folder: Path, *records: dict[str, Any]) -> None:
    (sink,) = open_sinks(["tensorboard"], folder, "base", {"seed": 3})
    for record in records:
        sink.write(record)
    sink.close()


def test_tensorboard_shows_training_evaluation_events_and_settings(tmp_path: Path) -> None:
    write(tmp_path, TRAINING, EVALUATION, EVENT)
    assert set(shown(tmp_path).Tags()["scalars"]) == {
        "train/loss",
        "train/skipped",
        "train/masked_lm_loss",
        "held_out/masked_lm_loss",
        "held_out/masked_lm_loss_1-64",
    }
    assert scalars(tmp_path, "held_out/masked_lm_loss") == [(10, 1.25)]
    assert texts(tmp_path, "events") == ["step 10: roll-back: loss rose to 9.1; back to step 5"]
    assert '"seed": 3' in texts(tmp_path, "settings")[0]


def test_repeated_steps_of_a_resumed_run_replace_those_in_tensorboard(tmp_path: Path) -> None:
    write(tmp_path, *({"step": step, "loss": 1.0} for step in (1, 2, 3, 4)))
    write(tmp_path, *({"step": step, "loss": 2.0} for step in (3, 4, 5)))
    expected = [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]
    assert scalars(tmp_path, "train/loss") == expected
    assert len(texts(tmp_path, "settings")) == 1


def test_a_roll_back_within_a_run_replaces_later_steps_in_tensorboard(tmp_path: Path) -> None:
    write(tmp_path, *({"step": step, "loss": float(n)} for n, step in enumerate([1, 2, 3, 4, 2, 3, 2])))
    assert scalars(tmp_path, "train/loss") == [(1, 0.0), (2, 6.0)]


def test_a_full_disk_is_a_warning_and_the_training_continues(tmp_path: Path) -> None:
    script = """
import resource, sys, time
from pathlib import Path
from albert.training.sinks import open_sinks
(sink,) = open_sinks(["tensorboard"], Path(sys.argv[1]), "base", {})
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
for step in range(1, 2000):
    sink.write({"step": step, "loss": 1.0})
sink.close()
print("trained on")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "trained on\n"
    assert done.stderr.count("warning: tensorboard: cannot write") == 1
    assert "it receives no further records" in done.stderr


def test_trackio_stores_a_run_on_this_machine_and_continues_it(tmp_path: Path) -> None:
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "store"), "HF_HUB_OFFLINE": "1"}
    folder = tmp_path / "run"
    folder.mkdir()
    for steps in ([5, 10], [15]):
        done = subprocess.run(
            [sys.executable, "-c", TRACKIO, str(folder), json.dumps(steps)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "", "standard output belongs to the result"
    read = """
import json, trackio
from trackio.sqlite_storage import SQLiteStorage
(run,) = trackio.Api().runs("albert")
print(json.dumps([run.name, run.config["seed"], SQLiteStorage.get_logs("albert", run.name, run_id=run.id)]))
"""
    output = subprocess.run(
        [sys.executable, "-c", read], env=environment, capture_output=True, text=True, check=True
    ).stdout
    name, seed, rows = json.loads(output.splitlines()[-1])
    assert name == json.loads((folder / "trackio.json").read_text())["run"]
    assert name.startswith("base-")
    assert seed == 3
    assert [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row] == [
        (5, 2.0),
        (10, 1.0),
        (15, 10 / 15),
    ]
    assert [row["held_out/masked_lm_loss"] for row in rows if "held_out/masked_lm_loss" in row] == [
        1.8,
        0.9,
        0.6,
    ]
    assert ["back to step 5" in str(row["events"]) for row in rows if "events" in row] == [True, True]


@pytest.mark.parametrize("variable", ["TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"])
def test_an_environment_that_would_send_the_log_away_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "somebody/else")
    with pytest.raises(ConfigError, match=f"unset {variable}"):
        open_sinks(["trackio"], tmp_path, "base", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("trackio", "trackio")]
)
def test_a_missing_package_is_named_with_its_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'albert-lm\[{name}\]'"):
        open_sinks([name], tmp_path, "base", {})


def test_only_requested_viewers_are_opened(tmp_path: Path) -> None:
    assert open_sinks([], tmp_path, "base", {}) == []
    assert list(tmp_path.iterdir()) == []
