"""The log of a training in TensorBoard and trackio, both on this machine.

`log.jsonl` stays the record. A viewer whose files can no longer be written is dropped with a warning and
never ends a training. Names are `train/loss`, `held_out/masked_lm_loss`; events are text.
"""

import importlib
import io
import json
import math
import os
import uuid
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal, Protocol

from albert.console import say, warn
from albert.distribution import install_command
from albert.errors import ConfigError
from albert.writing import write_json

SinkName = Literal["tensorboard", "trackio"]

TENSORBOARD_FOLDER = "tensorboard"
TRACKIO_FILE = "trackio.json"
TRACKIO_PROJECT = "albert"

FLUSH_SECONDS = 20
_SENDS_AWAY = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


class LogSink(Protocol):
    """A further receiver of log records."""

    def write(self, record: dict[str, Any]) -> None:
        """Write one record of log.jsonl: of training, of an evaluation, or of an event."""

    def close(self) -> None:
        """Write what is buffered; no record may follow."""


def open_sinks(
    names: Sequence[SinkName], folder: Path, run_name: str, config: dict[str, Any]
) -> list[LogSink]:
    """Open viewers for a run, or continue those of its earlier part.

    Args:
        names: Names of viewers; repeated ones count once.
        folder: The run's folder. TensorBoard's files are in `tensorboard/` there. trackio keeps all runs
            together in `TRACKIO_DIR`, and `trackio.json` in the folder names the run.
        run_name: Name of the run in trackio.
        config: Its settings, as JSON, shown next to the curves.

    Raises:
        ConfigError: A package is missing, or the environment makes trackio send the log elsewhere.
    """
    return [_OPENERS[name](folder, run_name, config) for name in dict.fromkeys(names)]


class _TensorBoard:
    """Event files that `tensorboard --logdir` shows.

    When the step number falls, because the run was resumed or rolled back, later records are purged.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self._folder = folder / TENSORBOARD_FOLDER
        self._config = None if self._folder.exists() else config
        self._writer: Any = None
        self._step = -1

    def write(self, record: dict[str, Any]) -> None:
        step = record["step"]
        if self._writer is None or step < self._step:
            self._open(step)
        self._step = step
        for name, value in _scalars(record).items():
            self._writer.add_scalar(name, value, step)
        if "event" in record:
            self._writer.add_text("events", _text_of(record), step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        # File names contain only second and process, and two files may be opened in the same second.
        self._writer = SummaryWriter(
            self._folder,
            purge_step=step,
            flush_secs=FLUSH_SECONDS,
            filename_suffix=f".{len(list(self._folder.glob('*'))):04}",
        )
        if self._config is not None:
            text = json.dumps(self._config, indent=2, ensure_ascii=False)
            self._writer.add_text("settings", f"```json\n{text}\n```", 0)
            self._config = None


class _Trackio:
    """A run in trackio's own store, which `trackio show` shows.

    Steps that are done again appear twice, because trackio cannot purge records.
    """

    def __init__(self, folder: Path, run_name: str, config: dict[str, Any]) -> None:
        self._trackio = importlib.import_module("trackio")
        path = folder / TRACKIO_FILE
        resume = "allow" if path.is_file() else "never"
        if resume == "never":
            # Runs in other folders may have the same name.
            name = f"{run_name}-{uuid.uuid4().hex[:6]}"
            write_json(path, {"project": TRACKIO_PROJECT, "run": name})
        name = json.loads(path.read_text(encoding="utf-8"))["run"]
        # trackio prints to standard output, which is reserved for the result.
        with redirect_stdout(io.StringIO()):
            self._run = self._trackio.init(
                TRACKIO_PROJECT,
                name=name,
                config=config,
                resume=resume,
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        say(f"trackio: {name}; look at it with: trackio show --project {TRACKIO_PROJECT}")

    def write(self, record: dict[str, Any]) -> None:
        values: dict[str, Any] = _scalars(record)
        if "event" in record:
            values["events"] = self._trackio.Markdown(_text_of(record))
        self._run.log(values, step=record["step"])

    def close(self) -> None:
        with redirect_stdout(io.StringIO()):
            # Not `self._run.finish()`: the run would be finished, with messages, again at exit.
            self._trackio.finish()


class _Guarded:
    """A sink whose failures become warnings."""

    def __init__(self, name: str, sink: LogSink) -> None:
        self._name, self._sink = name, sink
        self._broken = False

    def write(self, record: dict[str, Any]) -> None:
        if not self._broken:
            try:
                self._sink.write(record)
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        try:
            self._sink.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self._broken:
            warn(f"{self._name}: cannot write ({error.strerror or error}); it receives no further records")
        self._broken = True


def _open_tensorboard(folder: Path, _run_name: str, config: dict[str, Any]) -> LogSink:
    _check_installed("tensorboard", "torch.utils.tensorboard")
    return _Guarded("tensorboard", _TensorBoard(folder, config))


def _open_trackio(folder: Path, run_name: str, config: dict[str, Any]) -> LogSink:
    for variable in _SENDS_AWAY:
        if os.environ.get(variable):
            raise ConfigError(
                f"{variable} is set, so trackio would send the log to another machine; albert keeps logs on "
                f"this one only: unset {variable}"
            )
    _check_installed("trackio", "trackio")
    return _Guarded("trackio", _Trackio(folder, run_name, config))


_OPENERS = {"tensorboard": _open_tensorboard, "trackio": _open_trackio}


def _check_installed(name: str, module: str) -> None:
    """Check that the package of an extra can be imported.

    Raises:
        ConfigError: It cannot; the message says how to install it.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"--log-to {name} needs a package that is not installed; run: {install_command(name)}"
        ) from error


def _scalars(record: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a record by the names under which they are shown."""
    held_out = record.get("held_out")
    prefix, values = ("train", record) if held_out is None else ("held_out", held_out)
    return {
        f"{prefix}/{name}": float(value)
        for name, value in values.items()
        if name != "step"
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    }


def _text_of(record: dict[str, Any]) -> str:
    return f"step {record['step']}: {record['event']}: {record.get('text', '')}"
