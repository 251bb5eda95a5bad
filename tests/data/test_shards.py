"""What `albert.data.shards` writes it reads back; damage is noticed and named."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from albert.data.encoding import EncodedDocument
from albert.data.shards import (
    PreparedData,
    ShardWriter,
    TokenizerInfo,
    open_prepared,
    write_meta,
    write_whole,
)
from albert.errors import DataError, TokenizerError

TOKENIZER = TokenizerInfo(fingerprint="ab" * 32, kind="wordpiece", do_lower_case=True, vocab_size=31)


def make_documents(count: int, *, largest_id: int) -> list[EncodedDocument]:
    random = np.random.default_rng(count)
    documents = []
    for _ in range(count):
        ends = np.cumsum(random.integers(1, 9, random.integers(1, 7))).astype(np.uint32)
        pieces = random.integers(0, largest_id, ends[-1], dtype=np.uint32, endpoint=True)
        documents.append(EncodedDocument(pieces=pieces, sentence_ends=ends, hash_share=0.5, unknown_pieces=0))
    return documents


def write_folder(
    folder: Path, documents: list[EncodedDocument], *, vocab_size: int = 31, shard_pieces: int = 100
) -> PreparedData:
    writer = ShardWriter(folder, "train", vocab_size=vocab_size, shard_pieces=shard_pieces)
    for document in documents:
        writer.add(document)
    writer.finish()
    write_meta(
        folder, shards={"train": writer.shards, "held-out": []}, tokenizer=TOKENIZER, counts={"documents": 1}
    )
    return open_prepared(folder)


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_shards_give_back_every_document_in_order(
    tmp_path: Path, vocab_size: int, dtype: type[np.unsignedinteger]
) -> None:
    documents = make_documents(57, largest_id=vocab_size - 1)
    data = write_folder(tmp_path, documents, vocab_size=vocab_size)
    found = []
    for index, info in enumerate(data.shards["train"]):
        shard = data.read_shard("train", index)
        assert shard.pieces.dtype == dtype
        assert (info.documents, info.sentences) == (len(shard.document_ends), len(shard.sentence_ends))
        bounds = np.concatenate([[0], shard.sentence_ends])
        sentences = [shard.pieces[a:b].tolist() for a, b in pairwise(bounds)]
        starts = [0, *shard.document_ends]
        found += [sentences[a:b] for a, b in zip(starts, shard.document_ends, strict=False)]
    expected = [
        [part.tolist() for part in np.split(document.pieces, document.sentence_ends[:-1])]
        for document in documents
    ]
    assert found == expected
    assert data.pieces("train") == sum(len(document.pieces) for document in documents)


def test_shards_are_closed_as_soon_as_they_are_full(tmp_path: Path) -> None:
    data = write_folder(tmp_path, make_documents(40, largest_id=30), shard_pieces=50)
    sizes = [info.pieces for info in data.shards["train"]]
    assert len(sizes) > 3
    assert all(50 <= size < 50 + 48 for size in sizes[:-1])


def test_equal_documents_give_equal_folders_and_others_another_fingerprint(tmp_path: Path) -> None:
    fingerprints = []
    for name, count in (("a", 40), ("b", 40), ("c", 41)):
        (tmp_path / name).mkdir()
        fingerprints.append(write_folder(tmp_path / name, make_documents(count, largest_id=30)).fingerprint)
    files = [sorted((p.name, p.read_bytes()) for p in (tmp_path / name).iterdir()) for name in "ab"]
    assert files[0] == files[1]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_tokenizer_that_did_not_make_the_shards_is_refused(tmp_path: Path) -> None:
    data = write_folder(tmp_path, make_documents(3, largest_id=30))
    data.check_tokenizer(TOKENIZER.fingerprint, "model")
    with pytest.raises(TokenizerError, match=r"model: its tokenizer \(cdcd.*\) is not the one of the shards"):
        data.check_tokenizer("cd" * 32, "model")


def flip_a_byte(folder: Path) -> None:
    path = folder / "train-00001.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_the_end(folder: Path) -> None:
    path = folder / "train-00001.arrow"
    path.write_bytes(path.read_bytes()[:-100])


def empty_the_shard(folder: Path) -> None:
    (folder / "train-00001.arrow").write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_byte, cut_the_end, empty_the_shard])
def test_damaged_shard_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    data = write_folder(tmp_path, make_documents(40, largest_id=30))
    damage(tmp_path)
    data.read_shard("train", 0)
    with pytest.raises(DataError, match=r"train-00001.arrow: .*run albert prepare again"):
        data.read_shard("train", 1)


def test_missing_shard_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, make_documents(40, largest_id=30))
    (tmp_path / "train-00001.arrow").unlink()
    with pytest.raises(DataError, match=r"train-00001.arrow: the shard is missing"):
        open_prepared(tmp_path)


def test_folder_without_meta_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder; albert prepare --output"):
        open_prepared(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no prepared data \(no meta.json\)"):
        open_prepared(tmp_path)
    write_folder(tmp_path, make_documents(3, largest_id=30))
    (tmp_path / "meta.json").unlink()
    with pytest.raises(DataError, match=r"an unfinished albert prepare \(no meta.json\)"):
        open_prepared(tmp_path)


def test_damaged_or_foreign_meta_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, make_documents(3, largest_id=30))
    path = tmp_path / "meta.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | {"version": 0}))
    with pytest.raises(DataError, match=r"meta.json: shards of format version 0, this release reads 1"):
        open_prepared(tmp_path)
    for damaged in ("{", "[]", json.dumps({"version": 1}), json.dumps(meta | {"tokenizer": {}})):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"meta.json: damaged"):
            open_prepared(tmp_path)


def test_file_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    write_whole(tmp_path / "a", b"before")
    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(DataError, match=r"a: cannot be written \(No space left on device\)"):
        write_whole(tmp_path / "a", b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"before"
