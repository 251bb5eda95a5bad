"""TensorFlow checkpoints: real indices, bundles written by our own writer, and refused files."""

import json
import os
import runpy
import struct
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from albert.checkpoint.tensorflow import TensorBundle, TensorEntry, read_index
from albert.errors import CheckpointError

INDICES = sorted((Path(__file__).parents[1] / "golden" / "tensorflow").glob("*.index"))

writer = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("bundle_writer.py"))))
entry, field, header, varint, MAGIC = writer.entry, writer.field, writer.header, writer.varint, writer.MAGIC
write_bundle, write_index = writer.write_bundle, writer.write_index


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"bert/a": (3, 5), "bert/b": (7,), "bert/embeddings": (31, 2), "scalar": ()}
    floats = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return floats | {
        "bert/half": floats["bert/a"].half(),
        "bert/brain": floats["bert/b"].bfloat16(),
        "int": torch.tensor([-1, 2**31 - 1], dtype=torch.int32),
        "global_step": torch.tensor(125_000),
        "nothing": torch.empty(0, 3),
    }


@pytest.mark.parametrize("num_shards", [1, 3])
@pytest.mark.parametrize("rows_per_block", [1, 4, 1000])
@pytest.mark.parametrize("restart_interval", [1, 2, 16])
def test_a_bundle_returns_every_tensor(
    tmp_path: Path, tensors: dict[str, Tensor], num_shards: int, rows_per_block: int, restart_interval: int
) -> None:
    prefix = write_bundle(
        tmp_path / "model.ckpt-best",
        tensors,
        num_shards=num_shards,
        rows_per_block=rows_per_block,
        restart_interval=restart_interval,
    )
    read = dict(TensorBundle(prefix))
    assert set(read) == set(tensors)
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        torch.testing.assert_close(read[name], tensor, rtol=0, atol=0)


def test_a_tensor_at_an_odd_byte_is_read(tmp_path: Path) -> None:
    tensors = {"a": torch.tensor([True]), "b": torch.arange(5)}
    bundle = TensorBundle(write_bundle(tmp_path / "model", tensors))
    assert bundle.entries["b"].offset == 1
    assert bundle.read("b").tolist() == [0, 1, 2, 3, 4]


def test_writing_to_a_tensor_does_not_change_the_file(tmp_path: Path) -> None:
    bundle = TensorBundle(write_bundle(tmp_path / "model", {"a": torch.ones(3)}))
    bundle.shard_path(0).chmod(0o444)
    bundle.read("a").zero_()
    assert TensorBundle(tmp_path / "model").read("a").tolist() == [1, 1, 1]


def test_tensors_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    bundle = TensorBundle(write_bundle(tmp_path / "model", {"a": torch.ones(3), "b": torch.ones(2)}))
    first, second = bundle.read("a"), bundle.read("b")
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()


def test_an_index_of_tensorflow_and_the_numbers_of_its_model_belong_together(
    golden: Path, tmp_path: Path
) -> None:
    """The real index has TensorFlow's own checksums, which match the numbers stored next to it."""
    stored = np.load(golden / "tiny_model.npz")
    index = golden / "tensorflow" / "tiny.index"
    (tmp_path / "model.index").write_bytes(index.read_bytes())
    entries = sorted(read_index(index).entries.values(), key=lambda entry: entry.offset)
    variables = {entry.name: stored[f"var/{entry.name}"] for entry in entries if entry.dtype == "float32"}
    assert len(variables) == 32
    step = np.zeros((), dtype=np.int64)
    data = b"".join(variables.get(entry.name, step).tobytes() for entry in entries)
    (tmp_path / "model.data-00000-of-00001").write_bytes(data)
    for name, tensor in TensorBundle(tmp_path / "model"):
        np.testing.assert_array_equal(tensor.numpy(), variables.get(name, step))


def test_an_index_lists_groups_and_optimizer_slots() -> None:
    groups, tiny, trained = (read_index(path).entries for path in INDICES)
    assert [len(groups), len(tiny), len(trained)] == [81, 33, 97]
    assert "bert/encoder/transformer/group_1/inner_group_1/LayerNorm/beta" in groups
    assert trained["bert/pooler/dense/kernel/adam_m"].shape == tiny["bert/pooler/dense/kernel"].shape
    assert tiny["global_step"] == TensorEntry(
        name="global_step", dtype="int64", shape=(), shard=0, offset=432168, num_bytes=8, crc32c=0x07980329
    )


@pytest.mark.reference
@pytest.mark.parametrize("name", ["ckpt_tiny", "ckpt_groups"])
def test_checkpoints_of_the_original_contain_its_variables(reference: Path, name: str) -> None:
    read = dict(TensorBundle(reference / name / "model.ckpt-best"))
    assert read.pop("global_step").dtype == torch.int64
    variables = np.load(reference / name / "variables.npz")
    assert set(read) == set(variables)
    for variable in variables:
        np.testing.assert_array_equal(read[variable].numpy(), variables[variable])


@pytest.mark.reference
def test_modules_and_trained_checkpoints_of_the_original_are_complete(reference: Path) -> None:
    tiny = dict(TensorBundle(reference / "ckpt_tiny" / "model.ckpt-best"))
    del tiny["global_step"]
    module = dict(TensorBundle(reference / "hub" / "tiny" / "variables" / "variables"))
    assert set(module) == set(tiny)
    assert all(torch.equal(module[name], tensor) for name, tensor in tiny.items())
    spm2k = dict(TensorBundle(reference / "ckpt_spm2k" / "model.ckpt-best"))
    del spm2k["global_step"]
    module = dict(TensorBundle(reference / "hub" / "spm2k" / "variables" / "variables"))
    assert set(module) == set(spm2k)
    assert all(torch.equal(module[name], tensor) for name, tensor in spm2k.items())
    trained = dict(TensorBundle(reference / "ckpt_tiny_trained" / "model.ckpt-5"))
    assert trained["global_step"].item() == 5
    assert len(trained) == 97


@pytest.mark.reference
def test_indices_of_published_checkpoints_give_their_inventory() -> None:
    """Needs a folder of genuine `NAME.ckpt.index` files and their `inventory.json`."""
    folder = os.environ.get("ALBERT_REFERENCE_INDEXES")
    if not folder:
        pytest.skip("ALBERT_REFERENCE_INDEXES names no folder of published index files")
    inventory = json.loads((Path(folder) / "inventory.json").read_text())
    assert len(inventory) == 8
    for name, published in inventory.items():
        entries = read_index(Path(folder) / f"{name}.ckpt.index").entries.values()
        assert [
            {
                "name": entry.name,
                "dtype": entry.dtype,
                "shape": list(entry.shape),
                "offset": entry.offset,
                "nbytes": entry.num_bytes,
                "crc32c_masked": f"{entry.crc32c:08x}",
            }
            for entry in entries
        ] == published["tensors"]


# Files that are refused, and their messages.


def test_a_flipped_byte_names_its_tensor(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    prefix = write_bundle(tmp_path / "model", tensors)
    bundle = TensorBundle(prefix)
    path = bundle.shard_path(0)
    whole = path.read_bytes()
    for entry in bundle.entries.values():
        for offset in {entry.offset, entry.offset + entry.num_bytes - 1} if entry.num_bytes else ():
            damaged = bytearray(whole)
            damaged[offset] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError, match=f"checksum of '{entry.name}' .* is wrong"):
                list(TensorBundle(prefix))


def test_a_missing_data_file_is_named(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    prefix = write_bundle(tmp_path / "model", tensors, num_shards=3)
    Path(f"{prefix}.data-00001-of-00003").unlink()
    with pytest.raises(CheckpointError, match=r"model\.data-00001-of-00003: no such file"):
        TensorBundle(prefix)


@pytest.mark.parametrize("keep", [0, 1, 100])
def test_a_data_file_cut_off_is_named_with_the_tensor_it_lost(
    tmp_path: Path, tensors: dict[str, Tensor], keep: int
) -> None:
    prefix = write_bundle(tmp_path / "model", tensors)
    path = Path(f"{prefix}.data-00000-of-00001")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=f"cut off: {keep} bytes, 'scalar' ends at"):
        TensorBundle(prefix)


@pytest.mark.parametrize("file", ["model.index", "model.data-00000-of-00001"])
def test_a_git_lfs_pointer_is_reported_as_such(tmp_path: Path, file: str) -> None:
    prefix = write_bundle(tmp_path / "model", {"a": torch.ones(2)})
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 47255248\n"
    (tmp_path / file).write_text(pointer)
    with pytest.raises(CheckpointError, match=f"{file}: this is a Git LFS pointer; fetch the real file"):
        TensorBundle(prefix)


def test_an_unknown_tensor_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    bundle = TensorBundle(write_bundle(tmp_path / "model", {"bert/pooler": torch.ones(2)}))
    with pytest.raises(CheckpointError, match="no tensor 'bert/poler'; did you mean 'bert/pooler'"):
        bundle.read("bert/poler")


def test_a_type_out_of_the_list_is_refused_when_it_is_read(tmp_path: Path) -> None:
    bundle = TensorBundle(write_bundle(tmp_path / "model", {"flags": torch.tensor([True, False])}))
    assert bundle.entries["flags"].dtype == "bool"
    with pytest.raises(CheckpointError, match="'flags' is of type bool; expected float32, "):
        bundle.read("flags")


def test_a_missing_index_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.index: no such file"):
        TensorBundle(tmp_path / "model")
    (tmp_path / "model.index").mkdir()
    with pytest.raises(CheckpointError, match=r"model\.index: cannot be read \(Is a directory\)"):
        TensorBundle(tmp_path / "model")


SLICED = entry() + field(7, b"")
ABSURD_INDICES: dict[str, tuple[list[tuple[str | bytes, bytes]], str]] = {
    "no header": ([("a", entry())], "it has no header"),
    "nothing": ([], "it has no header"),
    "big-endian": ([("", header(big_endian=True))], "big-endian"),
    "slice": ([("", header()), (b"\0word\0\1\1", entry())], "'word' is a partitioned variable"),
    "sliced whole": ([("", header()), ("word", SLICED)], "'word' is a partitioned variable"),
    "twice": ([("", header()), ("a", entry()), ("a", entry())], "the key b'a' occurs twice or out of order"),
    "disorder": ([("", header()), ("b", entry()), ("a", entry(offset=4))], "occurs twice or out of order"),
    "overlap": ([("", header()), ("a", entry()), ("b", entry(offset=3))], "'a' and 'b' overlap"),
    "shard": ([("", header()), ("a", entry(shard=1))], "'a' is in data file 1 of 1"),
    "size": ([("", header()), ("a", entry((2, 3), num_bytes=25))], r"\(2, 3\), is 24 bytes, not 25"),
    "negative": ([("", header()), ("a", entry((2**64 - 1,)))], "'a' has an absurd size"),
    "huge": ([("", header()), ("a", entry((2**61,), num_bytes=2**63))], "'a' has an absurd size"),
    "huge next to 0": ([("", header()), ("a", entry((0, 2**60), num_bytes=0))], "'a' has an absurd size"),
    "dimensions": ([("", header()), ("a", entry((1,) * 33))], "33 dimensions"),
    "name": ([("", header()), (b"\xff", entry())], "can't decode byte"),
    "long name": ([("", header()), ("a" * 1025, entry())], "a key has 1025 bytes"),
    "no record": ([("", header()), ("a", b"\x0b")], "unknown wire type 3"),
    "text as shard": ([("", header()), ("a", entry() + field(3, b"x"))], "field 3 is not a number"),
    "number as shape": ([("", header()), ("a", entry() + field(2, 1))], "field 2 is not a message"),
}


@pytest.mark.parametrize("case", ABSURD_INDICES)
def test_an_index_that_contradicts_itself_is_refused(tmp_path: Path, case: str) -> None:
    rows, message = ABSURD_INDICES[case]
    path = write_index(tmp_path / "model.index", *rows, restart_interval=1)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_index(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_compressed_index_is_refused(tmp_path: Path) -> None:
    path = write_index(tmp_path / "model.index", ("", header()), compression=1)
    with pytest.raises(CheckpointError, match="the block at byte 0 is compressed"):
        read_index(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it has 0 bytes, the footer of a table alone has 48"),
        (b"x" * 100, "its last bytes are 7878787878787878, those of a table 57fb808b247547db"),
        (varint(0) * 4 + bytes(36) + struct.pack("<Q", MAGIC), "a block should be at bytes 0 to 5"),
        (
            (varint(0) + varint(2**62) * 3).ljust(40, b"\0") + struct.pack("<Q", MAGIC),
            "a block should be at bytes 0 to 4611686018427387909",
        ),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "model.index"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        read_index(path)


def test_claims_of_a_huge_size_cost_no_memory(tmp_path: Path) -> None:
    """Sparse sizes, a key that grows with each row, two billion data files: nothing is allocated for them."""
    grown = [("a" * size, entry((2**40,), offset=size << 43, num_bytes=2**42)) for size in range(1, 500)]
    path = write_index(tmp_path / "model.index", ("", header(2**31 - 1)), *grown)
    tracemalloc.start()
    try:
        read_index(path)
        with pytest.raises(CheckpointError, match="no such file"):
            TensorBundle(tmp_path / "model")
        Path(f"{tmp_path}/model.data-00000-of-2147483647").write_bytes(b"x")
        with pytest.raises(CheckpointError, match="cut off: 1 bytes"):
            TensorBundle(tmp_path / "model")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
