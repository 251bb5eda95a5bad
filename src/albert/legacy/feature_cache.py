"""Caches of features, in the files that the scripts' flags name.

The original kept TFRecord files and a pickle, and used them unchecked. Here a file holds the arrays of the
features in safetensors, with a fingerprint: features of other data, another vocabulary or other lengths are
made again, with a message. Files of other programs are never overwritten.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from albert.console import say
from albert.writing import replacing

FINGERPRINT = "albert_features"
"""Key of the fingerprint in a file's metadata."""
LEFT = frozenset({"questions", "character_starts", "character_ends", "is_max_context"})
"""Fields of the second file: the positions of windows and tokens in their texts, which no model reads."""

T = TypeVar("T")


def cached_features(paths: Sequence[Path], fingerprint: str, kind: type[T], make: Callable[[], T]) -> T:
    """Return the features in `paths`; make and write them if they are missing or different.

    Args:
        paths: No file, one, or two, of which the second gets the fields `LEFT`.
        fingerprint: Digest of everything that determines the features.
        kind: Their class, a dataclass of arrays.
        make: Returns new features.
    """
    # Files of an earlier version may have other fields; they are made again.
    fingerprint = " ".join([fingerprint, *(field.name for field in fields(cast(Any, kind)))])
    found = [_fingerprint_of(path) for path in paths]
    if paths and all(stored == fingerprint for stored in found):
        say(f"{paths[0]}: using the features in it")
        return kind(**_read(paths))
    features = make()
    foreign = [path for path, stored in zip(paths, found, strict=True) if stored is None and path.exists()]
    for path in foreign:
        say(f"{path}: was not written by this program; it is left unchanged, and the features are made again")
    if paths and not foreign:
        if any(found):
            say(f"{paths[0]}: its features come from other data, vocabulary or lengths; they are made again")
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
            arrays |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return arrays


def _fingerprint_of(path: Path) -> str | None:
    """Return the fingerprint of the features in a file; None if it has none."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get(FINGERPRINT)
    except (SafetensorError, OSError):
        return None
