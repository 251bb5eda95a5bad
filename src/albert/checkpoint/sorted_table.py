"""The sorted table of keys and values that LevelDB invented and TensorFlow's index files are.

Stands between `protobuf` and `tensorflow`. A file is blocks of ascending keys, an index block that says
where they lie, and a footer that says where the index block lies. Nothing the file says about sizes is
believed before it is compared with the size of the file.
Source: doc/table_format.md of google/leveldb.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from albert.data.tfrecord import masked_crc32c
from albert.protobuf import read_varint

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_TRAILER_BYTES = 5  # one of the compression, four of the checksum

# Keys share prefixes, so a small file could spell out a huge number of huge keys.
_MAX_KEY_BYTES = 1024


class _Handle(NamedTuple):
    """Where a block lies, without its trailer."""

    offset: int
    num_bytes: int


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields keys and values of the table that the file `data` is, ascending.

    Raises:
        ValueError: It is damaged, cut off, no table, or compressed.
    """
    if len(data) < _FOOTER_BYTES:
        raise ValueError(f"it has {len(data)} bytes, the footer of a table alone has {_FOOTER_BYTES}")
    footer = data[-_FOOTER_BYTES:]
    if not footer.endswith(_MAGIC):
        raise ValueError(f"its last bytes are {footer[-8:].hex()}, those of a table {_MAGIC.hex()}")
    metaindex, position = _read_handle(footer[:-8], 0)
    index, _ = _read_handle(footer[:-8], position)
    _read_block(data, metaindex)  # it holds nothing of use, but a damaged file should not pass
    end, last_key = 0, None
    for _, value in _entries(_read_block(data, index)):
        handle, _ = _read_handle(value, 0)
        if handle.offset < end:
            raise ValueError(f"the block at byte {handle.offset} overlaps the one before")
        end = handle.offset + handle.num_bytes + _TRAILER_BYTES
        for key, content in _entries(_read_block(data, handle)):
            if last_key is not None and key <= last_key:
                raise ValueError(f"the key {key!r} stands twice or in the wrong place")
            last_key = key
            yield key, content


def _read_handle(data: bytes, position: int) -> tuple[_Handle, int]:
    """Reads where a block lies; returns that and the position behind it."""
    offset, position = read_varint(data, position)
    num_bytes, position = read_varint(data, position)
    return _Handle(offset, num_bytes), position


def _read_block(data: bytes, handle: _Handle) -> bytes:
    """Returns a block after its checksum proved right."""
    start, end = handle.offset, handle.offset + handle.num_bytes
    limit = len(data) - _FOOTER_BYTES
    if end + _TRAILER_BYTES > limit:
        raise ValueError(
            f"a block should lie at bytes {start} to {end + _TRAILER_BYTES}, blocks end at {limit}"
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
    """Yields keys and values of a block.

    Each key is stored as the length of what it shares with the one before, and the rest. At the end stands
    a list of the keys that share nothing; it serves searches and is skipped.
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
