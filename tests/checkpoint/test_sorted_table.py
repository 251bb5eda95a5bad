"""The checksum of tables, by the vectors of RFC 3720 (appendix B.4)."""

import numpy as np
import pytest

from albert.data.tfrecord import masked_crc32c


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00" * 32, 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ],
)
def test_the_checksum_behind_the_mask_is_the_published_one(data: bytes, expected: int) -> None:
    rotated = (masked_crc32c(data) - 0xA282EAD8) & 0xFFFFFFFF
    assert (rotated >> 17 | rotated << 15) & 0xFFFFFFFF == expected


def test_the_checksum_of_an_array_is_that_of_its_bytes() -> None:
    data = np.random.default_rng(0).integers(0, 256, 1001, dtype=np.uint8)
    assert masked_crc32c(data) == masked_crc32c(data.tobytes())
    assert masked_crc32c(data[1:]) == masked_crc32c(data[1:].tobytes())
