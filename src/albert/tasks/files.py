"""The files of a task's splits: where they are, in a folder or on the Hub."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from albert.errors import DataError
from albert.tasks.hub_data import fetch
from albert.tasks.task import Task

TABLE_SUFFIXES = (".tsv", ".csv", ".jsonl")


def split_files(task: Task, data: Path | None, split: str) -> tuple[Path, ...]:
    """Return the files of `split`, at least one.

    `data` is the folder that holds them, or the only file itself; if None, they are fetched from the Hub.

    Raises:
        DataError: There is no such file, or the Hub cannot be reached.
    """
    if data is not None and data.is_file():
        return (data,)
    folder = fetch(task) if data is None else data
    others = [name for name in task.data.files if name != split and find_files(task, folder, name)]
    try:
        return require_files(task, folder, split)
    except DataError as error:
        hint = f"; there is one of another split: --split {others[0]}" if others else ""
        raise DataError(f"{error}{hint}") from error


def find_files(task: Task, data: Path, split: str) -> tuple[Path, ...]:
    """Return the files of `split` in the data folder, sorted; empty if there are none.

    They may be in the folder itself or in the task's own sub-folder. If `data` is a file, it is the only one,
    with the examples of training.

    Raises:
        DataError: `data` does not exist, or holds the split twice.
    """
    if data.is_file():
        return (data,) if split == "train" else ()
    if not data.is_dir():
        raise DataError(
            f"{data}: no such file or folder; --data names the file with the examples, or the folder that "
            "holds the task's files"
        )
    for folder in _folders(task, data):
        for pattern in task.data.files.get(split, ()):
            if found := _matches(folder, pattern):
                return found
    return ()


def require_files(task: Task, data: Path, split: str) -> tuple[Path, ...]:
    """Return the files of `split` in the data folder, at least one.

    Raises:
        DataError: There is none.
    """
    paths = find_files(task, data, split)
    if paths:
        return paths
    patterns = task.data.files.get(split, ())
    if not patterns:
        raise DataError(f"task {task.name!r} has no {split} split; it has {', '.join(task.data.files)}")
    first = patterns[0] if _has_suffix(patterns[0]) else f"{patterns[0]}.tsv"
    inside = f"{task.data.folder}/{first} or {first}" if task.data.folder else first
    others = [p if _has_suffix(p) else f"{p}.tsv" for p in patterns[1:]]
    if task.data.layout == "table":
        others += [suffix for suffix in TABLE_SUFFIXES if not first.endswith(suffix)]
    also = f" (or {', '.join(others)})" if others else ""
    raise DataError(f"{data}: found no {split} file of task {task.name!r}; expected {inside}{also}")


def digest_of(paths: Sequence[Path]) -> str:
    """Return one SHA-256, in hex, of the contents of several files in order; "" for none."""
    if not paths:
        return ""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _folders(task: Task, data: Path) -> list[Path]:
    return [data / task.data.folder, data] if task.data.folder else [data]


def _matches(folder: Path, pattern: str) -> tuple[Path, ...]:
    """Return the files that match a pattern; a name without a suffix stands for a single table."""
    if _has_suffix(pattern):
        return tuple(sorted(path for path in folder.glob(pattern) if path.is_file()))
    found = [path for suffix in TABLE_SUFFIXES if (path := folder / f"{pattern}{suffix}").is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: holds both {found[0].name} and {found[1].name}; keep the one to be read")
    return tuple(found)


def _has_suffix(pattern: str) -> bool:
    return "." in pattern.rsplit("/", 1)[-1]
