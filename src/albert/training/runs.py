"""The folder of one run: what it was asked to do, its log, its checkpoints, its models.

    RUN/run.json      settings, inputs, versions; written once, and completed with the result
    RUN/log.jsonl     one record every few steps, and one an evaluation
    RUN/checkpoints/  step-N/: everything needed to go on
    RUN/best/, model/ model folders: best on held-out data, last

The same command on an unfinished folder resumes it; with other settings it is refused.
"""

import json
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from albert.checkpoint.folder import replacing, write_json
from albert.checkpoint.snapshots import TrainingState, drop_old_snapshots, load_newest_snapshot, save_snapshot
from albert.console import say
from albert.errors import RunError

RUN_FILE = "run.json"
LOG_FILE = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Run:
    """An open run folder."""

    folder: Path
    """Where everything of the run lies."""
    record: dict[str, Any]
    """The content of run.json."""

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        command: str,
        settings: dict[str, Any],
        inputs: dict[str, Any],
        shared: bool = False,
    ) -> "Run":
        """Begin a run in `folder`, or takes up the one that was begun there.

        Args:
            folder: Made if missing.
            command: Subcommand that runs.
            settings: Its settings, as JSON.
            inputs: Fingerprints of what is read, as JSON; other inputs are another run.
            shared: Whether the folder may hold other files.

        Raises:
            RunError: The folder holds something else, or a run with other settings.
        """
        path = folder / RUN_FILE
        asked = {"command": command, "settings": settings, "inputs": inputs}
        if path.is_file():
            record = _read_record(path)
            _check_same(folder, asked, record)
            return cls(folder, record)
        if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not shared)):
            raise RunError(f"{folder}: exists and holds no run; give --output a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        record = {**asked, "versions": versions()}
        write_json(path, record)
        return cls(folder, record)

    @property
    def result(self) -> dict[str, Any] | None:
        """What the finished run found; None while it is unfinished."""
        return self.record.get("result")

    @property
    def attempts(self) -> int:
        """How often the run was begun again."""
        return len(self.record.get("attempts", ()))

    def begin_again(self, reason: str) -> None:
        """Drop checkpoints and best model; the log so far becomes `log-N.jsonl`, the reason is recorded."""
        number = self.attempts
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.best, ignore_errors=True)
        log = self.folder / LOG_FILE
        if log.is_file():
            log.rename(log.with_name(f"log-{number}.jsonl"))
        self.record["attempts"] = [*self.record.get("attempts", ()), reason]
        write_json(self.folder / RUN_FILE, self.record)

    def finish(self, result: dict[str, Any]) -> None:
        """Mark the run as finished."""
        self.record["result"] = result
        write_json(self.folder / RUN_FILE, self.record)

    def resume(self, model: nn.Module, optimizer: Optimizer) -> TrainingState:
        """Fill `model` and `optimizer` from the newest whole checkpoint.

        Log records behind it are dropped: their steps will be done again.

        Returns:
            How far that is; the beginning for a new run.
        """
        place = load_newest_snapshot(self.checkpoints, model, optimizer)
        if place.step:
            say(f"{self.folder}: resuming behind step {place.step}")
        log = self.folder / LOG_FILE
        if log.is_file():
            kept = [record for record in self.log_records() if record["step"] <= place.step]
            with replacing(log) as temporary:
                lines = "".join(json.dumps(record) + "\n" for record in kept)
                temporary.write_text(lines, encoding="utf-8")
        return place

    def save(
        self,
        place: TrainingState,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        keep: int,
        keep_every: int | None = None,
    ) -> None:
        """Write the checkpoint of a place, and removes all but the `keep` newest and every so many steps.

        Raises:
            RunError: The disk is full or refuses; earlier checkpoints stay.
        """
        try:
            save_snapshot(self.checkpoints, place, model, optimizer)
        except OSError as error:
            raise RunError(
                f"{self.checkpoints}: cannot write the checkpoint of step {place.step}: {error.strerror}; "
                "earlier checkpoints are whole: free some space and run the same command again"
            ) from error
        drop_old_snapshots(self.checkpoints, keep=keep, keep_every=keep_every)

    def log(self, record: dict[str, Any]) -> None:
        """Append `record`, which has a `step`, to log.jsonl."""
        with (self.folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def log_records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of log.jsonl; a last line cut off by a kill is left out."""
        path = self.folder / LOG_FILE
        if not path.is_file():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def best(self) -> Path:
        """Model folder of the best evaluation."""
        return self.folder / "best"

    @property
    def model(self) -> Path:
        """Model folder of the last step."""
        return self.folder / "model"


def settings_as_json(settings: Any) -> dict[str, Any]:
    """Return a settings dataclass as JSON: paths become text."""
    return json.loads(json.dumps(asdict(settings), default=str))


def versions() -> dict[str, str]:
    """Return what the numbers of a run depend on beside its settings."""
    return {
        "albert": version("albert"),
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def _commit() -> str:
    """Return the commit of a source checkout, or "" for an installed package."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or "command" not in record:
            raise RunError(f"{path}: not written by this program; give --output a new folder")
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); give --output a new folder") from error
    return record


def _check_same(folder: Path, asked: dict[str, Any], found: dict[str, Any]) -> None:
    """Check that the run in `folder` is the one that is asked for.

    Raises:
        RunError: It is not; the message names what differs.
    """
    if asked["command"] != found["command"]:
        raise RunError(
            f"{folder}: holds a run of `albert {found['command']}`, not of `albert {asked['command']}`; "
            "give --output a new folder"
        )
    for part in ("settings", "inputs"):
        new, old = _flat(asked[part]), _flat(found.get(part, {}))
        differing = [name for name in {**old, **new} if new.get(name) != old.get(name)]
        if differing:
            changes = ", ".join(f"{n} was {old.get(n)!r}, now {new.get(n)!r}" for n in differing)
            raise RunError(
                f"{folder}: holds a run with other {part} ({changes}); "
                "repeat its command to resume it, or give --output a new folder"
            )


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings as one level, keyed by the innermost name: the flag."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(_flat(value) if isinstance(value, dict) else {name: value})
    return flat
