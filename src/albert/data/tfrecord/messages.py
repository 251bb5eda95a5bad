"""`tf.train.Example` messages, read and written without TensorFlow.

Numbers are decoded and encoded for many messages at once; only the few fields around them are read one by
one. The features of a message may have any order, and numbers may be packed or single.
Source: example.proto and feature.proto of TensorFlow 1.15; the encoding chapter of the Protocol Buffers
documentation.

Letters: B messages; here also n numbers in a feature of each.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from albert.data.batches import IntArray
from albert.protobuf import BYTES, FIXED32, VARINT, scan_fields

_MAX_VARINT_BYTES = 10

# Field numbers of the kinds of a feature, and their wire types; packed numbers are bytes.
_KINDS = {1: "bytes", 2: "float", 3: "int64"}
_WIRE_TYPES = {"bytes": (BYTES,), "float": (FIXED32, BYTES), "int64": (VARINT, BYTES)}


class Feature(NamedTuple):
    """One named list of a message, still encoded."""

    kind: str
    """`int64`, `float` or `bytes`."""
    parts: Sequence[bytes]
    """Joined: integers of variable length, or floats of four bytes; of `bytes`, each part is a value."""


def parse_example(message: bytes) -> dict[str, Feature]:
    """Return the features of a `tf.train.Example` by name; their numbers are not decoded yet.

    Raises:
        ValueError: The bytes are not such a message.
    """
    features: dict[str, Feature] = {}
    for begin, end in _messages(message, 0, len(message)):
        for entry, entry_end in _messages(message, begin, end):
            name, value = "", None
            for number, wire_type, start, stop in scan_fields(message, entry, entry_end):
                if wire_type != BYTES:
                    raise ValueError(f"the feature at its byte {entry:,} has no name or no list")
                if number == 1:
                    name = message[start:stop].decode()
                elif number == 2:
                    value = _parse_feature(message, start, stop)
            if value is not None:
                features[name] = value
    return features


def decode_integers(features: Sequence[Feature]) -> tuple[IntArray, IntArray]:
    """Return the numbers of `int64` features of B messages end to end, and (B,) how many each has.

    Raises:
        ValueError: One is of another kind, or its bytes are not integers.
    """
    data, bounds = _join(features, "int64")
    is_last = data < 128
    if is_last.all():
        return data.astype(np.int64), np.diff(bounds)
    ends = bounds[1:][np.diff(bounds) > 0]
    last = np.flatnonzero(is_last)
    sizes = np.diff(last, prepend=-1)
    if not is_last[ends - 1].all():
        raise ValueError("an integer runs over the end of its list")
    places = int(sizes.max())
    first = last - sizes + 1
    if places > _MAX_VARINT_BYTES or np.any(data[first[sizes == _MAX_VARINT_BYTES] + 9] > 1):
        raise ValueError("an integer has more than 64 bits")
    values = (data[first] & 127).astype(np.uint64)
    for place in range(1, places):
        longer = np.flatnonzero(sizes > place)
        values[longer] |= (data[first[longer] + place] & 127).astype(np.uint64) << np.uint64(7 * place)
    return values.view(np.int64), np.diff(np.searchsorted(last, bounds))


def decode_floats(features: Sequence[Feature]) -> tuple[npt.NDArray[np.float32], IntArray]:
    """Return the numbers of `float` features of B messages end to end, and (B,) how many each has.

    Raises:
        ValueError: One is of another kind, or its bytes are not floats.
    """
    data, bounds = _join(features, "float")
    if np.any(bounds % 4):
        raise ValueError("a float runs over the end of its list")
    return data.view("<f4"), np.diff(bounds) // 4


def encode_examples(columns: Mapping[str, IntArray | npt.NDArray[np.float32]]) -> list[bytes]:
    """Return B messages with the features `columns`, (B, n) each, in their order."""
    named = [
        [_feature_head(name, rows.dtype.kind, len(part)) + part for part in _encode_rows(rows)]
        for name, rows in columns.items()
    ]
    messages = []
    for entries in zip(*named, strict=True):
        content = b"".join(entries)
        messages.append(b"\x0a" + _encode_size(len(content)) + content)
    return messages


def _encode_rows(rows: npt.NDArray[Any]) -> list[bytes]:
    """Return the numbers of each row as a packed list."""
    if rows.dtype.kind == "f":
        return [row.tobytes() for row in rows.astype("<f4")]
    if not rows.size or (rows.min() >= 0 and rows.max() < 128):
        return [row.tobytes() for row in rows.astype(np.uint8)]
    values = np.ascontiguousarray(rows, np.int64).ravel().view(np.uint64)
    sizes = np.ones(len(values), np.int64)
    for place in range(1, _MAX_VARINT_BYTES):
        longer = values >= np.uint64(1 << 7 * place)
        if not longer.any():
            break
        sizes += longer
    ends = np.cumsum(sizes)
    data = np.empty(int(ends[-1]), np.uint8)
    first = ends - sizes
    for place in range(int(sizes.max())):
        there = np.flatnonzero(sizes > place)
        low = (values[there] >> np.uint64(7 * place) & np.uint64(127)).astype(np.uint8)
        data[first[there] + place] = low | (sizes[there] > place + 1).astype(np.uint8) << 7
    bounds = [0, *ends[rows.shape[1] - 1 :: rows.shape[1]].tolist()]
    content = data.tobytes()
    return [content[begin:end] for begin, end in pairwise(bounds)]


@lru_cache(maxsize=1 << 16)
def _feature_head(name: str, kind: str, num_bytes: int) -> bytes:
    """Return the bytes before the packed list of a feature: map entry, name, feature, list."""
    key = name.encode()
    head = b"\x0a" + _encode_size(num_bytes)
    for tag in (
        b"\x12" if kind == "f" else b"\x1a",
        b"\x0a" + _encode_size(len(key)) + key + b"\x12",
        b"\x0a",
    ):
        head = tag + _encode_size(len(head) + num_bytes) + head
    return head


def _encode_size(number: int) -> bytes:
    """Return a number of bytes as an integer of variable length."""
    content = bytearray()
    while number > 127:
        content.append(number & 127 | 128)
        number >>= 7
    content.append(number)
    return bytes(content)


def _join(features: Iterable[Feature], kind: str) -> tuple[npt.NDArray[np.uint8], IntArray]:
    """Return the bytes of all features, and (B + 1,) where those of each start."""
    contents = []
    for feature in features:
        if feature.kind != kind:
            raise ValueError(f"a list is of type {feature.kind}, expected {kind}")
        contents.append(feature.parts[0] if len(feature.parts) == 1 else b"".join(feature.parts))
    bounds = np.cumsum([0, *map(len, contents)])
    return np.frombuffer(b"".join(contents), np.uint8), bounds


def _parse_feature(message: bytes, begin: int, end: int) -> Feature | None:
    """Return the list of a feature; None if it has none."""
    feature = None
    for number, wire_type, start, stop in scan_fields(message, begin, end):
        kind = _KINDS.get(number)
        if kind is None or wire_type != BYTES:
            raise ValueError(f"the feature at its byte {begin:,} is not a list of int64, float or bytes")
        parts = []
        for field, wire, first, last in scan_fields(message, start, stop):
            if field != 1 or wire not in _WIRE_TYPES[kind]:
                raise ValueError(f"the list at its byte {start:,} is not of type {kind}")
            parts.append(message[first:last])
        feature = Feature(kind, parts)
    return feature


def _messages(message: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """Return start and end of the messages in field 1 of a part of `message`."""
    fields = scan_fields(message, begin, end)
    if not all(number == 1 and wire_type == BYTES for number, wire_type, _, _ in fields):
        raise ValueError(f"the bytes from its byte {begin:,} on are not a tf.train.Example")
    return [(start, stop) for _, _, start, stop in fields]
