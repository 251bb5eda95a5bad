"""Write checkpoints as TensorFlow does, and some as it never would, for tests.

`write_bundle` makes a whole one, `write_index` an index with any records, `entry` a record with any numbers.
Test modules load it by its path.
"""

import struct
from pathlib import Path

import torch
from torch import Tensor

from albert.data.tfrecord.files import masked_crc32c

MAGIC = 0xDB4775248B80FB57
NUMBER_OF_TYPE = {
    torch.float32: 1,
    torch.int32: 3,
    torch.int64: 9,
    torch.bool: 10,
    torch.bfloat16: 14,
    torch.float16: 19,
}


def varint(value: int) -> bytes:
    low = b""
    while value > 127:
        low += bytes([value & 127 | 128])
        value >>= 7
    return low + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def header(num_shards: int = 1, *, big_endian: bool = False) -> bytes:
    return field(1, num_shards) + field(2, int(big_endian)) + field(3, field(1, 1))


def entry(shape: tuple[int, ...] = (), **values: int) -> bytes:
    """A record with any numbers in it, correct or not."""
    sizes = b"".join(field(2, field(1, size)) for size in shape)
    given = {"dtype": 1, "shard": 0, "offset": 0, "num_bytes": 4, "crc32c": 0} | values
    numbers = {3: "shard", 4: "offset", 5: "num_bytes"}
    return (
        field(1, given["dtype"])
        + field(2, sizes)
        + b"".join(field(number, given[name]) for number, name in numbers.items())
        + varint(6 << 3 | 5)
        + struct.pack("<I", given["crc32c"])
    )


def block(rows: list[tuple[bytes, bytes]], *, restart_interval: int = 16, compression: int = 0) -> bytes:
    content, restarts, last = b"", [], b""
    for number, (key, value) in enumerate(rows):
        differ = (at for at, (old, new) in enumerate(zip(last, key, strict=False)) if old != new)
        shared = next(differ, min(len(last), len(key)))
        if number % restart_interval == 0:
            restarts.append(len(content))
            shared = 0
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    content += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts)) + bytes([compression])
    return content + struct.pack("<I", masked_crc32c(content))


def table(rows: list[tuple[bytes, bytes]], *, rows_per_block: int = 1000, **block_settings: int) -> bytes:
    data, handles = b"", []
    for start in range(0, len(rows), rows_per_block):
        part = rows[start : start + rows_per_block]
        written = block(part, **block_settings)
        handles.append((part[-1][0], varint(len(data)) + varint(len(written) - 5)))
        data += written
    footer = b""
    for written in (block([]), block(handles)):  # the metaindex, the index
        footer += varint(len(data)) + varint(len(written) - 5)
        data += written
    return data + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def write_index(path: Path, *rows: tuple[str | bytes, bytes], **table_settings: int) -> Path:
    coded = [(key.encode() if isinstance(key, str) else key, value) for key, value in rows]
    path.write_bytes(table(coded, **table_settings))
    return path


def write_bundle(
    prefix: Path, tensors: dict[str, Tensor], *, num_shards: int = 1, **table_settings: int
) -> Path:
    """Write tensors to the shards in turn, in the order of the names."""
    shards = [b""] * num_shards
    rows: list[tuple[str | bytes, bytes]] = [("", header(num_shards))]
    for number, (name, tensor) in enumerate(sorted(tensors.items())):
        shard = number % num_shards
        content = bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
        record = entry(
            tuple(tensor.shape),
            dtype=NUMBER_OF_TYPE[tensor.dtype],
            shard=shard,
            offset=len(shards[shard]),
            num_bytes=len(content),
            crc32c=masked_crc32c(content),
        )
        rows.append((name, record))
        shards[shard] += content
    write_index(Path(f"{prefix}.index"), *rows, **table_settings)
    for shard, content in enumerate(shards):
        Path(f"{prefix}.data-{shard:05d}-of-{num_shards:05d}").write_bytes(content)
    return prefix
