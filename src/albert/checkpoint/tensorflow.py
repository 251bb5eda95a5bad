"""TensorFlow's checkpoints, `PREFIX.index` and `PREFIX.data-0000k-of-0000n`, without TensorFlow.

The index is a sorted table, the format of LevelDB. The data files contain the bare numbers of one tensor
after the other; they are mapped into memory, so a tensor costs nothing until it is used. What the index
claims is checked against the sizes of the files, and the CRC32C of every tensor is verified.
Source: tensor_bundle.proto, tensor_shape.proto and types.proto of TensorFlow 1.15.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from albert.checkpoint.weight_files import refuse_lfs_pointer
from albert.data.tfrecord.files import masked_crc32c
from albert.errors import CheckpointError, did_you_mean
from albert.protobuf import find_integer, find_messages, read_fields, read_varint

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_TRAILER_BYTES = 5  # one for the compression, four for the checksum

# Keys share prefixes, so a small damaged file could expand to a huge number of huge keys.
_MAX_KEY_BYTES = 1024


class _Handle(NamedTuple):
    """Position of a block, without its trailer."""

    offset: int
    num_bytes: int


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a table file with the content `data`, ascending.

    Raises:
        ValueError: The file is damaged, cut off, not a table, or compressed.
    """
    if len(data) < _FOOTER_BYTES:
        raise ValueError(f"it has {len(data)} bytes, the footer of a table alone has {_FOOTER_BYTES}")
    footer = data[-_FOOTER_BYTES:]
    if not footer.endswith(_MAGIC):
        raise ValueError(f"its last bytes are {footer[-8:].hex()}, those of a table {_MAGIC.hex()}")
    metaindex, position = _read_handle(footer[:-8], 0)
    index, _ = _read_handle(footer[:-8], position)
    _read_block(data, metaindex)  # its content is not needed, but its checksum is verified
    end, last_key = 0, None
    for _, value in _entries(_read_block(data, index)):
        handle, _ = _read_handle(value, 0)
        if handle.offset < end:
            raise ValueError(f"the block at byte {handle.offset} overlaps the one before")
        end = handle.offset + handle.num_bytes + _TRAILER_BYTES
        for key, content in _entries(_read_block(data, handle)):
            if last_key is not None and key <= last_key:
                raise ValueError(f"the key {key!r} occurs twice or out of order")
            last_key = key
            yield key, content


def _read_handle(data: bytes, position: int) -> tuple[_Handle, int]:
    """Read the position of a block; return it and the offset after it."""
    offset, position = read_varint(data, position)
    num_bytes, position = read_varint(data, position)
    return _Handle(offset, num_bytes), position


def _read_block(data: bytes, handle: _Handle) -> bytes:
    """Return a block after verifying its checksum."""
    start, end = handle.offset, handle.offset + handle.num_bytes
    limit = len(data) - _FOOTER_BYTES
    if end + _TRAILER_BYTES > limit:
        raise ValueError(
            f"a block should be at bytes {start} to {end + _TRAILER_BYTES}, but blocks end at {limit}"
        )
    compression, stored = struct.unpack_from("<BI", data, end)
    if masked_crc32c(data[start : end + 1]) != stored:
        raise ValueError(f"the checksum of the block at byte {start} is wrong")
    if compression:
        raise ValueError(
            f"the block at byte {start} is compressed (type {compression}), which TensorFlow never does"
        )
    return data[start:end]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a block.

    Each key is stored as the length of the prefix it shares with the key before, and the rest. A list of the
    keys without shared prefix, at the end, serves binary search and is not read.
    """
    if len(block) < 4:
        raise ValueError(f"a block has {len(block)} bytes, the smallest has 4")
    num_restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (num_restarts + 1)
    if end < 0:
        raise ValueError(f"a block of {len(block)} bytes claims {num_restarts} starting points")
    key, position = b"", 0
    while position < end:
        shared, position = read_varint(block, position)
        unshared, position = read_varint(block, position)
        num_bytes, position = read_varint(block, position)
        if shared > len(key) or position + unshared + num_bytes > end:
            raise ValueError("an entry runs over the end of its block")
        if shared + unshared > _MAX_KEY_BYTES:
            raise ValueError(f"a key has {shared + unshared} bytes, more than {_MAX_KEY_BYTES}")
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + num_bytes]
        position += num_bytes


# The numbers of types.proto: types that are read, and others, to name them in messages.
_TYPE_NAMES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    19: "float16",
}
_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int32": torch.int32,
    "int64": torch.int64,
}

_MAX_DIMENSIONS = 32
_MAX_BYTES = 2**59  # far above any disk, and in 64 bits the sizes of no type overflow


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorEntry:
    """Entry of one tensor in the index."""

    name: str
    """Name of the variable."""
    dtype: str
    """`float32`, `float16`, `bfloat16`, `int32` or `int64`; others can be listed but not read."""
    shape: tuple[int, ...]
    """Sizes, outermost first."""
    shard: int
    """Number of the data file, from 0."""
    offset: int
    """First byte in that file."""
    num_bytes: int
    """Bytes in that file."""
    crc32c: int
    """Masked checksum of these bytes, as it is stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleIndex:
    """Content of an index file."""

    num_shards: int
    """Number of data files."""
    entries: dict[str, TensorEntry]
    """Tensors by name, in the order of the file: by the bytes of the name."""


def read_index(path: Path) -> BundleIndex:
    """Read `PREFIX.index`; no data file is needed.

    Raises:
        CheckpointError: The file is missing, damaged, inconsistent, or contains partitioned variables.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such file; expected the index of a TensorFlow checkpoint"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    refuse_lfs_pointer(path)
    try:
        return _parse_index(data)
    except ValueError as error:
        raise CheckpointError(
            f"{path}: damaged or not a TensorFlow index: {error}; fetch it again"
        ) from error
    except _UnsupportedError as error:
        raise CheckpointError(f"{path}: {error}") from error


class TensorBundle:
    """A checkpoint opened for reading; `prefix` is the path without `.index`.

    Raises:
        CheckpointError: See `read_index`; a data file is missing or shorter than the index says.
    """

    def __init__(self, prefix: str | Path) -> None:
        self.prefix = Path(prefix)
        self._index = read_index(Path(f"{prefix}.index"))
        self._shards: dict[int, Tensor] = {}
        for entry in sorted(self.entries.values(), key=_position, reverse=True):
            # The last tensor of each file comes first here, and shows whether the file is complete.
            if entry.shard not in self._shards:
                self._shards[entry.shard] = self._open_shard(entry)

    @property
    def entries(self) -> dict[str, TensorEntry]:
        """The tensors of the checkpoint, by name."""
        return self._index.entries

    def shard_path(self, shard: int) -> Path:
        """Return the path of a data file."""
        return Path(f"{self.prefix}.data-{shard:05d}-of-{self._index.num_shards:05d}")

    def read(self, name: str) -> Tensor:
        """Read one tensor, after verifying its checksum.

        Its memory is the mapped file; writing to it changes only the copy in memory.

        Raises:
            CheckpointError: There is no such tensor, its type is not supported, or it is damaged.
        """
        if name not in self.entries:
            raise CheckpointError(
                f"{self.prefix}: no tensor {name!r}{did_you_mean(name, list(self.entries))}"
            )
        entry = self.entries[name]
        path = self.shard_path(entry.shard)
        if entry.dtype not in _DTYPES:
            raise CheckpointError(f"{path}: {name!r} is of type {entry.dtype}; expected {', '.join(_DTYPES)}")
        content = self._shards[entry.shard][entry.offset : entry.offset + entry.num_bytes]
        if masked_crc32c(content.numpy()) != entry.crc32c:
            raise CheckpointError(
                f"{path}: the checksum of {name!r} ({entry.num_bytes} bytes at {entry.offset}) is wrong; "
                "the file is damaged or belongs to another checkpoint; fetch it again"
            )
        dtype = _DTYPES[entry.dtype]
        if entry.offset % dtype.itemsize:
            content = content.clone()
        return content.view(dtype).view(entry.shape)

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Yield names and tensors in the order of the data files, keeping none.

        Raises:
            CheckpointError: See `read`.
        """
        for entry in sorted(self.entries.values(), key=_position):
            yield entry.name, self.read(entry.name)

    def _open_shard(self, last: TensorEntry) -> Tensor:
        """Return the bytes of the data file whose last tensor is `last`, mapped into memory."""
        path = self.shard_path(last.shard)
        try:
            num_bytes = path.stat().st_size
            refuse_lfs_pointer(path)
            end = last.offset + last.num_bytes
            if end > num_bytes:
                raise CheckpointError(
                    f"{path}: cut off: {num_bytes:,} bytes, {last.name!r} ends at {end:,}; fetch it again"
                )
            if not num_bytes:
                return torch.empty(0, dtype=torch.uint8)
            # A private mapping needs no write permission, and writes to tensors stay in memory.
            return torch.from_file(str(path), shared=False, size=num_bytes, dtype=torch.uint8)
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{path}: no such file; the checkpoint needs it (it contains {last.name!r}), so fetch it, too"
            ) from error
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error})") from error


class _UnsupportedError(Exception):
    """The file is intact, but of a kind that is not supported."""


def _parse_index(data: bytes) -> BundleIndex:
    """Return the parsed index file `data`; a ValueError means that it is damaged."""
    rows = read_table(data)
    num_shards = _parse_header(*next(rows, (b"nothing", b"")))
    entries = {}
    for key, value in rows:
        entry = _parse_entry(key, value)
        if entry.shard >= num_shards:
            raise ValueError(f"{entry.name!r} is in data file {entry.shard} of {num_shards}, counted from 0")
        entries[entry.name] = entry
    for before, after in pairwise(sorted(entries.values(), key=_position)):
        if before.shard == after.shard and after.offset < before.offset + before.num_bytes:
            raise ValueError(f"{before.name!r} and {after.name!r} overlap")
    return BundleIndex(num_shards=num_shards, entries=entries)


def _parse_header(key: bytes, value: bytes) -> int:
    """Return the number of data files."""
    if key:
        raise ValueError("it has no header")
    header = read_fields(value)
    if find_integer(header, 2):
        raise _UnsupportedError("its numbers are big-endian; only little-endian checkpoints are read")
    return find_integer(header, 1)


def _parse_entry(key: bytes, value: bytes) -> TensorEntry:
    """Return the entry of one tensor, after checking that it is consistent."""
    if key.startswith(b"\0"):  # A slice; the name of the whole follows, and ends with another 0.
        raise _partitioned(key[1:].split(b"\0")[0].decode())
    name = key.decode()
    fields = read_fields(value)
    if any(number == 7 for number, _ in fields):
        raise _partitioned(name)
    number = find_integer(fields, 1)
    sizes = [size for shape in find_messages(fields, 2) for size in find_messages(shape, 2)]
    entry = TensorEntry(
        name=name,
        dtype=_TYPE_NAMES.get(number, f"number {number}"),
        shape=tuple(find_integer(size, 1) for size in sizes),
        shard=find_integer(fields, 3),
        offset=find_integer(fields, 4),
        num_bytes=find_integer(fields, 5),
        crc32c=find_integer(fields, 6),
    )
    _check_size(entry)
    return entry


def _check_size(entry: TensorEntry) -> None:
    """Refuse a tensor whose type and shape do not match its number of bytes."""
    if len(entry.shape) > _MAX_DIMENSIONS:
        raise ValueError(f"{entry.name!r} has {len(entry.shape)} dimensions, more than {_MAX_DIMENSIONS}")
    # With a size of 0 the product is 0, but torch multiplies the other sizes for its strides.
    if max(entry.offset + entry.num_bytes, math.prod(size or 1 for size in entry.shape)) > _MAX_BYTES:
        raise ValueError(f"{entry.name!r} has an absurd size: {entry.num_bytes} bytes, shape {entry.shape}")
    if entry.dtype in _DTYPES:
        expected = math.prod(entry.shape) * _DTYPES[entry.dtype].itemsize
        if entry.num_bytes != expected:
            raise ValueError(
                f"{entry.name!r}, {entry.dtype} {entry.shape}, is {expected} bytes, not {entry.num_bytes}"
            )


def _partitioned(name: str) -> _UnsupportedError:
    return _UnsupportedError(
        f"{name!r} is a partitioned variable, which is not supported; save it without a partitioner"
    )


def _position(entry: TensorEntry) -> tuple[int, int, int]:
    """Return the sort key for the order of tensors in the data files."""
    return entry.shard, entry.offset, entry.num_bytes
