"""Files that are written as a whole or not at all."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; after the block it is synced and replaces `path`."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def move_finished(temporary: Path, folder: Path, *, is_whole: Callable[[Path], bool] = Path.is_dir) -> None:
    """Give a finished folder its name, unless another process was faster.

    Args:
        temporary: The finished folder, on the same disk.
        folder: Its name. What a killed process left there is replaced.
        is_whole: Whether a folder of that name is finished.
    """
    try:
        temporary.rename(folder)
    except OSError:
        if is_whole(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
