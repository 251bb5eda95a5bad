"""The record of a run, `run.json`, read and compared; nothing here loads torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from albert.checkpoint.layout import RunLayout
from albert.errors import RunError
from albert.renamed import rename_settings
from albert.training.settings import OptimizerSettings


def check_output(
    folder: Path,
    *,
    command: str,
    settings: dict[str, Any],
    shared: bool = False,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Check that a run can start or resume in `folder`, as far as its settings tell; see `Run.open`.

    Raises:
        RunError: The folder contains something else, or a run with other settings.
    """
    path = RunLayout(folder).record
    if path.is_file():
        check_same(folder, {"command": command, "settings": settings}, read_record(path), defaults or {})
    elif folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not shared)):
        raise RunError(f"{folder}: exists and contains no run; give --output a new folder")


def settings_as_json(settings: Any) -> dict[str, Any]:
    """Return a settings dataclass as JSON, with paths as text."""
    return json.loads(json.dumps(asdict(settings), default=str))


def read_record(path: Path) -> dict[str, Any]:
    """Return the content of a run.json.

    Raises:
        RunError: It is damaged, or not of a run.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or "command" not in record:
            raise RunError(f"{path}: not written by this program; give --output a new folder")
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); give --output a new folder") from error
    return record


def check_same(
    folder: Path, asked: dict[str, Any], found: dict[str, Any], defaults: Mapping[str, Any]
) -> None:
    """Check that the run in `folder` has the same command, settings and inputs, as far as they are known.

    Raises:
        RunError: It does not; the message names what differs.
    """
    if asked["command"] != found["command"]:
        raise RunError(
            f"{folder}: contains a run of `albert {found['command']}`, not of `albert {asked['command']}`; "
            "give --output a new folder"
        )
    for part in ("settings", "inputs"):
        if part not in asked:
            continue
        new = _with_warmup_in_steps(_flat(asked[part]))
        old = _with_warmup_in_steps({**defaults, **_flat(rename_settings(found.get(part, {})))})
        names = [name for name in {**old, **new} if name in new or name not in defaults]
        differing = [name for name in names if new.get(name) != old.get(name)]
        if differing:
            changes = ", ".join(f"{n} was {old.get(n)!r}, now {new.get(n)!r}" for n in differing)
            raise RunError(
                f"{folder}: contains a run with other {part} ({changes}); "
                "repeat its command to resume it, or give --output a new folder"
            )


def _with_warmup_in_steps(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings by name with the warm-up in steps, the only form that runs of older versions have."""
    others = {name: value for name, value in settings.items() if name != "warmup_share"}
    if "warmup_share" not in settings or settings["warmup_steps"] is not None:
        return others
    optimizer = OptimizerSettings(warmup_share=settings["warmup_share"])
    return others | {"warmup_steps": optimizer.warmup(settings["max_steps"])}


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings as one level, keyed by the innermost name, which is the flag."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(_flat(value) if isinstance(value, dict) else {name: value})
    return flat
