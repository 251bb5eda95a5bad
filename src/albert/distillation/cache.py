"""The teacher's outputs on disk: computed once, continued where they were stopped, shared by students.

CACHE/cache.json        what the outputs depend on, and, once complete, their number
CACHE/train-00000/      4,096 texts: input_ids.npy, token_type_ids.npy, lengths.npy, and one file an output
CACHE/held-out-00000/   at most 1,000 texts on which teacher and student are compared

Outputs are float16: their rounding, a two-thousandth, is far below what a student can learn. Files are
mapped into memory, so training reads only the rows that it needs.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert.choices import SplitName
from albert.data.shards.jobs import hash_share
from albert.errors import DataError, RunError
from albert.writing import write_json

TEXTS_PER_SHARD = 4096
MAX_HELD_OUT = 1000
_FORMAT_VERSION = 1
_RECORD = "cache.json"

Arrays = Mapping[str, NDArray[Any]]
"""The inputs and outputs of some texts, by name."""


@dataclass(frozen=True)
class Shard:
    """Some texts and the teacher's outputs for them, mapped into memory."""

    folder: Path
    """Where they are."""
    num_texts: int
    """Number of texts."""

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The inputs and outputs, by name."""
        try:
            return {path.stem: np.load(path, mmap_mode="r") for path in sorted(self.folder.glob("*.npy"))}
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.folder}: damaged ({error}); remove this folder, and it is made again"
            ) from error

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, (B,)."""
        return self.arrays["lengths"].astype(np.int64)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Place of the first token of each text, (B,)."""
        return self.lengths.cumsum() - self.lengths

    def is_by_token(self, name: str) -> bool:
        """Whether an output has a row for each token, not for each text."""
        return len(self.arrays[name]) == len(self.arrays["input_ids"])

    def close(self) -> None:
        """Let go of the files; they are opened again when they are needed."""
        for name in ("arrays", "lengths", "starts"):
            self.__dict__.pop(name, None)

    def __len__(self) -> int:
        """Return the number of texts."""
        return self.num_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The teacher's outputs, complete."""

    folder: Path
    """Where they are."""
    outputs: tuple[str, ...]
    """Names of the outputs that are used."""
    train: list[Shard]
    """The texts to learn from."""
    held_out: list[Shard]
    """Those on which teacher and student are compared; none if the texts are few."""

    @property
    def num_texts(self) -> int:
        """Number of texts to learn from."""
        return sum(map(len, self.train))


def open_cache(folder: Path, depends_on: Mapping[str, Any], outputs: Sequence[str]) -> Cache | None:
    """Return the outputs in `folder` if they are complete; None if they are not, or there are none.

    Args:
        folder: Folder of the outputs.
        depends_on: What they depend on, as JSON.
        outputs: Names of those that are needed; the folder may have more.

    Raises:
        RunError: The folder holds the outputs of another teacher or of other texts, too few, or something
            else.
    """
    path = folder / _RECORD
    if not path.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder}: exists and holds no teacher's outputs; name another --cache")
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        stored, counts = record["depends_on"], record.get("texts")
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(f"{path}: damaged ({error}); remove the folder to start again") from error
    asked = _as_stored(depends_on)
    differing = [name for name in asked if stored.get(name) != asked[name]]
    if differing:
        raise RunError(
            f"{folder}: holds the outputs of another teacher, or for other texts "
            f"({', '.join(differing)} differ); name another --cache, or remove the folder"
        )
    if missing := [name for name in outputs if name not in record.get("outputs", ())]:
        raise RunError(
            f"{folder}: has the teacher's {', '.join(record.get('outputs', ()))}, but not its "
            f"{', '.join(missing)}; name another --cache, or leave them out of --loss"
        )
    if counts is None:
        return None
    return Cache(
        folder=folder,
        outputs=tuple(outputs),
        train=_shards(folder, "train", counts["train"]),
        held_out=_shards(folder, "held-out", counts["held-out"]),
    )


def fill_cache(
    folder: Path,
    depends_on: Mapping[str, Any],
    outputs: Sequence[str],
    texts: Iterable[Any],
    compute: Callable[[list[Any]], Arrays],
    *,
    held_out: float,
    advance: Callable[[int], object],
) -> Cache:
    """Compute the outputs that `folder` lacks.

    Args:
        folder: Made if missing; `open_cache` has accepted it.
        depends_on: What the outputs depend on, as JSON.
        outputs: Their names.
        texts: All of them; those of finished shards are read, but not computed again.
        compute: Returns the inputs and outputs of some texts.
        held_out: Share of the texts that are not learnt from, chosen by a hash.
        advance: Is told how many more texts are done.

    Raises:
        DataError: There is no text to learn from.
        RunError: The disk is full or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = _as_stored(depends_on)
    record = {"format_version": _FORMAT_VERSION, "depends_on": stored, "outputs": [*outputs]}
    write_json(folder / _RECORD, record)
    counts: dict[SplitName, list[int]] = {"train": [], "held-out": []}
    for split, some in _split(texts, held_out):
        place = _place(folder, split, len(counts[split]))
        if not place.is_dir():
            _write(place, compute(some))
        counts[split].append(len(np.load(place / "lengths.npy", mmap_mode="r")))
        advance(len(some))
    if not counts["train"]:
        raise DataError("the input has no text to learn from; expected some thousands of sentences")
    write_json(folder / _RECORD, record | {"texts": counts})
    found = open_cache(folder, depends_on, outputs)
    assert found is not None
    return found


def _split(texts: Iterable[Any], held_out: float) -> Iterator[tuple[SplitName, list[Any]]]:
    """Yield the texts of each shard, in the order of the input; those held out come last."""
    kept: list[Any] = []

    def to_learn() -> Iterator[Any]:
        for text in texts:
            # By a hash of the text, so that no copy of a text that is held out is learnt.
            if hash_share(repr(text).encode(errors="surrogatepass")) >= held_out:
                yield text
            elif len(kept) < MAX_HELD_OUT:
                kept.append(text)

    stream = to_learn()
    while some := list(islice(stream, TEXTS_PER_SHARD)):
        yield "train", some
    if kept:
        yield "held-out", kept


def _write(place: Path, arrays: Arrays) -> None:
    """Write a shard under a temporary name first, so that an interrupted one does not look finished."""
    temporary = place.with_name(f".{place.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        temporary.rename(place)
    except OSError as error:
        raise RunError(
            f"{place}: cannot be written ({error.strerror}); free space, or name another --cache, and run "
            "the same command again: what is finished is kept"
        ) from error


def _place(folder: Path, split: SplitName, number: int) -> Path:
    return folder / f"{split}-{number:05}"


def _shards(folder: Path, split: SplitName, counts: list[int]) -> list[Shard]:
    return [Shard(_place(folder, split, number), count) for number, count in enumerate(counts)]


def _as_stored(depends_on: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON gives them back."""
    stored: dict[str, Any] = json.loads(json.dumps(depends_on))
    return stored
