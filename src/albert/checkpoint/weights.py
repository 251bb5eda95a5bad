"""Files of weights, read: safetensors or the older pickles, in one file or in shards.

Training scripts store more than weights: names with the prefixes of wrappers (`module.` of data parallelism,
`_orig_mod.` of torch.compile, `model.` of training frameworks), or the state of an optimiser. What is left
out is reported. Code in a pickle is never run.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from albert.checkpoint.names import without_wrappers
from albert.console import say
from albert.errors import CheckpointError
from albert.hub import INDEX_FILES, WEIGHT_FILES

_LFS_POINTER = b"version https://git-lfs.github.com/spec"
_NESTED = ("model_state_dict", "state_dict", "model")
"""Names under which training scripts store the weights next to other things."""


def find_weights(folder: Path) -> Path | None:
    """Return the file of weights in a Hugging Face folder, or the index of its shards; None without both."""
    names = [name for pair in zip(WEIGHT_FILES, INDEX_FILES, strict=True) for name in pair]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def weight_files(path: Path) -> list[Path]:
    """Return the files that hold the weights of `find_weights`: itself, or the shards of an index.

    Raises:
        CheckpointError: The index is damaged, or names a file outside of its folder or one that is missing.
    """
    if path.name not in INDEX_FILES:
        return [path]
    try:
        content = json.loads(path.read_bytes())
        shards = sorted(set(content["weight_map"].values()))
        names = [Path(shard).name for shard in shards]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: expected weight_map, the file of each tensor; restore the file"
        ) from error
    for shard, name in zip(shards, names, strict=True):
        if shard != name or not (path.parent / name).is_file():
            raise CheckpointError(
                f"{path}: names {shard!r}, which is not in the folder; fetch all of its files"
            )
    return [path.parent / name for name in names]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; expected weights in safetensors format") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file: {error}") from error


def read_hugging_face_tensors(path: Path) -> dict[str, Tensor]:
    """Read the weights of a Hugging Face folder, of any form that `find_weights` finds, without prefixes.

    Of a pickle only tensors are read, and code in it is never run. What is left out is reported.

    Raises:
        CheckpointError: The file is missing, damaged, contains no weights, or is a Git LFS pointer.
    """
    stored: dict[str, Tensor] = {}
    for file in weight_files(path):
        refuse_lfs_pointer(file)
        found = read_tensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
        if twice := sorted(set(stored) & set(found)):
            raise CheckpointError(f"{path}: {twice[0]} is in two files; restore the folder")
        stored |= found
    plain = without_wrappers(stored)
    if changed := [name for name in stored if name not in plain]:
        say(f"{path}: prefixes of wrappers are left out, as in {changed[0]}")
    return plain


def _read_pickle(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a pickle, which may be nested under one of a few names."""
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged, or contains more than tensors: {str(error).splitlines()[0]}"
        ) from error
    nested = [name for name in _NESTED if isinstance(stored, dict) and isinstance(stored.get(name), dict)]
    if nested:
        others = [str(name) for name in stored if name != nested[0]]
        say(f"{path}: using {nested[0]}" + (f", not {', '.join(others)}" if others else ""))
        stored = stored[nested[0]]
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise CheckpointError(
            f"{path}: expected tensors by name, alone or under {', '.join(_NESTED)}, found "
            f"{type(stored).__name__}"
        )
    return dict(stored)


def refuse_lfs_pointer(path: Path) -> None:
    """Refuse the pointer that Git LFS leaves in place of a large file that was not fetched.

    Raises:
        CheckpointError: The file is such a pointer.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise CheckpointError(f"{path}: this is a Git LFS pointer; fetch the real file (git lfs pull)")
