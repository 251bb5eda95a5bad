"""Training checkpoints in `step-N/`: weights, optimiser moments, training state; safe against a kill.

A checkpoint is written to a temporary folder, synced and renamed. So a folder named `step-N` is complete
unless the disk damaged it later; the checksums in `state.json` show that, and the checkpoint before is used.
Random numbers are not stored: those of a step derive from the seed and the step's number.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from albert.checkpoint.folder import WEIGHTS_FILE, write_tensors
from albert.checkpoint.layout import (
    OPTIMIZER_FILE,
    STATE_FILE,
    checkpoint_folder,
    checkpoint_steps,
    unfinished_checkpoint,
    unfinished_checkpoints,
)
from albert.checkpoint.weights import read_tensors
from albert.console import warn
from albert.errors import CheckpointError
from albert.writing import write_json

FORMAT_VERSION = 1
"""Version of `state.json`. Files without a version have the older names of `_UNVERSIONED_NAMES`."""
_UNVERSIONED_NAMES = {
    "stream_examples": "mark_examples",
    "stream_epoch": "mark_epoch",
    "stream_window": "mark_window",
}


class NewerFormatError(CheckpointError):
    """A checkpoint was written by a newer version of this package; it is not damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """How far a training is."""

    step: int = 0
    """Optimiser steps done."""
    skipped_examples: int = 0
    """Examples skipped by roll-backs, in addition to those of the steps."""
    roll_backs: int = 0
    """How often the run returned to a checkpoint because the loss diverged."""
    stream_examples: int = 0
    """Examples of the stream before the window that the training has reached, ..."""
    stream_epoch: int = 0
    """... the epoch of that window, ..."""
    stream_window: int = 0
    """... and its number there, so that a resumed run need not count through the data."""


def save_snapshot(folder: Path, state: TrainingState, model: nn.Module, optimizer: Optimizer) -> None:
    """Write the checkpoint of `state` into `folder`.

    Args:
        folder: Folder of all checkpoints of the run; made if missing.
        state: How far the training is.
        model: Its parameters are saved.
        optimizer: Its moments are saved under the parameters' names.
    """
    target = checkpoint_folder(folder, state.step)
    temporary = unfinished_checkpoint(folder, state.step)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_tensors(temporary / WEIGHTS_FILE, {name: p.detach().cpu() for name, p in model.named_parameters()})
    write_tensors(temporary / OPTIMIZER_FILE, _moments(model, optimizer))
    checksums = {name: _checksum(temporary / name) for name in (WEIGHTS_FILE, OPTIMIZER_FILE)}
    content = {"format_version": FORMAT_VERSION, **asdict(state), "sha256": checksums}
    write_json(temporary / STATE_FILE, content)
    _sync(temporary)
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
    _sync(folder)


def load_newest_snapshot(folder: Path, model: nn.Module, optimizer: Optimizer) -> TrainingState:
    """Fill `model` and `optimizer` from the newest undamaged checkpoint in `folder`.

    A damaged checkpoint is named in a warning, and the one before is used.

    Returns:
        Its state; step 0 if there is no checkpoint.

    Raises:
        NewerFormatError: The newest undamaged one was written by a newer version of this package.
        CheckpointError: There are checkpoints, but every one is damaged.
    """
    steps = checkpoint_steps(folder)
    for step in reversed(steps):
        try:
            return _load(checkpoint_folder(folder, step), model, optimizer)
        except NewerFormatError:
            raise
        except CheckpointError as error:
            warn(f"{error}; trying the checkpoint before")
    if steps:
        raise CheckpointError(f"{folder}: every checkpoint is damaged; remove the folder to start again")
    return TrainingState()


def read_snapshot_weights(snapshot: Path) -> dict[str, Tensor]:
    """Return the parameters in a checkpoint by name, after checking its checksums.

    Raises:
        CheckpointError: It is damaged, missing, or of a newer version.
    """
    _read_state(snapshot)
    return read_tensors(snapshot / WEIGHTS_FILE)


def load_snapshot_weights(snapshot: Path, model: nn.Module) -> None:
    """Fill `model` from a checkpoint.

    Raises:
        CheckpointError: It is damaged, missing, of a newer version, or of another shape.
    """
    weights = read_snapshot_weights(snapshot)
    for name, parameter in model.named_parameters():
        if name not in weights or weights[name].shape != parameter.shape:
            found = f"shape {tuple(weights[name].shape)}" if name in weights else "none"
            raise CheckpointError(
                f"{snapshot}: {name} has {found}, the model needs {tuple(parameter.shape)}; use the "
                "configuration it was trained with"
            )
    model.load_state_dict(weights)


def drop_old_snapshots(folder: Path, *, keep: int, keep_every: int | None = None) -> None:
    """Remove all but the `keep` newest checkpoints, and what a killed run left half-written.

    Those of multiples of `keep_every` steps are kept, and all are unless the newest is undamaged on disk.
    """
    steps = checkpoint_steps(folder)
    try:
        _read_state(checkpoint_folder(folder, steps[-1]))
    except CheckpointError as error:
        warn(f"{error}; the earlier checkpoints are kept")
        return
    for step in steps[:-keep]:
        if not keep_every or step % keep_every:
            shutil.rmtree(checkpoint_folder(folder, step))
    for leftover in unfinished_checkpoints(folder):
        shutil.rmtree(leftover)


def _read_state(snapshot: Path) -> TrainingState:
    """Return the state of a checkpoint, after checking its checksums."""
    path = snapshot / STATE_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: missing or damaged ({error})") from error
    state, checksums = _parse_state(content, path)
    for name, checksum in checksums.items():
        if not (snapshot / name).is_file() or _checksum(snapshot / name) != checksum:
            raise CheckpointError(f"{snapshot / name}: missing or damaged (its checksum differs)")
    return state


def _parse_state(content: Any, path: Path) -> tuple[TrainingState, dict[str, str]]:
    """Return the state and the checksums by file name that the content of `state.json` holds."""
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: damaged; expected a JSON object, found {type(content).__name__}")
    version = content.get("format_version")
    if version is not None and not isinstance(version, int):
        raise CheckpointError(f"{path}: damaged; expected a number as format_version, found {version!r}")
    if version is not None and version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{path}: has format version {version}, this version of albert reads {FORMAT_VERSION} and older; "
            "resume the run with the version that wrote it, or update albert"
        )
    names = {name: name for name in asdict(TrainingState())}
    if version is None:
        names |= _UNVERSIONED_NAMES
    try:
        state = TrainingState(**{name: int(content[stored]) for name, stored in names.items()})
        return state, {name: content["sha256"][name] for name in (WEIGHTS_FILE, OPTIMIZER_FILE)}
    except KeyError as error:
        raise CheckpointError(f"{path}: damaged; the key {error.args[0]!r} is missing") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged; a value has the wrong type ({error})") from error


def _load(snapshot: Path, model: nn.Module, optimizer: Optimizer) -> TrainingState:
    """Fill `model` and `optimizer` from one checkpoint, after checking its checksums."""
    state = _read_state(snapshot)
    model.load_state_dict(read_tensors(snapshot / WEIGHTS_FILE))
    moments = read_tensors(snapshot / OPTIMIZER_FILE)
    for name, parameter in model.named_parameters():
        stored = {
            key: moments[f"{key}/{name}"] for key in ("exp_avg", "exp_avg_sq") if f"{key}/{name}" in moments
        }
        if stored:
            optimizer.state[parameter] = {key: tensor.to(parameter.device) for key, tensor in stored.items()}
    return state


def _moments(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's moments by `moment/parameter name`."""
    return {
        f"{key}/{name}": tensor.cpu()
        for name, parameter in model.named_parameters()
        for key, tensor in optimizer.state.get(parameter, {}).items()
    }


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
