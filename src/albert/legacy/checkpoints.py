"""Checkpoints by the original's names, in TensorFlow's format or in a run of this package.

A run of this package has `best/` instead of `model.ckpt-best.*`, and `checkpoints/step-N/` instead of
`model.ckpt-N.*`; both can be named as in the original.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from albert.checkpoint.layout import RUN_FILE, RunLayout
from albert.checkpoint.sources import is_model_folder
from albert.checkpoint.tensorflow import TensorBundle
from albert.conversion.bare_weights import bare_folder
from albert.conversion.conversion import model_folder
from albert.errors import CheckpointError, UsageError

BEST_NAME = "model.ckpt-best"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights after some step."""

    step: int
    """Number of optimiser steps."""
    path: Path
    """A model folder, a snapshot, or the prefix of a TensorFlow checkpoint."""


def find_weights(name: str, config: Path, *, own_groups: bool = False) -> Path:
    """Return a model folder for a checkpoint of the original's or of ours, converted if necessary.

    Args:
        name: The prefix of a TensorFlow checkpoint, the same name in a run of this package, a model folder, a
            Hub id, or an archive.
        config: File of the shape, for checkpoints without one next to them.
        own_groups: Whether the checkpoint may have other groups of layers.

    Raises:
        UsageError: The name is empty, as with an unset shell variable.
        CheckpointError: There is no such checkpoint, or it has another shape.
    """
    if not name.strip():
        raise UsageError("--init_checkpoint is empty; name a checkpoint, or drop the flag for random weights")
    path = resolve(Path(name))
    if path is not None:
        return bare_folder(path, config, own_groups=own_groups)
    if Path(name).is_dir() and (found := newest_of_tensorflow(Path(name))):
        return bare_folder(found.path, config, own_groups=own_groups)
    if "model.ckpt" in Path(name).name:  # never the id of a model on the Hub
        raise CheckpointError(f"{name}: no such checkpoint")
    return model_folder(name)


def resolve(path: Path) -> Path | None:
    """Return the prefix, model folder or snapshot that a name stands for; None if there is none."""
    if Path(f"{path}.index").is_file() or is_model_folder(path):
        return path
    run = RunLayout(path.parent)
    if path.name == BEST_NAME and is_model_folder(run.best):
        return run.best
    step = re.fullmatch(r"model\.ckpt-(\d+)", path.name)
    if step and int(step[1]) in run.steps():
        return run.checkpoint(int(step[1]))
    last = newest_of_run(run.folder)
    return last.path if step and last and last.step == int(step[1]) else None


def newest_of_run(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint of a run of this package; None if there is none yet."""
    run, finished = RunLayout(folder), steps_of_finished(folder)
    if finished is not None:
        return Checkpoint(finished, run.model)
    steps = run.steps()
    return Checkpoint(steps[-1], run.checkpoint(steps[-1])) if steps else None


def steps_of_finished(folder: Path) -> int | None:
    """Return the number of steps of a finished run; None if it is not finished, or not a run."""
    try:
        return int(json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))["result"]["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def newest_of_tensorflow(folder: Path) -> Checkpoint | None:
    """Return the newest of the original's checkpoints in a folder; the best one if none has a number."""
    prefixes = [file.with_suffix("") for file in folder.glob("model.ckpt*.index")]
    found = [Checkpoint(_step_of(prefix), prefix) for prefix in prefixes]
    return max(found, key=lambda checkpoint: checkpoint.step, default=None)


def _step_of(prefix: Path) -> int:
    """Return the step in a checkpoint's name, or else in its global_step; 0 without both."""
    if number := re.search(r"-(\d+)$", prefix.name):
        return int(number[1])
    try:
        bundle = TensorBundle(prefix)
        return int(bundle.read("global_step").item()) if "global_step" in bundle.entries else 0
    except CheckpointError:
        return 0
