"""The forecast of a corpus is close to the result."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from albert.data.check import forecast as module
from albert.data.check.forecast import Forecast, check_room, forecast, peek
from albert.data.shards.encoding import ShardMaker
from albert.data.shards.folder import write_shard
from albert.data.shards.jobs import EncodingRule, join_lines
from albert.errors import DataError
from albert.text.tokenizer import AlbertTokenizer


@pytest.fixture
def maker(tokenizer_folder: Path, tmp_path: Path) -> ShardMaker:
    tokenizer = AlbertTokenizer.from_pretrained(tokenizer_folder)
    rule = EncodingRule(tokenizer=tokenizer.fingerprint, splitting="lines", language="en", words="vocabulary")
    return ShardMaker(str(tmp_path), rule, tokenizer)


def make_documents(count: int) -> list[list[str]]:
    random = np.random.default_rng(0)
    words = np.array(["the", "stack", "value", "module", "zebra", "naïve", "error", "1990"])
    return [[" ".join(random.choice(words, 12)) for _ in range(random.geometric(0.1))] for _ in range(count)]


def test_tokens_and_bytes_of_a_corpus_are_forecast_from_its_start(maker: ShardMaker, tmp_path: Path) -> None:
    documents = make_documents(2500)
    text = b"\n\n".join(map(join_lines, documents))
    assert len(text) > 4 * module.SAMPLE_BYTES
    half = documents[: len(documents) // 2]
    expected = forecast(maker, half, share_read=len(b"\n\n".join(map(join_lines, half))) / len(text))
    shard = maker.encode(text)
    assert expected.text_bytes == pytest.approx(len(text))
    write_shard(tmp_path / "a.arrow", shard, vocab_size=maker.tokenizer.vocab_size, unknown_id=1)
    assert expected.tokens == pytest.approx(len(shard.tokens), rel=0.02)
    assert expected.disk_bytes == pytest.approx((tmp_path / "a.arrow").stat().st_size, rel=0.02)
    assert expected.seconds > 0


@pytest.mark.parametrize("line", ["x", "字" * 200_000, "word " * 100_000])
def test_a_start_without_a_place_to_cut_is_used_whole(maker: ShardMaker, line: str) -> None:
    expected = forecast(maker, [[line]], share_read=1)
    tokens = len(maker.encode(line.encode()).tokens)
    assert expected.tokens == pytest.approx(tokens, rel=0.01)


def test_peeking_reads_no_more_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEEKED_CHARACTERS", 10)
    documents = iter([["abc", "def"], ["ghi"], ["jkl"], ["mno"]])
    assert peek(documents) == [["abc", "def"], ["ghi"], ["jkl"]]
    assert peek(documents) == [["mno"]]


def test_line_has_tokens_room_and_time() -> None:
    expected = Forecast(text_bytes=8e6, tokens=2e6, disk_bytes=4.1e6, seconds=90)
    assert expected.line(shards=3, processes=2) == (
        "about 2M tokens, 4.1 MB in 3 shards, 0:45 with 2 processes"
    )
    assert expected.line(shards=1, processes=1).endswith("in 1 shard, 1:30 with 1 process")
    assert expected.line(shards=1, processes=None).endswith("1:30 of one process's time")


def test_disk_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    output = tmp_path / "new" / "data"
    check_room(str(output), 4_900_000)
    with pytest.raises(DataError, match=r"data: the shards need about 6 MB, the disk has 5 MB free"):
        check_room(str(output), 6_000_000)
    check_room("memory://data", 6_000_000)
    output.mkdir(parents=True)
    # Shards that already exist need no more room.
    (output / "train-00000-ab.arrow").write_bytes(bytes(2_000_000))
    check_room(str(output), 6_000_000)
