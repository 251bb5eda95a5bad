"""What run folders tell about their trainings, read for people: curves, events, settings, how far they are.

Reads `run.json` and `log.jsonl` of any training, finished, stopped or running at this moment, and never
writes. A line that is no record is left out: one that is being written looks just like one that was cut.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np

from albert.checkpoint.folder import CONFIG_FILE
from albert.checkpoint.layout import LOG_FILE, RUN_FILE, RunLayout
from albert.console import warn
from albert.errors import ConfigError, RunError

Axis = Literal["steps", "tokens", "hours"]
Points = tuple[list[float], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """One training, as its folder tells it."""

    folder: Path
    """Where it lies."""
    title: str
    """What tells it from the others: the end of its path."""
    record: dict[str, Any]
    """The content of run.json."""
    training: Sequence[dict[str, Any]]
    """Records of training, by rising step; what a roll-back undid is left out."""
    held_out: Sequence[dict[str, Any]]
    """Scores on held-out data with their step, likewise."""
    events: Sequence[dict[str, Any]]
    """What happened, as `step`, `event` and `text`; all of it."""

    @property
    def step(self) -> int:
        """Steps the log tells of; 0 for one that has just begun."""
        return max((rows[-1]["step"] for rows in (self.training, self.held_out) if rows), default=0)

    @property
    def max_steps(self) -> int | None:
        """Steps it is to make, where the record says so."""
        return next((int(value) for value in _values_of(self.record, "max_steps") if value), None)

    @property
    def state(self) -> str:
        """How far it is, in words."""
        if "result" in self.record:
            return "finished"
        return "unfinished" if self.step else "no records yet"

    @property
    def vocab_size(self) -> int | None:
        """Pieces the masked language model chooses from, where record or model say so."""
        run = RunLayout(self.folder)
        configs = [_read_json(folder / CONFIG_FILE) for folder in (run.model, run.best)]
        source = next(_values_of(self.record.get("settings"), "config"), None)
        configs += [_read_json(Path(source))] if isinstance(source, str) else []
        found = (value for part in (*configs, self.record) for value in _values_of(part, "vocab_size"))
        return next((value for value in found if isinstance(value, int) and value > 1), None)

    def settings(self) -> dict[str, Any]:
        """Returns its settings, inputs and versions as one level, keyed by the innermost name: the flag."""
        parts = (self.record.get(part) or {} for part in ("inputs", "versions", "settings"))
        return {name: value for part in parts for name, value in _leaves(part)}

    def curve(self, name: str, axis: Axis, *, held_out: bool = False) -> Points:
        """Returns places on the axis, and the values `name` there; without those that are not finite."""
        place = self._places(axis)
        found = [
            (place(row["step"]), row[name])
            for row in (self.held_out if held_out else self.training)
            if is_number(row.get(name))
        ]
        return [x for x, _ in found], [y for _, y in found]

    def numbers(self, name: str) -> list[float]:
        """Returns the values `name` of its training records."""
        return self.curve(name, "steps")[1]

    def place(self, step: float, axis: Axis) -> float:
        """Returns where a step is on the axis."""
        return self._places(axis)(step)

    def _places(self, axis: Axis) -> Callable[[float], float]:
        if axis == "steps":
            return float
        rows = [row for row in self.training if is_number(row.get("tokens"))]
        if not rows and self.training:
            raise ConfigError(
                f"{self.folder}: its log counts no tokens, so --x {axis} has nothing to go by; use --x steps"
            )
        # Of its own steps each, so that a record which a roll-back undid leaves no trace in the sum.
        amounts = [row["tokens"] for row in rows]
        if axis == "hours":
            speeds = [row.get("tokens_per_second") or math.inf for row in rows]
            amounts = [tokens / speed / 3600 for tokens, speed in zip(amounts, speeds, strict=True)]
        steps = np.array([0.0, *(row["step"] for row in rows)])
        sums = np.array([0.0, *accumulate(amounts)])
        return lambda step: float(np.interp(step, steps, sums))


def read_runs(folders: Iterable[Path]) -> list[LoggedRun]:
    """Returns the runs in `folders`, each once.

    Raises:
        RunError: A folder holds no run.
    """
    places = list({folder.resolve(): folder for folder in folders}.values())
    return [_read_run(place, title) for place, title in zip(places, _titles(places), strict=True)]


def is_number(value: Any) -> bool:
    """Tells whether a logged value can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _read_run(folder: Path, title: str) -> LoggedRun:
    record = _read_record(folder)
    rows = _read_log(folder / LOG_FILE)
    held_out = [{**row["held_out"], "step": row["step"]} for row in rows if _is_evaluation(row)]
    training = [row for row in rows if not _is_evaluation(row) and "event" not in row]
    plain = any("loss" in row for row in held_out)
    return LoggedRun(
        folder=folder,
        title=title,
        record=record,
        training=[_named_alike(row, plain=plain) for row in _without_undone(training)],
        held_out=_without_undone(held_out),
        events=[row for row in rows if "event" in row],
    )


def _read_record(folder: Path) -> dict[str, Any]:
    """Returns run.json; RunError with a way out where there is none."""
    path = folder / RUN_FILE
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; expected the folder of a run, with {RUN_FILE}")
    if (folder / CONFIG_FILE).is_file() and not (folder / LOG_FILE).is_file():
        raise RunError(f"{folder}: is a model, not a run; give the run's folder, such as {folder.parent}")
    if not path.is_file():
        inside = sorted(str(record.parent) for record in folder.glob(f"*/{RUN_FILE}"))
        hint = f"; the folders inside it do: {' '.join(inside)}" if inside else ""
        raise RunError(f"{folder}: holds no run (no {RUN_FILE}){hint}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); leave this run out") from error
    if not isinstance(record, dict) or "command" not in record:
        raise RunError(f"{path}: not written by a training; leave this folder out")
    return record


def _read_log(path: Path) -> list[dict[str, Any]]:
    """Returns the records of a log; says which lines are none, unless it is the last."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and is_number(row.get("step")):
            rows.append(row)
        elif number < len(lines):
            warn(f"{path}:{number}: expected a record with a step, found {line[:40]!r}; left out")
    return rows


def _is_evaluation(row: dict[str, Any]) -> bool:
    return isinstance(row.get("held_out"), dict)


def _without_undone(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns rows by rising step: after a roll-back the later ones hold."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        while kept and kept[-1]["step"] >= row["step"]:
            kept.pop()
        kept.append(row)
    return kept


def _named_alike(row: dict[str, Any], *, plain: bool) -> dict[str, Any]:
    """Returns a training record whose scores are named as the held-out ones.

    The loss of a fine-tuning has one part, which training logs under its own name and the evaluation as
    plain `loss` and `accuracy`. The sum over several parts is no score and goes.
    """
    parts = [name.removesuffix("_loss") for name in row if name.endswith("_loss")]
    if plain and len(parts) == 1:
        return {name.removeprefix(f"{parts[0]}_"): value for name, value in row.items()}
    return {name: value for name, value in row.items() if name != "loss" or not parts}


def _titles(folders: Sequence[Path]) -> list[str]:
    """Returns the shortest ends of the paths that differ."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=0)):
        titles = ["/".join(part[-length:]) for part in parts]
        if len(set(titles)) == len(titles):
            return titles
    return [str(folder) for folder in folders]


def _leaves(values: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name, value


def _values_of(record: Any, name: str) -> Iterator[Any]:
    """Yields the values of `name` at any depth of a record."""
    leaves = _leaves(record) if isinstance(record, dict) else ()
    return (value for key, value in leaves if key == name)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
