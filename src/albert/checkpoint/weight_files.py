"""Files of weights, found, and the shapes in them; never loads torch."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from albert.checkpoint.expected import Shape
from albert.errors import CheckpointError
from albert.hub import INDEX_FILES, WEIGHT_FILES

_LFS_POINTER = b"version https://git-lfs.github.com/spec"


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


def stored_shapes(path: Path) -> dict[str, Shape]:
    """Return the shapes in the weights of `find_weights`, by the names in the files, which are safetensors.

    Raises:
        CheckpointError: A file is missing, damaged, a Git LFS pointer, or no safetensors file.
    """
    shapes: dict[str, Shape] = {}
    for file in weight_files(path):
        refuse_lfs_pointer(file)
        try:
            with safe_open(file, framework="np") as opened:
                found = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118  # no mapping
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file}: missing or not a safetensors file: {error}") from error
        if twice := sorted(set(shapes) & set(found)):
            raise CheckpointError(f"{path}: {twice[0]} is in two files; restore the folder")
        shapes |= found
    return shapes


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
