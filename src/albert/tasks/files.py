"""The files of a task's splits: which of those in a folder belong to it.

Stands between the records in `task` and the readers of each kind.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from albert.errors import DataError
from albert.tasks.task import Task

TABLE_SUFFIXES = (".tsv", ".csv", ".jsonl")


def find_files(task: Task, data: Path, split: str) -> tuple[Path, ...]:
    """Return the files of `split` under the data folder, sorted; none where there are none.

    They may lie in the folder itself or in the task's own sub-folder.

    Raises:
        DataError: `data` is no folder, or holds the split twice.
    """
    if not data.is_dir():
        raise DataError(f"{data}: no such folder; --data names the folder that holds the task's files")
    for folder in _folders(task, data):
        for pattern in task.data.files.get(split, ()):
            if found := _matches(folder, pattern):
                return found
    return ()


def require_files(task: Task, data: Path, split: str) -> tuple[Path, ...]:
    """Return the files of `split` under the data folder, at least one.

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
    """Return the SHA-256 of files in hex, one after the other; "" of none."""
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
    """Return the files of a pattern; a name without a suffix is that of one table."""
    if _has_suffix(pattern):
        return tuple(sorted(path for path in folder.glob(pattern) if path.is_file()))
    found = [path for suffix in TABLE_SUFFIXES if (path := folder / f"{pattern}{suffix}").is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: holds both {found[0].name} and {found[1].name}; keep the one to be read")
    return tuple(found)


def _has_suffix(pattern: str) -> bool:
    return "." in pattern.rsplit("/", 1)[-1]
