"""Training checkpoints: weights and optimiser state in `step-N/`, safe against a kill at any moment.

A snapshot is written to a temporary folder, synced and renamed, so a folder named `step-N` is whole
unless the disk damaged it later; that shows in the checksums of `state.json`, and the one before is taken.
Nothing random is stored: randomness of a step derives from seed and step number.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from albert.checkpoint.folder import WEIGHTS_FILE, read_tensors, write_json, write_tensors
from albert.console import warn
from albert.errors import CheckpointError

OPTIMIZER_FILE = "optimizer.safetensors"
STATE_FILE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """How far a training is."""

    step: int = 0
    """Optimiser steps done."""
    skipped_examples: int = 0
    """Examples passed over by roll-backs, so that the data are farther than the steps tell."""
    roll_backs: int = 0
    """How often it went back to a checkpoint because the loss went astray."""
    mark_examples: int = 0
    """Examples before a window of the data that the training has come to, ..."""
    mark_epoch: int = 0
    """... its epoch, ..."""
    mark_window: int = 0
    """... and its number there, so that a resumed training need not count its way through the data."""


def save_snapshot(folder: Path, place: TrainingState, model: nn.Module, optimizer: Optimizer) -> None:
    """Write the snapshot of a place into `folder`.

    Args:
        folder: Of all snapshots of the run; made if missing.
        place: How far the training is.
        model: Its parameters are saved.
        optimizer: Its moments are saved under the parameters' names.
    """
    target = folder / f"step-{place.step}"
    temporary = folder / f".step-{place.step}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_tensors(temporary / WEIGHTS_FILE, {name: p.detach().cpu() for name, p in model.named_parameters()})
    write_tensors(temporary / OPTIMIZER_FILE, _moments(model, optimizer))
    checksums = {name: _checksum(temporary / name) for name in (WEIGHTS_FILE, OPTIMIZER_FILE)}
    write_json(temporary / STATE_FILE, {**asdict(place), "sha256": checksums})
    _sync(temporary)
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
    _sync(folder)


def load_newest_snapshot(folder: Path, model: nn.Module, optimizer: Optimizer) -> TrainingState:
    """Fill `model` and `optimizer` from the newest whole snapshot in `folder`.

    A damaged one is named in a warning and the one before is taken.

    Returns:
        Its place; the beginning where there is no snapshot.

    Raises:
        CheckpointError: There are snapshots, but every one is damaged.
    """
    steps = snapshot_steps(folder)
    for step in reversed(steps):
        try:
            return _load(folder / f"step-{step}", model, optimizer)
        except CheckpointError as error:
            warn(f"{error}; trying the checkpoint before")
    if steps:
        raise CheckpointError(f"{folder}: every checkpoint is damaged; remove the folder to start anew")
    return TrainingState()


def read_snapshot_weights(snapshot: Path) -> dict[str, Tensor]:
    """Return the parameters in a snapshot by their names, after its checksums proved right.

    Raises:
        CheckpointError: It is damaged, or gone.
    """
    _read_state(snapshot)
    return read_tensors(snapshot / WEIGHTS_FILE)


def load_snapshot_weights(snapshot: Path, model: nn.Module) -> None:
    """Fill `model` from a snapshot.

    Raises:
        CheckpointError: It is damaged, gone, or of another shape.
    """
    weights = read_snapshot_weights(snapshot)
    for name, parameter in model.named_parameters():
        if name not in weights or weights[name].shape != parameter.shape:
            found = f"shape {tuple(weights[name].shape)}" if name in weights else "none"
            raise CheckpointError(
                f"{snapshot}: {name} has {found}, the model needs {tuple(parameter.shape)}; take the "
                "configuration it was trained with"
            )
    model.load_state_dict(weights)


def drop_old_snapshots(folder: Path, *, keep: int, keep_every: int | None = None) -> None:
    """Remove all but the `keep` newest snapshots, and what a killed run left half-written.

    Those of multiples of `keep_every` steps stay, and all of them do unless the newest is whole on the disk.
    """
    steps = snapshot_steps(folder)
    try:
        _read_state(folder / f"step-{steps[-1]}")
    except CheckpointError as error:
        warn(f"{error}; the earlier checkpoints are kept")
        return
    for step in steps[:-keep]:
        if not keep_every or step % keep_every:
            shutil.rmtree(folder / f"step-{step}")
    for leftover in folder.glob(".step-*.tmp"):
        shutil.rmtree(leftover)


def snapshot_steps(folder: Path) -> list[int]:
    """Return the steps of the snapshots in `folder`, ascending."""
    names = (path.name.removeprefix("step-") for path in folder.glob("step-*"))
    return sorted(int(name) for name in names if name.isdigit())


def _read_state(snapshot: Path) -> TrainingState:
    """Return the place of a snapshot, after its checksums proved right."""
    try:
        state = json.loads((snapshot / STATE_FILE).read_text(encoding="utf-8"))
        expected = {name: state["sha256"][name] for name in (WEIGHTS_FILE, OPTIMIZER_FILE)}
        place = TrainingState(
            **{field.name: int(state.get(field.name, 0)) for field in fields(TrainingState)}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{snapshot / STATE_FILE}: missing or damaged") from error
    for name, checksum in expected.items():
        if not (snapshot / name).is_file() or _checksum(snapshot / name) != checksum:
            raise CheckpointError(f"{snapshot / name}: missing or damaged (its checksum differs)")
    return place


def _load(snapshot: Path, model: nn.Module, optimizer: Optimizer) -> TrainingState:
    """Fill `model` and `optimizer` from one snapshot, after its checksums proved right."""
    place = _read_state(snapshot)
    model.load_state_dict(read_tensors(snapshot / WEIGHTS_FILE))
    moments = read_tensors(snapshot / OPTIMIZER_FILE)
    for name, parameter in model.named_parameters():
        stored = {
            key: moments[f"{key}/{name}"] for key in ("exp_avg", "exp_avg_sq") if f"{key}/{name}" in moments
        }
        if stored:
            optimizer.state[parameter] = {key: tensor.to(parameter.device) for key, tensor in stored.items()}
    return place


def _moments(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's tensors as `moment/parameter name`."""
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
