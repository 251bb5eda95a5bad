"""Curves, events, settings and progress of runs, read from their folders.

Reads `run.json` and `log.jsonl` of any run, finished, stopped or still training, and never writes. Lines that
are not records are skipped: an unfinished last line is normal while a run is writing.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from albert.checkpoint.layout import LOG_FILE, RUN_FILE, RunLayout
from albert.choices import Axis
from albert.config import CONFIG_FILE
from albert.console import warn
from albert.errors import ConfigError, RunError

Points = tuple[list[float], list[float]]

BY_LENGTH = re.compile(r"(?P<name>.+)_(?P<bucket>(?P<low>\d+)(?:-\d+|\+))")
"""A value by sequence length, such as `masked_lm_loss_65-128`."""

# Counters, and values that are no scores.
_NO_SCORES = {
    "step", "skipped", "examples", "tokens", "seconds", "perplexity", "learning_rate", "grad_norm",
    "trust_ratio_min", "trust_ratio_max", "tokens_per_second", "mfu", "padding_share", "data_wait_share",
    "memory_gb",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """One run, as read from its folder."""

    folder: Path
    """Its folder."""
    title: str
    """The end of its path, as long as needed to distinguish it from the other runs."""
    record: dict[str, Any]
    """The content of run.json."""
    training: Sequence[dict[str, Any]]
    """Training records by increasing step, without those undone by a roll-back."""
    held_out: Sequence[dict[str, Any]]
    """Held-out scores with their step, likewise."""
    events: Sequence[dict[str, Any]]
    """All events, as `step`, `event` and `text`."""

    @property
    def step(self) -> int:
        """The last logged step; 0 if there is none."""
        return max((rows[-1]["step"] for rows in (self.training, self.held_out) if rows), default=0)

    @property
    def max_steps(self) -> int | None:
        """Planned number of steps, if the record has it."""
        return next((int(value) for value in _values_of(self.record, "max_steps") if value), None)

    @property
    def state(self) -> str:
        """Its progress in words."""
        if "result" in self.record:
            return "finished"
        return "unfinished" if self.step else "no records yet"

    @property
    def selected(self) -> dict[str, Any]:
        """The evaluation of the model that is the run's result; the last one if there is no result yet."""
        result = self.record.get("result") or {}
        is_best = Path(result.get("model") or "").name == RunLayout(self.folder).best.name
        step = result["best"]["step"] if is_best and "best" in result else None
        of_step = (row for row in reversed(self.held_out) if step in (None, row["step"]))
        return next(of_step, {})

    @property
    def vocab_size(self) -> int | None:
        """Vocabulary size, if the record or the model has it."""
        run = RunLayout(self.folder)
        configs = [_read_json(folder / CONFIG_FILE) for folder in (run.model, run.best)]
        source = next(_values_of(self.record.get("settings"), "config"), None)
        configs += [_read_json(Path(source))] if isinstance(source, str) else []
        found = (value for part in (*configs, self.record) for value in _values_of(part, "vocab_size"))
        return next((value for value in found if isinstance(value, int) and value > 1), None)

    def settings(self) -> dict[str, Any]:
        """Return settings, inputs and versions as one flat dict, keyed by the innermost name: the flag."""
        parts = (self.record.get(part) or {} for part in ("inputs", "versions", "settings"))
        return {name: value for part in parts for name, value in _leaves(part)}

    def curve(self, name: str, axis: Axis, *, held_out: bool = False) -> Points:
        """Return positions on the axis and the values `name` there, without values that are not finite."""
        position = self._positions(axis)
        found = [
            (position(row["step"]), row[name])
            for row in (self.held_out if held_out else self.training)
            if is_number(row.get(name))
        ]
        return [x for x, _ in found], [y for _, y in found]

    def numbers(self, name: str) -> list[float]:
        """Return the values `name` of the training records."""
        return self.curve(name, "steps")[1]

    def position(self, step: float, axis: Axis) -> float:
        """Return the position of a step on the axis."""
        return self._positions(axis)(step)

    def _positions(self, axis: Axis) -> Callable[[float], float]:
        if axis == "steps":
            return float
        rows = [row for row in self.training if is_number(row.get("tokens"))]
        if not rows and self.training:
            raise ConfigError(
                f"{self.folder}: its log has no token counts, which --x {axis} needs; use --x steps"
            )
        # Summed over the kept records only, so that those undone by a roll-back do not count.
        amounts = [row["tokens"] for row in rows]
        if axis == "hours":
            speeds = [row.get("tokens_per_second") or math.inf for row in rows]
            amounts = [tokens / speed / 3600 for tokens, speed in zip(amounts, speeds, strict=True)]
        steps = np.array([0.0, *(row["step"] for row in rows)])
        sums = np.array([0.0, *accumulate(amounts)])
        return lambda step: float(np.interp(step, steps, sums))


def read_runs(folders: Iterable[Path]) -> list[LoggedRun]:
    """Return the runs in `folders`, each once.

    Raises:
        RunError: A folder holds no run.
    """
    unique = list({folder.resolve(): folder for folder in folders}.values())
    return [_read_run(folder, title) for folder, title in zip(unique, _titles(unique), strict=True)]


def is_number(value: Any) -> bool:
    """Return whether a logged value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def score_names(runs: Sequence[LoggedRun]) -> list[str]:
    """Return the scores that any of the runs logs; loss and accuracy of a part are neighbours."""
    found = dict.fromkeys(
        name
        for run in runs
        for row in (*run.held_out, *run.training)
        for name, value in row.items()
        if name not in _NO_SCORES and is_number(value) and not BY_LENGTH.fullmatch(name)
    )
    return sorted(found, key=lambda name: (not name.startswith("masked_lm"), _part(name), name[::-1]))


def words(name: str) -> str:
    """Return a key of the log as words: `masked_lm_loss` as "masked LM loss"."""
    return name.replace("_", " ").replace(" lm", " LM")


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
    """Return run.json; a RunError says what to give instead if there is none."""
    path = folder / RUN_FILE
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; expected the folder of a run, with {RUN_FILE}")
    if (folder / CONFIG_FILE).is_file() and not (folder / LOG_FILE).is_file():
        raise RunError(
            f"{folder}: is a model, not a run; give the folder of the run, such as {folder.parent}"
        )
    if not path.is_file():
        inside = sorted(str(record.parent) for record in folder.glob(f"*/{RUN_FILE}"))
        hint = f"; these folders in it are runs: {' '.join(inside)}" if inside else ""
        raise RunError(f"{folder}: is not a run (no {RUN_FILE}){hint}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); leave this run out") from error
    if not isinstance(record, dict) or "command" not in record:
        raise RunError(f"{path}: not written by a training; leave this folder out")
    return record


def _read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log; warn about every other line except the last."""
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
            warn(f"{path}:{number}: expected a record with a step, found {line[:40]!r}; skipped")
    return rows


def _is_evaluation(row: dict[str, Any]) -> bool:
    return isinstance(row.get("held_out"), dict)


def _without_undone(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows by increasing step; after a roll-back the later rows count."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        while kept and kept[-1]["step"] >= row["step"]:
            kept.pop()
        kept.append(row)
    return kept


def _named_alike(row: dict[str, Any], *, plain: bool) -> dict[str, Any]:
    """Return a training record whose scores have the names of the held-out ones.

    The loss of fine-tuning has one part: training logs it under the name of the part, evaluation as plain
    `loss` and `accuracy`. The sum of several parts is not a score and is dropped.
    """
    parts = [name.removesuffix("_loss") for name in row if name.endswith("_loss")]
    if plain and len(parts) == 1:
        return {name.removeprefix(f"{parts[0]}_"): value for name, value in row.items()}
    return {name: value for name, value in row.items() if name != "loss" or not parts}


def _titles(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that are all different."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=0)):
        titles = ["/".join(part[-length:]) for part in parts]
        if len(set(titles)) == len(titles):
            return titles
    return [str(folder) for folder in folders]


def _part(name: str) -> str:
    return re.sub(r"_?(loss|accuracy)$", "", name)


def _leaves(values: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name, value


def _values_of(record: Any, name: str) -> Iterator[Any]:
    """Yield the values of `name` at any depth of a record."""
    leaves = _leaves(record) if isinstance(record, dict) else ()
    return (value for key, value in leaves if key == name)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
