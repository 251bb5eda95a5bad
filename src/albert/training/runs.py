"""The folder of one run: its settings, log, checkpoints and models, named as `checkpoint.layout` says.

The same command on an unfinished folder resumes the run; with other settings it is refused.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from albert.checkpoint.layout import RunLayout
from albert.checkpoint.snapshots import TrainingState, drop_old_snapshots, load_newest_snapshot, save_snapshot
from albert.console import say
from albert.errors import RunError
from albert.training.record import check_output, check_same, read_record
from albert.training.versions import versions
from albert.writing import replacing, write_json


@dataclass(frozen=True, slots=True)
class Run:
    """An open run folder."""

    folder: Path
    """The run's folder."""
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
        defaults: Mapping[str, Any] | None = None,
    ) -> "Run":
        """Start a run in `folder`, or resume the one that was started there.

        Args:
            folder: Made if missing.
            command: Name of the command.
            settings: Its settings, as JSON.
            inputs: Fingerprints of the data, as JSON; a run with other inputs is another run.
            shared: Whether the folder may contain other files.
            defaults: Values of settings that runs of older versions lack, by name.

        Raises:
            RunError: The folder contains something else, or a run with other settings.
        """
        path = RunLayout(folder).record
        asked = {"command": command, "settings": settings, "inputs": inputs}
        if path.is_file():
            record = read_record(path)
            check_same(folder, asked, record, defaults or {})
            return cls(folder, record)
        check_output(folder, command=command, settings=settings, shared=shared)
        folder.mkdir(parents=True, exist_ok=True)
        record = {**asked, "versions": versions()}
        write_json(path, record)
        return cls(folder, record)

    @property
    def result(self) -> dict[str, Any] | None:
        """Result of the finished run; None while it is unfinished."""
        return self.record.get("result")

    @property
    def attempts(self) -> int:
        """How often the run was restarted."""
        return len(self.record.get("attempts", ()))

    def begin_again(self, reason: str) -> None:
        """Remove checkpoints and best model, move the log to `log-N.jsonl`, and record the reason."""
        number = self.attempts
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.best, ignore_errors=True)
        if self.layout.log.is_file():
            self.layout.log.rename(self.layout.earlier_log(number))
        self.record["attempts"] = [*self.record.get("attempts", ()), reason]
        write_json(self.layout.record, self.record)

    def finish(self, result: dict[str, Any]) -> None:
        """Mark the run as finished."""
        self.record["result"] = result
        write_json(self.layout.record, self.record)

    def resume(self, model: nn.Module, optimizer: Optimizer) -> TrainingState:
        """Fill `model` and `optimizer` from the newest undamaged checkpoint.

        Later log records are dropped, as their steps will be done again.

        Returns:
            Its state; step 0 for a new run.
        """
        state = load_newest_snapshot(self.checkpoints, model, optimizer)
        if state.step:
            say(f"{self.folder}: resuming after step {state.step}")
        log = self.layout.log
        if log.is_file():
            kept = [record for record in self.log_records() if record["step"] <= state.step]
            with replacing(log) as temporary:
                lines = "".join(json.dumps(record) + "\n" for record in kept)
                temporary.write_text(lines, encoding="utf-8")
        return state

    def save(
        self,
        state: TrainingState,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        keep: int,
        keep_every: int | None = None,
    ) -> None:
        """Write the checkpoint of `state`, and remove all but the `keep` newest and those of `keep_every`.

        Raises:
            RunError: The disk is full or cannot be written; earlier checkpoints are kept.
        """
        try:
            save_snapshot(self.checkpoints, state, model, optimizer)
        except OSError as error:
            raise RunError(
                f"{self.checkpoints}: cannot write the checkpoint of step {state.step}: {error.strerror}; "
                "earlier checkpoints are intact: free some space and run the same command again"
            ) from error
        drop_old_snapshots(self.checkpoints, keep=keep, keep_every=keep_every)

    def log(self, record: dict[str, Any]) -> None:
        """Append `record`, which has a `step`, to log.jsonl."""
        with self.layout.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def log_records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of log.jsonl, except a last line that a kill cut off."""
        path = self.layout.log
        if not path.is_file():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return

    @property
    def layout(self) -> RunLayout:
        """Names of the run's files and folders."""
        return RunLayout(self.folder)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.layout.checkpoints

    @property
    def best(self) -> Path:
        """Model folder of the best evaluation."""
        return self.layout.best

    @property
    def model(self) -> Path:
        """Model folder of the last step."""
        return self.layout.model
