"""Vectors in fewer bytes: 8 bits a number, or one.

Formulas are those of sentence-transformers (`quantize_embeddings`): int8 spreads 256 steps between the least
and the largest number of each dimension; binary keeps whether a number is above 0, eight to a byte, as its
"ubinary". Files are converted in blocks, so memory does not grow with them.
Letters: B texts, D size of a vector.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from albert.choices import VectorType

ROWS_AT_ONCE = 8192


def quantized_file(source: Path, target: Path, kind: VectorType) -> dict[str, list[float]]:
    """Write the vectors in a .npy file as another type; return the steps of int8 by name, for their inverse.

    NaN, the vector of a text that was skipped, becomes the lowest step, or bits of 0.
    """
    vectors = np.load(source, mmap_mode="r")
    rows, size = vectors.shape
    if kind == "binary":
        out = np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=(rows, -(-size // 8)))
        for place, block in _blocks(vectors):
            out[place : place + len(block)] = np.packbits(block > 0, axis=1)
        out.flush()
        return {}
    starts, steps = _steps(vectors)
    out = np.lib.format.open_memmap(target, mode="w+", dtype=np.int8, shape=(rows, size))
    for place, block in _blocks(vectors):
        values = np.floor((np.nan_to_num(block, nan=-np.inf).clip(starts) - starts) / steps).clip(0, 255)
        out[place : place + len(block)] = (values - 128).astype(np.int8)
    out.flush()
    return {"starts": starts.tolist(), "steps": steps.tolist()}


def write_steps(path: Path, steps: dict[str, list[float]]) -> None:
    """Write the steps of int8: a number is `(value + 128) * step + start`."""
    path.write_text(json.dumps(steps) + "\n", encoding="utf-8")


def _steps(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the least number and the step of each dimension, (D,) both."""
    low = np.full(vectors.shape[1], np.inf, np.float32)
    high = -low
    for _, block in _blocks(vectors):
        kept = block[~np.isnan(block).any(1)]
        if len(kept):
            low, high = np.minimum(low, kept.min(0)), np.maximum(high, kept.max(0))
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    steps = (high - low) / 255
    return low.astype(np.float32), np.where(steps > 0, steps, 1.0).astype(np.float32)


def _blocks(vectors: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for place in range(0, len(vectors), ROWS_AT_ONCE):
        yield place, np.asarray(vectors[place : place + ROWS_AT_ONCE])
