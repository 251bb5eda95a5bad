"""Real index files, damaged at random: our own error within a second, or a consistent index."""

import math
import struct
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from albert.checkpoint.tensorflow import BundleIndex, read_index
from albert.data.tfrecord.files import masked_crc32c
from albert.errors import CheckpointError
from albert.protobuf import read_varint

INDICES = sorted((Path(__file__).parents[1] / "golden" / "tensorflow").glob("*.index"))


def blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and size of the blocks of a file with one block of data."""
    metaindex, position = read_varint(data, len(data) - 48)
    metaindex_bytes, position = read_varint(data, position)
    index, position = read_varint(data, position)
    index_bytes, position = read_varint(data, position)
    yield 0, metaindex - 5
    yield metaindex, metaindex_bytes
    yield index, index_bytes


def healed(original: bytes, damaged: bytes) -> bytes:
    """The damaged bytes with correct checksums and magic number, as an attacker would write them."""
    data = bytearray(damaged)
    data[-8:] = original[-8:]
    for start, size in blocks(original):
        data[start + size] = 0
        struct.pack_into("<I", data, start + size + 1, masked_crc32c(bytes(data[start : start + size + 1])))
    return bytes(data)


def flip(data: bytes, at: int, content: bytes) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ (content[0] or 1)]) + data[at + 1 :]


def overwrite(data: bytes, at: int, content: bytes) -> bytes:
    at %= len(data)
    return (data[:at] + content + data[at + len(content) :])[: len(data)]


def truncate(data: bytes, at: int, content: bytes) -> bytes:
    return data[: at % len(data)]


def insert(data: bytes, at: int, content: bytes) -> bytes:
    at %= len(data)
    return data[:at] + content + data[at:]


def splice(data: bytes, at: int, content: bytes) -> bytes:
    """Replace a stretch of the file by another one."""
    at, source = at % len(data), int.from_bytes(content) % len(data)
    return data[:at] + data[source : source + len(content) * 4] + data[at + 1 :]


MUTATIONS: list[Callable[[bytes, int, bytes], bytes]] = [flip, overwrite, truncate, insert, splice]
EDITS = st.lists(
    st.tuples(st.sampled_from(MUTATIONS), st.integers(0, 2**16), st.binary(min_size=1, max_size=12)),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=2000,
    deadline=timedelta(seconds=1),
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(which=st.integers(0, len(INDICES) - 1), edits=EDITS, heal=st.booleans())
@example(which=1, edits=[(overwrite, 2**16, b"\xff" * 12)], heal=True)
def test_a_damaged_index_is_an_error_of_ours_or_still_makes_sense(
    tmp_path: Path,
    which: int,
    edits: list[tuple[Callable[[bytes, int, bytes], bytes], int, bytes]],
    heal: bool,
) -> None:
    original = INDICES[which].read_bytes()
    damaged = original
    for mutate, at, content in edits:
        damaged = mutate(damaged or original, at, content)
    if heal:
        damaged = healed(original, (damaged + original[len(damaged) :])[: len(original)])
    path = tmp_path / "model.index"
    path.write_bytes(damaged)
    message = ""
    try:
        index = read_index(path)
    except CheckpointError as error:
        message = str(error)
    else:
        assert heal or index == read_index(INDICES[which])
        assert_consistent(index)
    assert "\n" not in message


def assert_consistent(index: BundleIndex) -> None:
    """Check that no entry of the index is larger than the bytes that exist."""
    sizes = {"float32": 4, "float16": 2, "bfloat16": 2, "int32": 4, "int64": 8}
    for entry in index.entries.values():
        assert 0 <= entry.shard < index.num_shards
        if entry.dtype in sizes:
            assert entry.num_bytes == math.prod(entry.shape) * sizes[entry.dtype]
    lying = sorted((entry.shard, entry.offset, entry.num_bytes) for entry in index.entries.values())
    for (shard, offset, num_bytes), after in pairwise(lying):
        assert (shard, offset + num_bytes) <= after[:2]
