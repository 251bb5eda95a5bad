"""Encoding keeps the documents and sentences of a text; a job's file is made once."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from albert.data.shards import encoding
from albert.data.shards.encoding import ShardMaker, encode_documents, make_shard, open_maker
from albert.data.shards.folder import Shard
from albert.data.shards.jobs import EncodingRule, ShardJob
from albert.errors import DataError
from albert.text.tokenizer import AlbertTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"
HAN = "中国人民大学生活"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{x}" for x in LETTERS), *HAN]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(folder)


@pytest.fixture
def rule(tokenizer: AlbertTokenizer) -> EncodingRule:
    return EncodingRule(tokenizer=tokenizer.fingerprint, splitting="lines", language="en", words="vocabulary")


def make_documents(count: int) -> list[list[str]]:
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list(LETTERS), 4)) for _ in range(50)]
    return [
        [" ".join(random.choice(words, random.integers(1, 8))) for _ in range(random.integers(1, 6))]
        for _ in range(count)
    ]


def ids_of(shard: Shard) -> list[list[list[int]]]:
    sentences = [shard.tokens[a:b].tolist() for a, b in pairwise([0, *shard.sentence_ends])]
    return [sentences[a:b] for a, b in pairwise([0, *shard.document_ends])]


@pytest.mark.parametrize("batch_characters", [1, 300, 1 << 18])
def test_documents_and_sentences_end_as_in_the_text(
    tokenizer: AlbertTokenizer, monkeypatch: pytest.MonkeyPatch, batch_characters: int
) -> None:
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", batch_characters)
    documents = make_documents(40)
    shard = encode_documents(documents, tokenizer, words="vocabulary")
    assert ids_of(shard) == [tokenizer.encode_sentences(document) for document in documents]
    assert shard.word_starts is None


def test_sentences_and_documents_without_a_token_are_dropped(tokenizer: AlbertTokenizer) -> None:
    documents = [["\u200b"], ["ab", "\u200b", "c"], ["\u200b", "\u200b"], ["d 5"], ["\u200b"]]
    shard = encode_documents(documents, tokenizer, words="vocabulary")
    assert ids_of(shard) == [tokenizer.encode_sentences(["ab", "c"]), tokenizer.encode_sentences(["d 5"])]
    empty = encode_documents([["\u200b"]], tokenizer, words="vocabulary")
    assert [len(empty.tokens), len(empty.sentence_ends), len(empty.document_ends)] == [0, 0, 0]


def test_chinese_words_are_stored_with_the_tokens(tokenizer: AlbertTokenizer) -> None:
    pytest.importorskip("rjieba")
    sentences = ["中国人民生活", "abc 大学生", "\u200b", "大学"]
    shard = encode_documents([sentences[:2], sentences[2:]], tokenizer, words="jieba")
    assert ids_of(shard) == [
        tokenizer.encode_sentences(sentences[:2]),
        tokenizer.encode_sentences(sentences[3:]),
    ]
    _, starts = tokenizer.encode_sentences_with_words(sentences)
    assert shard.word_starts is not None
    assert shard.word_starts.tolist() == [start for row in starts for start in row]
    assert not shard.word_starts.all()


def test_paragraphs_are_split_into_sentences(
    tokenizer: AlbertTokenizer, rule: EncodingRule, tmp_path: Path
) -> None:
    paragraphs = EncodingRule(
        tokenizer=rule.tokenizer, splitting="sentences", language="en", words="vocabulary"
    )
    text = b"A dog ran. A cat sat.\nNo.\n\nIt rained."
    alone, split = (ShardMaker(str(tmp_path), way, tokenizer).encode(text) for way in (rule, paragraphs))
    assert [len(shard.sentence_ends) for shard in (alone, split)] == [3, 4]
    assert alone.document_ends.tolist() == [2, 3]
    assert split.document_ends.tolist() == [3, 4]
    np.testing.assert_array_equal(alone.tokens, split.tokens)


def test_maker_of_another_process_has_the_same_tokenizer(
    folder: Path, tokenizer: AlbertTokenizer, rule: EncodingRule
) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    maker = open_maker("output", rule, files)
    assert maker.tokenizer.fingerprint == tokenizer.fingerprint


def test_job_is_done_once_and_again_if_its_file_is_damaged(
    tokenizer: AlbertTokenizer, rule: EncodingRule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = ShardMaker(str(tmp_path), rule, tokenizer)
    job = ShardJob(name="train-00000-ab.arrow", split="train", text=b"ab cd\nef\n\ngh 5")
    info = make_shard(maker, job)
    content = (tmp_path / job.name).read_bytes()
    assert (info.documents, info.sentences, info.pieces, info.unknown_pieces) == (2, 3, 9, 1)
    with monkeypatch.context() as patch:
        patch.setattr(ShardMaker, "encode", None)
        assert make_shard(maker, job) == info
    (tmp_path / job.name).write_bytes(content[:-50])
    assert make_shard(maker, job) == info
    assert (tmp_path / job.name).read_bytes() == content


def test_full_disk_is_an_error_and_leaves_no_half_shard(
    tokenizer: AlbertTokenizer, rule: EncodingRule, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    maker = ShardMaker(str(tmp_path), rule, tokenizer)
    job = ShardJob(name="train-00000-ab.arrow", split="train", text=b"ab cd\n" * 2000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(DataError, match=r"train-00000-ab.arrow: cannot be written \(File too large\)"):
            make_shard(maker, job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
