"""Names of the files and folders of a run, in one place.

RUN/run.json      settings, inputs, versions; written once, and completed with the result
RUN/log.jsonl     one record every few steps, and one per evaluation
RUN/checkpoints/  step-N/: everything needed to resume after step N
RUN/best/, model/ model folders: the best on held-out data, and the last
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.console import say_once
from albert.errors import CheckpointError

RUN_FILE = "run.json"
LOG_FILE = "log.jsonl"
STATE_FILE = "state.json"
OPTIMIZER_FILE = "optimizer.safetensors"

_STEP = "step-"


@dataclass(frozen=True, slots=True)
class RunLayout:
    """Where the parts of a run are."""

    folder: Path
    """The run's folder."""

    @property
    def record(self) -> Path:
        """The file run.json."""
        return self.folder / RUN_FILE

    @property
    def log(self) -> Path:
        """The file log.jsonl."""
        return self.folder / LOG_FILE

    def earlier_log(self, attempt: int) -> Path:
        """Return the file to which the log of an abandoned attempt is moved."""
        return self.folder / f"log-{attempt}.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of all checkpoints."""
        return self.folder / "checkpoints"

    @property
    def best(self) -> Path:
        """The model folder of the best evaluation."""
        return self.folder / "best"

    @property
    def model(self) -> Path:
        """The model folder of the last step."""
        return self.folder / "model"

    def checkpoint(self, step: int) -> Path:
        """Return the folder of the checkpoint after `step`."""
        return checkpoint_folder(self.checkpoints, step)

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, ascending."""
        return checkpoint_steps(self.checkpoints)


def selected_model(path: Path) -> Path:
    """Return the model folder that is the result of a run, if `path` is the folder of a run, else `path`.

    Of a run that is not finished, it is the best model so far.

    Raises:
        CheckpointError: The run has written no model yet.
    """
    run = RunLayout(path)
    if (path / "config.json").exists() or not run.record.is_file():
        return path
    try:
        record = json.loads(run.record.read_text(encoding="utf-8"))
        result = record.get("result") or {}
        name = Path(str(result.get("model", "best"))).name
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{run.record}: damaged ({error}); name a model folder, such as {run.best}"
        ) from error
    chosen = run.model if name == run.model.name else run.best
    if not chosen.is_dir():
        raise CheckpointError(
            f"{path}: the run has written no model yet; continue it with its command, or name another model"
        )
    say_once(f"{path}: the run's {'result' if result else 'best model so far'} is {chosen}")
    return chosen


def written_record(folder: Path) -> dict[str, Any]:
    """Return the record of the run that wrote a model folder; an empty one for folders of other origin."""
    try:
        record = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def checkpoint_folder(checkpoints: Path, step: int) -> Path:
    """Return the folder of the checkpoint after `step`."""
    return checkpoints / f"{_STEP}{step}"


def unfinished_checkpoint(checkpoints: Path, step: int) -> Path:
    """Return the folder in which the checkpoint after `step` is written, before it gets its name."""
    return checkpoints / f".{_STEP}{step}.tmp"


def unfinished_checkpoints(checkpoints: Path) -> list[Path]:
    """Return the folders of checkpoints that a killed run left half-written."""
    return list(checkpoints.glob(f".{_STEP}*.tmp"))


def checkpoint_steps(checkpoints: Path) -> list[int]:
    """Return the steps of the checkpoints in a folder, ascending."""
    names = (path.name.removeprefix(_STEP) for path in checkpoints.glob(f"{_STEP}*"))
    return sorted(int(name) for name in names if name.isdigit())
