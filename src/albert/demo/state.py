"""The stages of a demo's folder, and how far they are."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from albert.errors import RunError
from albert.writing import write_json

STATE_FILE = "demo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One run of pretraining among those that continue each other."""

    number: int
    """From 1."""
    layers: int
    """How often the shared layer is applied."""
    steps: int
    """Optimiser steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The stages of a demo's folder, and how far they are."""

    stages: tuple[Stage, ...] = ()
    """Stages that were started."""
    shown: int = 0
    """Stages after which curves, masks and classifiers were shown as well."""

    @classmethod
    def read(cls, folder: Path) -> "State":
        """Read the state of `folder`; that of a new or empty folder is empty.

        Raises:
            RunError: The folder holds something else.
        """
        path = folder / STATE_FILE
        if not path.is_file():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise RunError(f"{folder}: exists and is not a demo's folder; give --output a new folder")
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(stages=tuple(Stage(**stage) for stage in content["stages"]), shown=content["shown"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: damaged ({error}); remove {folder} to start over") from error

    def write(self, folder: Path) -> None:
        """Write the state to `folder`, which is made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / STATE_FILE, {"stages": [asdict(s) for s in self.stages], "shown": self.shown})
