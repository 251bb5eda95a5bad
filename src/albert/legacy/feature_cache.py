"""Features in the files that the scripts' flags name, with what they were made of.

The original kept TFRecord files, and a pickle, and took whatever lay there. Here a file is the arrays of the
features in safetensors, with a fingerprint: features of other data, another vocabulary or other lengths are
made anew, and that is said. A file of another program is left as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from albert.checkpoint.folder import replacing
from albert.console import say

FINGERPRINT = "albert_features"
"""Key of the fingerprint among a file's metadata."""
LEFT = frozenset({"questions", "character_starts", "character_ends", "is_max_context"})
"""What goes to a second file: how the pieces of windows lie in their texts, which no model reads."""

T = TypeVar("T")


def cached_features(paths: Sequence[Path], fingerprint: str, kind: type[T], make: Callable[[], T]) -> T:
    """Returns the features in `paths`, made and written if they are not there or are others.

    Args:
        paths: No file, one, or a second one for what stays behind when the model has read the first.
        fingerprint: Of all that decides what the features are.
        kind: Their class, a dataclass of arrays.
        make: Makes them.
    """
    found = [_fingerprint_of(path) for path in paths]
    if paths and all(told == fingerprint for told in found):
        say(f"{paths[0]}: taking the features there")
        return kind(**_read(paths))
    features = make()
    foreign = [path for path, told in zip(paths, found, strict=True) if told is None and path.exists()]
    for path in foreign:
        say(f"{path}: holds no features of this program; left as it is, and the features made anew")
    if paths and not foreign:
        if any(found):
            say(f"{paths[0]}: the features there are of other data, vocabulary or lengths; made anew")
        _write(paths, fingerprint, features)
    return features


def _write(paths: Sequence[Path], fingerprint: str, features: Any) -> None:
    arrays = {field.name: np.ascontiguousarray(getattr(features, field.name)) for field in fields(features)}
    parts = [arrays]
    if len(paths) > 1:
        parts = [
            {name: array for name, array in arrays.items() if (name in LEFT) is left}
            for left in (False, True)
        ]
    for path, part in zip(paths, parts, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file(part, temporary, metadata={FINGERPRINT: fingerprint})


def _read(paths: Sequence[Path]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for path in paths:
        with safe_open(path, framework="numpy") as file:
            arrays |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    return arrays


def _fingerprint_of(path: Path) -> str | None:
    """Returns the fingerprint of the features in a file; None where there are none."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get(FINGERPRINT)
    except (SafetensorError, OSError):
        return None
