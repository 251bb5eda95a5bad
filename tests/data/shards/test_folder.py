"""Shards are read back as they were written; damage is noticed and reported."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.data.corpus import storage
from albert.data.shards.folder import (
    PreparedData,
    Shard,
    ShardInfo,
    TokenizerInfo,
    find_shard,
    open_prepared,
    read_meta,
    remove_damaged,
    remove_other_shards,
    stored_bytes,
    write_meta,
    write_shard,
)
from albert.errors import DataError, TokenizerError

TOKENIZER = TokenizerInfo(fingerprint="ab" * 32, kind="wordpiece", do_lower_case=True, vocab_size=31)
UNKNOWN_ID = 1


def make_shard(documents: int, *, largest_id: int = 30, words: bool = False, seed: int = 0) -> Shard:
    random = np.random.default_rng(seed)
    document_ends = np.cumsum(random.integers(1, 7, documents))
    sentence_ends = np.cumsum(random.integers(1, 9, document_ends[-1]))
    size = sentence_ends[-1]
    return Shard(
        tokens=random.integers(0, largest_id, size, dtype=np.uint32, endpoint=True),
        sentence_ends=sentence_ends,
        document_ends=document_ends,
        word_starts=random.random(size) < 0.5 if words else None,
    )


def write_folder(folder: Path, shards: list[Shard]) -> PreparedData:
    folder.mkdir(exist_ok=True)
    infos = [
        write_shard(folder / f"train-{number:05}-ab.arrow", shard, vocab_size=31, unknown_id=UNKNOWN_ID)
        for number, shard in enumerate(shards)
    ]
    write_meta(folder, shards={"train": infos, "held-out": []}, tokenizer=TOKENIZER, counts={"documents": 1})
    return open_prepared(folder)


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    return write_folder(tmp_path / "data", [make_shard(9, seed=seed) for seed in range(3)])


def sentences_of(shard: Shard) -> list[list[list[int]]]:
    bounds = [0, *shard.sentence_ends]
    sentences = [shard.tokens[a:b].tolist() for a, b in pairwise(bounds)]
    return [sentences[a:b] for a, b in pairwise([0, *shard.document_ends])]


@pytest.mark.parametrize(("vocab_size", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("documents", [1, 57])
def test_shard_gives_back_every_document_in_order(
    tmp_path: Path, vocab_size: int, dtype: type[np.unsignedinteger[Any]], words: bool, documents: int
) -> None:
    shard = make_shard(documents, largest_id=vocab_size - 1, words=words)
    info = write_shard(tmp_path / "train-0.arrow", shard, vocab_size=vocab_size, unknown_id=UNKNOWN_ID)
    write_meta(tmp_path, shards={"train": [info], "held-out": []}, tokenizer=TOKENIZER, counts={})
    data = open_prepared(tmp_path)
    found = data.read_shard("train", 0)
    assert found.tokens.dtype == dtype
    assert sentences_of(found) == sentences_of(shard)
    assert (info.documents, info.sentences) == (documents, len(shard.sentence_ends))
    assert info.unknown_pieces == np.count_nonzero(shard.tokens == UNKNOWN_ID)
    assert data.tokens("train") == info.pieces == len(shard.tokens)
    if words:
        assert found.word_starts is not None
        assert found.word_starts.dtype == np.bool_
        np.testing.assert_array_equal(found.word_starts, shard.word_starts)
    else:
        assert found.word_starts is None


def test_shard_of_nothing_can_be_written_and_found(tmp_path: Path) -> None:
    nothing = np.empty(0, np.int64)
    shard = Shard(
        tokens=nothing, sentence_ends=nothing, document_ends=nothing, word_starts=nothing.astype(bool)
    )
    info = write_shard(tmp_path / "a.arrow", shard, vocab_size=31, unknown_id=UNKNOWN_ID)
    assert (info.documents, info.pieces) == (0, 0)
    assert find_shard(tmp_path / "a.arrow") == info


def test_equal_documents_give_equal_folders_and_others_another_fingerprint(tmp_path: Path) -> None:
    fingerprints = [
        write_folder(tmp_path / name, [make_shard(9, seed=seed)]).fingerprint
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    files = [sorted((p.name, p.read_bytes()) for p in (tmp_path / name).iterdir()) for name in "ab"]
    assert files[0] == files[1]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


@pytest.mark.parametrize("words", [False, True])
def test_size_is_forecast_within_two_kilobytes(tmp_path: Path, words: bool) -> None:
    shard = make_shard(4000, words=words)
    write_shard(tmp_path / "a.arrow", shard, vocab_size=31, unknown_id=UNKNOWN_ID)
    assert (tmp_path / "a.arrow").stat().st_size == pytest.approx(
        stored_bytes(shard, vocab_size=31), abs=2000
    )


def test_tokenizer_that_did_not_make_the_shards_is_refused(data: PreparedData) -> None:
    data.check_tokenizer(TOKENIZER.fingerprint, "model")
    with pytest.raises(TokenizerError, match=r"model: its tokenizer \(cdcd.*\) is not the one of the shards"):
        data.check_tokenizer("cd" * 32, "model")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_the_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty_it(path: Path) -> None:
    path.write_bytes(b"")


def take_one_of_another_format(path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"pieces": [[1, 2]], "sentence_ends": [[2]]})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


damages = pytest.mark.parametrize("damage", [flip_a_byte, cut_the_end, empty_it, take_one_of_another_format])


@damages
def test_damaged_shard_is_named_and_not_found(data: PreparedData, damage: Callable[[Path], None]) -> None:
    path = Path(data.folder) / "train-00001-ab.arrow"
    assert find_shard(path) == data.shards["train"][1]
    damage(path)
    data.read_shard("train", 0)
    with pytest.raises(DataError, match=r"train-00001-ab.arrow: .*run albert prepare again"):
        data.read_shard("train", 1)
    assert find_shard(path) is None


@pytest.mark.parametrize("byte", range(0, 3000, 37))
def test_shard_notices_any_changed_value(tmp_path: Path, byte: int) -> None:
    path = tmp_path / "train-0.arrow"
    info = write_shard(path, make_shard(9, words=True), vocab_size=31, unknown_id=UNKNOWN_ID)
    content = bytearray(path.read_bytes())
    content[byte % len(content)] ^= 4
    path.write_bytes(content)
    found = find_shard(path)
    # A shard that is found in spite of the change has the same counts: no value was changed.
    assert found is None or replace(found, digest=info.digest) == info


def test_damaged_and_missing_shards_are_removed_to_be_made_again(data: PreparedData) -> None:
    assert remove_damaged(data) == []
    flip_a_byte(Path(data.folder) / "train-00000-ab.arrow")
    (Path(data.folder) / "train-00002-ab.arrow").unlink()
    assert remove_damaged(data) == ["train-00000-ab.arrow", "train-00002-ab.arrow"]
    assert [path.name for path in Path(data.folder).glob("*.arrow")] == ["train-00001-ab.arrow"]


def test_only_shards_and_halves_of_shards_are_removed(tmp_path: Path) -> None:
    kept = ["train-1.arrow", "meta.json", "notes.arrow", "train-plan.txt", "train-1.arrow.bak"]
    gone = ["train-2.arrow", "held-out-1.arrow", "held-out-1.arrow.partial", "train-1.arrow.partial"]
    for name in kept + gone:
        (tmp_path / name).touch()
    remove_other_shards(tmp_path, ["train-1.arrow"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_missing_shard_is_named(data: PreparedData) -> None:
    (Path(data.folder) / "train-00001-ab.arrow").unlink()
    with pytest.raises(DataError, match=r"train-00001-ab.arrow: the shard is missing"):
        open_prepared(data.folder)


def test_folder_without_meta_is_unfinished(data: PreparedData, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder; albert prepare --output"):
        open_prepared(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no prepared data \(no meta.json\)"):
        open_prepared(tmp_path)
    (Path(data.folder) / "meta.json").unlink()
    with pytest.raises(DataError, match=r"an unfinished albert prepare \(no meta.json\)"):
        open_prepared(data.folder)


def test_damaged_or_foreign_meta_is_refused(data: PreparedData) -> None:
    path = Path(data.folder) / "meta.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta | {"version": 1}))
    with pytest.raises(
        DataError, match=r"format version 1, this release reads 2; run albert prepare again, into a new"
    ):
        open_prepared(data.folder)
    for damaged in ("{", "[]", json.dumps({"version": 2}), json.dumps(meta | {"tokenizer": {}})):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"meta.json: damaged"):
            open_prepared(data.folder)


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("s3://bucket/data", "aws s3 sync s3://bucket/data data"),
        ("gs://bucket/data/", "gcloud storage rsync -r gs://bucket/data/ data"),
        ("memory://data", r"fsspec.url_to_fs\('memory://data'\)"),
    ],
)
def test_folder_by_url_must_be_copied_first(url: str, command: str) -> None:
    with pytest.raises(DataError, match=f"must be on a local disk; copy the folder first: .*{command}"):
        open_prepared(url)


def test_shards_can_be_written_to_a_url() -> None:
    folder = "memory://shards-of-a-test"
    shard = make_shard(9)
    path = storage.join(folder, "train-00000-ab.arrow")
    info: ShardInfo = write_shard(path, shard, vocab_size=31, unknown_id=UNKNOWN_ID)
    write_meta(folder, shards={"train": [info], "held-out": []}, tokenizer=TOKENIZER, counts={"a": 1})
    assert find_shard(path) == info
    data = read_meta(folder)
    assert data.shards["train"] == (info,)
    assert remove_damaged(data) == []
    storage.write_whole(path, b"damaged")
    assert remove_damaged(data) == [info.name]
    assert not storage.exists(path)


def test_shard_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(DataError, match=r"a.arrow: cannot be written \(No space left on device\)"):
        write_shard(tmp_path / "a.arrow", make_shard(2), vocab_size=31, unknown_id=UNKNOWN_ID)
    assert not list(tmp_path.iterdir())
