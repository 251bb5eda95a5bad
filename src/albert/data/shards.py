"""Token shards: a corpus as piece ids, in memory-mapped Arrow files of a set size, one row a document.

A prepared folder holds `train-00000.arrow`, ..., `held-out-00000.arrow`, ..., the tokenizer's files, and
`meta.json`, which is written last: a folder without it is unfinished. Every file is written under a
temporary name, synced and renamed, so that a name that exists is whole. Every shard carries a digest,
checked each time the shard is mapped.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from albert.data.batches import IntArray
from albert.data.encoding import EncodedDocument
from albert.errors import DataError, TokenizerError

FORMAT_VERSION = 1
META_NAME = "meta.json"
SplitName = Literal["train", "held-out"]
SPLITS: tuple[SplitName, ...] = ("train", "held-out")
DEFAULT_SHARD_PIECES = 2_000_000

_TEMPORARY = ".partial"
_SMALL_IDS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """What `meta.json` says of one shard."""

    name: str
    """File name inside the folder."""
    documents: int
    """Rows."""
    sentences: int
    """Sentences of all documents."""
    pieces: int
    """Pieces of all sentences."""
    digest: str
    """BLAKE2b-128 of the file."""


@dataclass(frozen=True, kw_only=True)
class TokenizerInfo:
    """What `meta.json` says of the tokenizer that made the pieces."""

    fingerprint: str
    """Digest of vocabulary and normalisation settings."""
    kind: str
    """"sentencepiece" or "wordpiece"."""
    do_lower_case: bool
    """Whether text was lower-cased."""
    vocab_size: int
    """Pieces in the vocabulary."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """D documents of S sentences and P pieces in all, as arrays over the mapped file."""

    pieces: npt.NDArray[np.unsignedinteger[Any]]
    """(P,) piece ids of all sentences, end to end."""
    sentence_ends: IntArray
    """(S,) where each sentence ends in `pieces`; ascending."""
    document_ends: IntArray
    """(D,) where each document ends in `sentence_ends`; ascending."""


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """A finished folder of token shards."""

    folder: Path
    """Where it lies."""
    shards: Mapping[SplitName, tuple[ShardInfo, ...]]
    """The shards of each split, in corpus order."""
    tokenizer: TokenizerInfo
    """What made the pieces."""
    counts: Mapping[str, Any]
    """What that job reported."""
    fingerprint: str
    """Digest of all shards and the tokenizer; examples are a function of it."""

    def pieces(self, split: SplitName) -> int:
        """Returns the number of pieces in a split."""
        return sum(shard.pieces for shard in self.shards[split])

    def read_shard(self, split: SplitName, index: int) -> Shard:
        """Maps one shard; nothing of it stays in memory once the result is dropped.

        Raises:
            DataError: The file is missing or is not what was written.
        """
        info = self.shards[split][index]
        return _read_shard(self.folder / info.name, info)

    def check_tokenizer(self, fingerprint: str, source: str) -> None:
        """Raises TokenizerError unless the tokenizer of `source` is the one the shards were made with."""
        if fingerprint != self.tokenizer.fingerprint:
            raise TokenizerError(
                f"{source}: its tokenizer ({fingerprint[:12]}) is not the one of the shards in "
                f"{self.folder} ({self.tokenizer.fingerprint[:12]}, {self.tokenizer.kind}, "
                f"{self.tokenizer.vocab_size} pieces); use the tokenizer in {self.folder} or run "
                "albert prepare again with the other one"
            )


class ShardWriter:
    """Writes the documents of one split into shards; holds one shard in memory."""

    def __init__(self, folder: Path, split: SplitName, *, vocab_size: int, shard_pieces: int) -> None:
        self._folder, self._split, self._shard_pieces = folder, split, shard_pieces
        self._dtype = np.dtype(np.uint16 if vocab_size <= _SMALL_IDS else np.uint32)
        self._pieces: list[npt.NDArray[Any]] = []
        self._sentence_ends: list[npt.NDArray[Any]] = []
        self._num_pieces = 0
        self.shards: list[ShardInfo] = []

    def add(self, document: EncodedDocument) -> None:
        """Adds a document; writes the shard it fills."""
        self._pieces.append(document.pieces.astype(self._dtype))
        self._sentence_ends.append(document.sentence_ends)
        self._num_pieces += len(document.pieces)
        if self._num_pieces >= self._shard_pieces:
            self.finish()

    def finish(self) -> None:
        """Writes what is left as the last, smaller shard."""
        if not self._pieces:
            return
        path = self._folder / f"{self._split}-{len(self.shards):05}.arrow"
        table = pa.table(
            {"pieces": _list_column(self._pieces), "sentence_ends": _list_column(self._sentence_ends)}
        )
        with _whole_file(path) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, _new_digest).hexdigest()
        self.shards.append(
            ShardInfo(
                name=path.name,
                documents=len(self._pieces),
                sentences=sum(map(len, self._sentence_ends)),
                pieces=self._num_pieces,
                digest=digest,
            )
        )
        self._pieces, self._sentence_ends, self._num_pieces = [], [], 0


def write_meta(
    folder: Path,
    *,
    shards: Mapping[SplitName, Iterable[ShardInfo]],
    tokenizer: TokenizerInfo,
    counts: Mapping[str, Any],
) -> None:
    """Finishes a folder of shards by writing its `meta.json`."""
    listed = {split: [asdict(info) for info in shards[split]] for split in SPLITS}
    digests = "".join(info["digest"] for split in SPLITS for info in listed[split])
    meta = {
        "version": FORMAT_VERSION,
        "fingerprint": hashlib.sha256((tokenizer.fingerprint + digests).encode()).hexdigest(),
        "tokenizer": asdict(tokenizer),
        "counts": dict(counts),
        "shards": listed,
    }
    write_whole(folder / META_NAME, json.dumps(meta, indent=1).encode() + b"\n")


def open_prepared(folder: str | Path) -> PreparedData:
    """Opens a prepared folder.

    Raises:
        DataError: The folder is missing, unfinished, damaged, or of another format version.
    """
    folder = Path(folder)
    path = folder / META_NAME
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; albert prepare --output {folder} makes it")
    if not path.is_file():
        unfinished = any(folder.glob("*.arrow"))
        found = "an unfinished albert prepare" if unfinished else "no prepared data"
        raise DataError(f"{folder}: {found} (no {META_NAME}); run albert prepare to the end")
    data = _parse_meta(path)
    for split in SPLITS:
        for info in data.shards[split]:
            if not (folder / info.name).is_file():
                raise DataError(f"{folder / info.name}: the shard is missing; run albert prepare again")
    return data


def remove_shards(folder: Path) -> None:
    """Removes shards that an unfinished job left, and its temporary files."""
    for split in SPLITS:
        for file in folder.glob(f"{split}-*.arrow*"):
            file.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name, syncs it, and renames it: the name means the whole content.

    Raises:
        DataError: The file cannot be written, as on a full disk.
    """
    with _whole_file(path) as file:
        file.write(content)


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing that takes its name when the block ends well."""
    temporary = path.with_name(path.name + _TEMPORARY)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another --output"
        ) from error


def _list_column(rows: list[npt.NDArray[Any]]) -> pa.ListArray:
    offsets = np.cumsum([0, *map(len, rows)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(np.concatenate(rows)))


def _new_digest() -> Any:
    return hashlib.blake2b(digest_size=16)


def _read_shard(path: Path, info: ShardInfo) -> Shard:
    try:
        with pa.memory_map(str(path)) as file:
            content = file.read_buffer()
            if hashlib.blake2b(content, digest_size=16).hexdigest() != info.digest:
                raise DataError(
                    f"{path}: damaged: its digest is not the one in {META_NAME}; run albert prepare again"
                )
            batch = pa.ipc.open_file(content).get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read ({error}); run albert prepare again") from error
    pieces, ends = batch.column("pieces"), batch.column("sentence_ends")
    document_starts = pieces.offsets.to_numpy().astype(np.int64)[:-1]
    sentences = ends.offsets.to_numpy().astype(np.int64)
    return Shard(
        pieces=pieces.values.to_numpy(),
        sentence_ends=ends.values.to_numpy() + np.repeat(document_starts, np.diff(sentences)),
        document_ends=sentences[1:],
    )


def _parse_meta(path: Path) -> PreparedData:
    try:
        meta = json.loads(path.read_bytes())
        version = meta["version"]
        if version != FORMAT_VERSION:
            raise DataError(
                f"{path}: shards of format version {version}, this release reads {FORMAT_VERSION}; "
                "run albert prepare again"
            )
        return PreparedData(
            folder=path.parent,
            shards={split: tuple(ShardInfo(**info) for info in meta["shards"][split]) for split in SPLITS},
            tokenizer=TokenizerInfo(**meta["tokenizer"]),
            counts=meta["counts"],
            fingerprint=meta["fingerprint"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error!r}); run albert prepare again") from error
