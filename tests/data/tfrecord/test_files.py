"""TFRecord files come back as they were written; every kind of damage is noticed and named with its place."""

import gzip
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.data.tfrecord.files import RecordFile, RecordWriter, frame, masked_crc32c
from albert.errors import DataError

MESSAGES = [b"first", b"", b"third" * 40]


def read_all(path: Path) -> list[bytes]:
    file = RecordFile(path)
    return [file.read(start) for start in file.find_starts().tolist()]


def write_file(path: Path) -> bytes:
    with RecordWriter([path]) as writer:
        writer.add(MESSAGES)
    return path.read_bytes()


@given(st.lists(st.lists(st.binary(max_size=300), max_size=9), max_size=4), st.integers(1, 3))
def test_messages_go_to_the_files_in_turn(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[bytes]], num_files: int
) -> None:
    folder = tmp_path_factory.mktemp("records")
    paths = [folder / f"{number}.tfrecord" for number in range(num_files)]
    with RecordWriter(paths) as writer:
        for part in parts:
            writer.add(part)
    messages = [message for part in parts for message in part]
    assert [read_all(path) for path in paths] == [messages[turn::num_files] for turn in range(num_files)]
    assert sorted(folder.iterdir()) == paths


def test_record_is_laid_out_as_in_the_file_of_the_original(golden: Path) -> None:
    path = golden / "pretrain_data" / "first_records.tfrecord"
    messages = read_all(path)
    assert len(messages) == 40
    assert b"".join(map(frame, messages)) == path.read_bytes()


def test_a_file_is_sent_to_another_process_by_its_name(tmp_path: Path) -> None:
    write_file(tmp_path / "a")
    file = RecordFile(tmp_path / "a")
    start = file.find_starts().tolist()[2]
    assert pickle.loads(pickle.dumps(file)).read(start) == MESSAGES[2]


def test_mean_size_is_exact_if_it_covers_all_records(tmp_path: Path) -> None:
    size = len(write_file(tmp_path / "a"))
    assert RecordFile(tmp_path / "a").mean_record_bytes() == size / 3
    assert RecordFile(tmp_path / "a").mean_record_bytes(of_first=2) == (5 + 16 + 16) / 2


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    content = write_file(tmp_path / "a")
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(
            DataError, match=r"a: record at byte [\d,]+: .*damaged.*fetch the file or make it again"
        ):
            read_all(tmp_path / "a")


def test_any_cut_inside_a_record_is_noticed(tmp_path: Path) -> None:
    content = write_file(tmp_path / "a")
    borders = {0: 0, 21: 1, 37: 2, len(content): 3}
    for size in range(len(content) + 1):
        (tmp_path / "a").write_bytes(content[:size])
        if size in borders:
            assert read_all(tmp_path / "a") == MESSAGES[: borders[size]]
            continue
        with pytest.raises(DataError, match=r"a: record at byte [\d,]+: truncated"):
            read_all(tmp_path / "a")


def test_length_beyond_the_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    # A correct checksum of an absurd length.
    length = (2**63 - 1).to_bytes(8, "little")
    header = length + frame(length)[-4:]
    (tmp_path / "a").write_bytes(header + b"x" * 50)
    with pytest.raises(
        DataError, match=r"byte 0: truncated: it has 9,223,372,036,854,775,807 bytes .* 50 bytes are left"
    ):
        RecordFile(tmp_path / "a").find_starts()


@pytest.mark.parametrize(("compress", "name"), [(gzip.compress, "gzip"), (zlib.compress, "zlib")])
def test_compressed_file_is_refused_by_name(tmp_path: Path, compress: object, name: str) -> None:
    content = write_file(tmp_path / "a")
    assert callable(compress)
    (tmp_path / "a").write_bytes(compress(content))
    with pytest.raises(
        DataError, match=f"a: {name}-compressed; expected a plain TFRecord file: decompress it"
    ):
        read_all(tmp_path / "a")


def test_a_record_whose_length_looks_like_zlib_is_not_taken_for_zlib(tmp_path: Path) -> None:
    # 0x0178 bytes: the file starts with 78 01, like a zlib file.
    message = b"m" * 0x0178
    with RecordWriter([tmp_path / "a"]) as writer:
        writer.add([message])
    assert read_all(tmp_path / "a") == [message]


def test_text_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A text of a few words.")
    with pytest.raises(DataError, match="a: record at byte 0: not a TFRecord file, or damaged"):
        read_all(tmp_path / "a")
    with pytest.raises(DataError, match=r"b: cannot be read \(No such file"):
        read_all(tmp_path / "b")


def test_failed_block_leaves_what_was_there_before(tmp_path: Path) -> None:
    before = write_file(tmp_path / "a")

    def write_half() -> None:
        with RecordWriter([tmp_path / "a", tmp_path / "b"]) as writer:
            writer.add([b"new", b"new"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == before


def test_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\); free space"):
        write_file(tmp_path / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_disk_that_is_full_while_writing_is_named(tmp_path: Path, size: int) -> None:
    # A small message stays in the buffer; that the disk is full shows when it is flushed.
    (tmp_path / "a.partial").symlink_to("/dev/full")

    def write() -> None:
        with RecordWriter([tmp_path / "a"]) as writer:
            writer.add([b"x" * size])

    with pytest.raises(DataError, match=r"a: cannot be written \(No space left on device\)"):
        write()
    assert not list(tmp_path.iterdir())


def test_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent/a: cannot be written \(No such file or directory\)"):
        write_file(tmp_path / "absent" / "a")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00" * 32, 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ],
)
def test_the_checksum_under_the_mask_is_the_published_one(data: bytes, expected: int) -> None:
    rotated = (masked_crc32c(data) - 0xA282EAD8) & 0xFFFFFFFF
    assert (rotated >> 17 | rotated << 15) & 0xFFFFFFFF == expected


def test_the_checksum_of_an_array_is_that_of_its_bytes() -> None:
    data = np.random.default_rng(0).integers(0, 256, 1001, dtype=np.uint8)
    assert masked_crc32c(data) == masked_crc32c(data.tobytes())
    assert masked_crc32c(data[1:]) == masked_crc32c(data[1:].tobytes())
