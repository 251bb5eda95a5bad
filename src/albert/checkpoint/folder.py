"""Model folders: `config.json` and `model.safetensors`, as transformers reads and writes them.

Writing is atomic (a temporary file, synced, renamed), so a killed process leaves the old file or the new one.
Reading never executes code and reports how many tensors matched; a partly filled encoder is refused.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from albert.checkpoint.expected import account_of, is_encoder
from albert.checkpoint.names import from_hugging_face, to_hugging_face
from albert.checkpoint.weight_files import find_weights
from albert.checkpoint.weights import read_hugging_face_tensors
from albert.choices import NewPositions
from albert.config import CONFIG_FILE, AlbertConfig
from albert.console import say
from albert.errors import CheckpointError, ConfigError
from albert.hub import INDEX_FILES, WEIGHT_FILES
from albert.writing import replacing, write_json

WEIGHTS_FILE = WEIGHT_FILES[0]
_BARE = ("embeddings.", "encoder.", "pooler.")
"""Beginnings of the tensors' names in the bare encoder."""
_POSITIONS = "position_embeddings.weight"


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write `tensors` to a safetensors file, atomically."""
    with replacing(path) as temporary:
        # transformers refuses a file without the framework of its layout.
        save_file(tensors, temporary, metadata={"format": "pt"})


def write_model(
    folder: Path,
    config: AlbertConfig,
    state: Mapping[str, Tensor],
    *,
    architecture: str,
    max_shard_size: int | str = "50GB",
) -> None:
    """Write configuration and weights of a model to `folder`.

    Args:
        folder: Made if missing.
        config: The model's shape.
        state: The model's parameters.
        architecture: Name of the public class, for transformers.
        max_shard_size: Size of the largest file of weights, in bytes or as "5GB"; more files hold more.

    Raises:
        ConfigError: The configuration would be read as another one.
        CheckpointError: The weights are read as others than were written.
    """
    content = {"architectures": [], **json.loads(config.to_json_string())}
    content["architectures"] = [architecture]
    if AlbertConfig.from_dict(content) != config:
        raise ConfigError(f"{folder}: {CONFIG_FILE} would be read as another configuration than {config}")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = to_hugging_face(state, identity_map_size=None if config.has_map else config.hidden_size)
    weights = _write_weights(folder, {name: t.cpu() for name, t in tensors.items()}, max_shard_size)
    _check_written(weights, state, has_map=config.has_map)
    write_json(folder / CONFIG_FILE, content)


def _write_weights(folder: Path, tensors: dict[str, Tensor], max_shard_size: int | str) -> Path:
    """Write weights in one file or in several, remove those of the other form, and return file or index."""
    # Imported here: only writing needs it, and it is slow to load.
    from huggingface_hub import split_torch_state_dict_into_shards

    try:
        shards = split_torch_state_dict_into_shards(tensors, max_shard_size=max_shard_size)
    except ValueError as error:
        raise ConfigError(f"max_shard_size is {max_shard_size!r}: {error}") from error
    for name, kept in shards.filename_to_tensors.items():
        write_tensors(folder / name, {tensor: tensors[tensor] for tensor in kept})
    single, index = folder / WEIGHTS_FILE, folder / INDEX_FILES[0]
    if shards.is_sharded:
        write_json(index, {"metadata": shards.metadata, "weight_map": shards.tensor_to_filename})
        single.unlink(missing_ok=True)
    else:
        index.unlink(missing_ok=True)
    for path in folder.glob("model-*-of-*.safetensors"):
        if path.name not in shards.filename_to_tensors:
            path.unlink()
    return index if shards.is_sharded else single


def _check_written(path: Path, state: Mapping[str, Tensor], *, has_map: bool) -> None:
    """Read weights again, as every reader does, and compare them with `state`, bit for bit."""
    found = from_hugging_face(read_hugging_face_tensors(path), has_map=has_map)
    expected = {f"albert.{name}" if name.startswith(_BARE) else name: t for name, t in state.items()}
    if sorted(found) == sorted(expected):
        differing = [name for name, tensor in expected.items() if not _is_same(tensor.cpu(), found[name])]
    else:
        differing = sorted(set(found) ^ set(expected))
    if differing:
        raise CheckpointError(
            f"{path}: {len(differing)} tensors are read as others than were written, the first is "
            f"{differing[0]!r}; the disk or the names of the model's tensors are at fault"
        )


def _is_same(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors have the same type and bits; NaN equals NaN here."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    # reshape: numbers without dimensions have no bytes.
    return torch.equal(*(x.contiguous().reshape(-1).view(torch.uint8) for x in (a, b)))


def read_config(folder: Path, **changes: Any) -> AlbertConfig:
    """Read the configuration of a model folder, with `changes` to its fields.

    Raises:
        CheckpointError: `folder` is not a model folder.
        ConfigError: The configuration cannot be used.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; expected a model folder with {CONFIG_FILE}")
    if not (folder / CONFIG_FILE).is_file() and find_weights(folder) is not None:
        raise CheckpointError(
            f"{folder}: has weights, but no {CONFIG_FILE}; a training script stored only the state dict: "
            f"write the file with model.config.save_pretrained({str(folder)!r}), or copy that of the model "
            "which was trained"
        )
    return AlbertConfig.from_json(folder / CONFIG_FILE, **changes)


def read_architecture(folder: Path) -> str | None:
    """Return the name of the public class in the configuration of a model folder; None if it has none.

    Raises:
        CheckpointError: `folder` is not a model folder.
    """
    path = folder / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    names = content.get("architectures") if isinstance(content, dict) else None
    return str(names[0]) if isinstance(names, list) and names else None


def load_weights(
    model: nn.Module,
    folder: Path,
    *,
    has_map: bool,
    from_first_group: bool = False,
    new_positions: NewPositions | None = None,
) -> tuple[str, ...]:
    """Fill `model` from the weights in `folder`, report what matched, and return the missing tensors.

    Tensors outside the encoder may be missing: those heads keep their random weights, which is reported.

    Args:
        model: Its parameters have the prefix `albert.`, or are those of the bare encoder.
        folder: A model folder.
        has_map: Whether the model has a mapping from E to H.
        from_first_group: Whether groups of layers that the folder lacks start as copies of its first
            (`init_from_group0` of the original).
        new_positions: How positions start that the folder lacks; if it has more than the model, the last ones
            are left out. None: another number of positions is an error.

    Raises:
        CheckpointError: A tensor of the encoder is missing, or a shape differs.
    """
    stored = read_weights(folder, has_map=has_map)
    expected = model.state_dict()
    stored = _named_as(expected, stored)
    if from_first_group:
        copies = {name: _first_group(name) for name in expected if name not in stored}
        stored |= {name: stored[first] for name, first in copies.items() if first in stored}
    if new_positions is not None:
        stored |= _with_positions(stored, expected, folder, new_positions)
    return fill(model, stored, source=str(folder)).missing


def read_weights(folder: Path, *, has_map: bool) -> dict[str, Tensor]:
    """Return the tensors of a model folder by our names.

    Raises:
        CheckpointError: There are none, or they cannot be read.
    """
    weights = find_weights(folder) or folder / WEIGHTS_FILE
    return from_hugging_face(read_hugging_face_tensors(weights), has_map=has_map)


@dataclass(frozen=True, slots=True)
class Filled:
    """How stored tensors matched those of a model."""

    missing: tuple[str, ...]
    """Tensors of the model that keep their random values."""
    unused: tuple[str, ...]
    """Stored tensors that the model lacks."""
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    """Tensors of other shapes, left out: name, stored shape, shape in the model."""


def fill(
    model: nn.Module, stored: Mapping[str, Tensor], *, source: str, skips_mismatched: bool = False
) -> Filled:
    """Fill `model` from `stored` tensors, and report what matched.

    Args:
        model: Its parameters have the prefix `albert.`, or are those of the bare encoder.
        stored: Tensors by our names, with that prefix or without.
        source: Where they are from, for messages.
        skips_mismatched: Whether tensors outside the encoder may have other shapes, and are then left out.

    Raises:
        CheckpointError: A tensor of the encoder is missing, or a shape differs.
    """
    expected = model.state_dict()
    stored = _named_as(expected, stored)
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    mismatched = [
        (name, tuple(stored[name].shape), shape)
        for name, shape in shapes.items()
        if name in stored and tuple(stored[name].shape) != shape
    ]
    for name, found, needed in mismatched:
        if not skips_mismatched or is_encoder(name):
            cause = f"{CONFIG_FILE} and {WEIGHTS_FILE} are of different models"
            if name.endswith(_POSITIONS):
                cause = "only albert pretrain --init-from changes their number, max_position_embeddings"
            raise CheckpointError(f"{source}: {name} has shape {found}, the model needs {needed}; {cause}")
        say(f"{source}: {name} has shape {found}, the model needs {needed}: left out")
    left_out = {name for name, _, _ in mismatched}
    missing = [name for name in expected if name not in stored]
    encoder = [name for name in missing if is_encoder(name)]
    if encoder:
        raise CheckpointError(
            f"{source}: {len(encoder)} of the encoder's tensors are missing, the first is {encoder[0]!r}; "
            "take the configuration and the weights of one model"
        )
    unused = sorted(set(stored) - set(expected))
    used = {name: t for name, t in stored.items() if name in expected and name not in left_out}
    model.load_state_dict(used, strict=False)
    random = [name for name in expected if name not in used]
    say(f"{source}: {account_of(len(used), missing=random, unused=unused)}")
    return Filled(tuple(missing), tuple(unused), tuple(mismatched))


def _named_as(expected: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return stored tensors by the names of a model, which may be the bare encoder."""
    if any(name.startswith("albert.") for name in expected):
        return dict(stored)
    return {
        name.removeprefix("albert."): tensor
        for name, tensor in stored.items()
        if name.startswith(("albert.", *_BARE))
    }


def _with_positions(
    stored: dict[str, Tensor], expected: Mapping[str, Tensor], folder: Path, new: NewPositions
) -> dict[str, Tensor]:
    """Return the stored positions made as many as the model has; nothing if they are."""
    name = next((name for name in expected if name.endswith(_POSITIONS)), None)
    if name is None or name not in stored or stored[name].shape[1:] != expected[name].shape[1:]:
        return {}
    had, needed = len(stored[name]), len(expected[name])
    if had == needed:
        return {}
    if had > needed:
        say(f"{folder}: the last {had - needed} of {had} positions are left out")
        return {name: stored[name][:needed]}
    how = "copies of the first ones, in their order" if new == "repeat" else "random"
    say(f"{folder}: {needed - had} positions after the first {had} are new: {how}")
    if new == "random":
        return {name: torch.cat([stored[name], expected[name][had:].to(stored[name])])}
    return {name: stored[name][torch.arange(needed) % had]}


def _first_group(name: str) -> str:
    """Return the name that a layer group's tensor has in the first group."""
    return re.sub(r"(albert_layer_groups)\.\d+\.", r"\1.0.", name)
