"""Token shards: a corpus as token ids, in memory-mapped Arrow files, one row per document.

A prepared folder has `train-00000-HASH.arrow`, ..., `held-out-00000-HASH.arrow`, ..., the tokenizer's
files, and `meta.json`, which is written last: a folder without it is unfinished. HASH is a digest of what
the shard was made from, so an existing shard need not be made again. Each shard has its counts and a digest
of its columns; `meta.json` has the digest of the file, which is checked each time the shard is mapped.

The format stores token ids, not masked examples: every epoch can have other masks, and a token takes two
bytes, but masking costs CPU time during training.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from albert.choices import SplitName, WordsName
from albert.data.batches import IntArray
from albert.data.corpus import storage
from albert.errors import DataError, TokenizerError

FORMAT_VERSION = 2
META_NAME = "meta.json"
SPLITS: tuple[SplitName, ...] = ("train", "held-out")
SHARD_SUFFIX = ".arrow"

_SMALL_IDS = 1 << 16
_COUNTS_KEY = b"albert"
_PREFIXES = tuple(f"{split}-" for split in SPLITS)


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """The entry of one shard in `meta.json`."""

    name: str
    """File name inside the folder."""
    documents: int
    """Number of documents, one per row."""
    sentences: int
    """Number of sentences in all documents."""
    pieces: int
    """Number of tokens in all sentences; `pieces` is the name in the file format."""
    unknown_pieces: int
    """Number of unknown tokens."""
    digest: str
    """BLAKE2b-128 of the file."""


@dataclass(frozen=True, kw_only=True)
class TokenizerInfo:
    """The entry of the tokenizer in `meta.json`."""

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
    """Documents, sentences and tokens of a shard, as arrays over the mapped file."""

    tokens: npt.NDArray[np.unsignedinteger[Any]]
    """Token ids of all sentences, end to end."""
    sentence_ends: IntArray
    """Where each sentence ends in `tokens`; ascending."""
    document_ends: IntArray
    """Where each document ends in `sentence_ends`; ascending."""
    word_starts: npt.NDArray[np.bool_] | None = None
    """Whether each token starts a word; None if the vocabulary says so."""


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """A finished folder of token shards."""

    folder: str | Path
    """Path of the folder."""
    shards: Mapping[SplitName, tuple[ShardInfo, ...]]
    """The shards of each split, in corpus order."""
    tokenizer: TokenizerInfo
    """The tokenizer that made the tokens."""
    words: WordsName
    """What says where words start: the vocabulary, or each shard (from jieba)."""
    counts: Mapping[str, Any]
    """The counts that `albert prepare` reported."""
    fingerprint: str
    """Digest of all shards and the tokenizer; with the settings it determines all examples."""

    def tokens(self, split: SplitName) -> int:
        """Return the number of tokens in a split."""
        return sum(shard.pieces for shard in self.shards[split])

    def all_shards(self) -> list[ShardInfo]:
        """Return the shards of all splits."""
        return [info for split in SPLITS for info in self.shards[split]]

    def read_shard(self, split: SplitName, index: int) -> Shard:
        """Map one shard; its memory is freed when the result is dropped.

        Raises:
            DataError: The file is missing or damaged.
        """
        info = self.shards[split][index]
        return _read_shard(Path(self.folder) / info.name, info)

    def check_tokenizer(self, fingerprint: str, source: str) -> None:
        """Raise TokenizerError if the shards were not made with the tokenizer of `source`."""
        if fingerprint != self.tokenizer.fingerprint:
            raise TokenizerError(
                f"{source}: its tokenizer ({fingerprint[:12]}) is not the one of the shards in "
                f"{self.folder} ({self.tokenizer.fingerprint[:12]}, {self.tokenizer.kind}, "
                f"{self.tokenizer.vocab_size} pieces); use the tokenizer in {self.folder} or run "
                "albert prepare again with the other one"
            )


def write_shard(path: str | Path, shard: Shard, *, vocab_size: int, unknown_id: int) -> ShardInfo:
    """Write a shard, whole or not at all, to a file or a URL.

    Raises:
        DataError: The file cannot be written.
    """
    columns = _columns_of(shard, _id_type(vocab_size))
    counts: dict[str, Any] = {
        "version": FORMAT_VERSION,
        "documents": len(shard.document_ends),
        "sentences": len(shard.sentence_ends),
        "pieces": len(shard.tokens),
        "unknown_pieces": int(np.count_nonzero(shard.tokens == unknown_id)),
    }
    counts["digest"] = _digest_of_content(counts, columns)
    batch = pa.record_batch(columns, metadata={_COUNTS_KEY: json.dumps(counts)})
    stream = pa.BufferOutputStream()
    with pa.ipc.new_file(stream, batch.schema) as writer:
        writer.write_batch(batch)
    content = stream.getvalue()
    storage.write_whole(path, content)
    return _info(path, counts, content)


def stored_bytes(shard: Shard, *, vocab_size: int) -> float:
    """Return the size of a shard on disk, without the about 1 kB of its header."""
    words = shard.word_starts is not None
    bits = 8 * _id_type(vocab_size).itemsize + words
    offsets = 4 * (2 + words) * len(shard.document_ends)
    return len(shard.tokens) * bits / 8 + 4 * len(shard.sentence_ends) + offsets


def find_shard(path: str | Path) -> ShardInfo | None:
    """Return the counts of a shard file, or None if it is missing or damaged."""
    if not storage.exists(path):
        return None
    content = pa.py_buffer(storage.read_bytes(path))
    try:
        batch = pa.ipc.open_file(content).get_batch(0)
        batch.validate(full=True)  # otherwise a wrong offset could point outside the file
        counts = dict(json.loads(batch.schema.metadata[_COUNTS_KEY]))
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if counts.pop("digest") != _digest_of_content(counts, columns):
            return None
        return _info(path, counts, content)
    except (OSError, pa.ArrowException, ValueError, LookupError, TypeError, AttributeError):
        return None


def write_meta(
    folder: str | Path,
    *,
    shards: Mapping[SplitName, Iterable[ShardInfo]],
    tokenizer: TokenizerInfo,
    counts: Mapping[str, Any],
    words: WordsName = "vocabulary",
) -> None:
    """Finish a folder of shards by writing its `meta.json`."""
    listed = {split: [asdict(info) for info in shards[split]] for split in SPLITS}
    digests = "".join(info["digest"] for split in SPLITS for info in listed[split])
    meta = {
        "version": FORMAT_VERSION,
        "fingerprint": hashlib.sha256((tokenizer.fingerprint + digests).encode()).hexdigest(),
        "tokenizer": asdict(tokenizer),
        "words": words,
        "counts": dict(counts),
        "shards": listed,
    }
    path = storage.join(folder, META_NAME)
    storage.write_whole(path, json.dumps(meta, indent=1).encode() + b"\n")


def open_prepared(folder: str | Path) -> PreparedData:
    """Open a prepared folder.

    Raises:
        DataError: The folder is missing, not on a local disk, unfinished, damaged, or of another format
            version.
    """
    if storage.is_url(folder):
        raise DataError(
            f"{folder}: shards are mapped into memory and must be on a local disk; copy the folder first: "
            f"{_copy_command(str(folder))}"
        )
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; albert prepare --output {folder} makes it")
    if not (folder / META_NAME).is_file():
        unfinished = any(folder.glob(f"*{SHARD_SUFFIX}"))
        found = "an unfinished albert prepare" if unfinished else "no prepared data"
        raise DataError(f"{folder}: {found} (no {META_NAME}); run albert prepare to the end")
    data = read_meta(folder)
    for info in data.all_shards():
        if not (folder / info.name).is_file():
            raise DataError(f"{folder / info.name}: the shard is missing; run albert prepare again")
    return data


def read_meta(folder: str | Path) -> PreparedData:
    """Read the `meta.json` of a finished folder, or of a URL; shards are not read.

    Raises:
        DataError: It cannot be read, is damaged, or of another format version.
    """
    path = storage.join(folder, META_NAME)
    try:
        meta = json.loads(storage.read_bytes(path))
        version = meta["version"]
        if version != FORMAT_VERSION:
            raise DataError(
                f"{path}: shards of format version {version}, this release reads {FORMAT_VERSION}; "
                "run albert prepare again, into a new folder"
            )
        return PreparedData(
            folder=folder,
            shards={split: tuple(ShardInfo(**info) for info in meta["shards"][split]) for split in SPLITS},
            tokenizer=TokenizerInfo(**meta["tokenizer"]),
            words=meta["words"],
            counts=meta["counts"],
            fingerprint=meta["fingerprint"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error!r}); run albert prepare again") from error


def remove_damaged(data: PreparedData) -> list[str]:
    """Remove the shards that do not match `meta.json`; return their names and those of missing ones."""
    names = set(storage.list_names(data.folder))
    damaged = []
    for info in data.all_shards():
        path = storage.join(data.folder, info.name)
        if info.name not in names or _digest(storage.read_bytes(path)) != info.digest:
            damaged.append(info.name)
            storage.remove(path)
    return damaged


def remove_other_shards(folder: str | Path, names: Iterable[str]) -> None:
    """Remove the shards and half-written files of a folder that are not in `names`."""
    kept = set(names)
    for name in storage.list_names(folder):
        stem, suffix, rest = name.partition(SHARD_SUFFIX)
        ours = suffix and rest in ("", storage.TEMPORARY_SUFFIX) and stem.startswith(_PREFIXES)
        if ours and name not in kept:
            storage.remove(storage.join(folder, name))


def _copy_command(url: str) -> str:
    local = url.rstrip("/").rpartition("/")[2] or "prepared"
    if url.startswith("s3://"):
        return f"aws s3 sync {url} {local}"
    if url.startswith("gs://"):
        return f"gcloud storage rsync -r {url} {local}"
    return (
        f"python -c \"import fsspec; fsspec.url_to_fs('{url}')[0].get('{url}', '{local}', recursive=True)\""
    )


def _id_type(vocab_size: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if vocab_size <= _SMALL_IDS else np.uint32)


def _columns_of(shard: Shard, dtype: np.dtype[Any]) -> dict[str, pa.ListArray]:
    """Return the columns of a shard, where sentence ends count from the start of their document."""
    sentences = np.concatenate([[0], shard.document_ends]).astype(np.int64)
    tokens = np.concatenate([[0], shard.sentence_ends]).astype(np.int64)[sentences]
    ends = shard.sentence_ends - np.repeat(tokens[:-1], np.diff(sentences))
    columns = {
        "pieces": _list_column(shard.tokens.astype(dtype), tokens),
        "sentence_ends": _list_column(ends.astype(np.uint32), sentences),
    }
    if shard.word_starts is not None:
        columns["word_starts"] = _list_column(shard.word_starts, tokens)
    return columns


def _list_column(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def _digest_of_content(counts: Mapping[str, int], columns: Mapping[str, pa.ListArray]) -> str:
    """Return a digest of counts and columns, which a shard file has about itself."""
    digest = hashlib.blake2b(json.dumps(counts).encode(), digest_size=16)
    for name, column in columns.items():
        digest.update(name.encode())
        digest.update(column.offsets.to_numpy().tobytes())
        bits = pa.types.is_boolean(column.values.type)
        digest.update((_bits_of(column.values) if bits else column.values.to_numpy()).tobytes())
    return digest.hexdigest()


def _bits_of(values: pa.BooleanArray) -> npt.NDArray[np.uint8]:
    return np.frombuffer(values.buffers()[1] or b"", np.uint8)[: -(-len(values) // 8)]


def _info(path: str | Path, counts: Mapping[str, Any], content: pa.Buffer) -> ShardInfo:
    return ShardInfo(
        name=Path(path).name,
        documents=counts["documents"],
        sentences=counts["sentences"],
        pieces=counts["pieces"],
        unknown_pieces=counts["unknown_pieces"],
        digest=_digest(content),
    )


def _digest(content: bytes | pa.Buffer) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _read_shard(path: Path, info: ShardInfo) -> Shard:
    try:
        with pa.memory_map(str(path)) as file:
            content = file.read_buffer()
            if _digest(content) != info.digest:
                raise DataError(
                    f"{path}: damaged: its digest is not the one in {META_NAME}; run albert prepare again"
                )
            batch = pa.ipc.open_file(content).get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read ({error}); run albert prepare again") from error
    tokens, ends = batch.column("pieces"), batch.column("sentence_ends")
    document_starts = tokens.offsets.to_numpy().astype(np.int64)[:-1]
    sentences = ends.offsets.to_numpy().astype(np.int64)
    word_starts = None
    if "word_starts" in batch.schema.names:
        values = batch.column("word_starts").values
        word_starts = np.unpackbits(_bits_of(values), count=len(values), bitorder="little").view(np.bool_)
    return Shard(
        tokens=tokens.values.to_numpy(),
        sentence_ends=ends.values.to_numpy() + np.repeat(document_starts, np.diff(sentences)),
        document_ends=sentences[1:],
        word_starts=word_starts,
    )
