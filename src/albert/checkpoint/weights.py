"""Files of weights, read: safetensors or the older pickles, in one file or in shards.

Training scripts store more than weights: names with the prefixes of wrappers (`module.` of data parallelism,
`_orig_mod.` of torch.compile, `model.` of training frameworks), or the state of an optimiser. What is left
out is reported. Code in a pickle is never run.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from albert.checkpoint.names import without_wrappers
from albert.checkpoint.weight_files import refuse_lfs_pointer, weight_files
from albert.console import say
from albert.errors import CheckpointError

_NESTED = ("model_state_dict", "state_dict", "model")
"""Names under which training scripts store the weights next to other things."""


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
