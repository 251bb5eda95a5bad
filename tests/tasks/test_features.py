"""Features of texts: equal to the original's for every record; laws of truncating and taking."""

import gzip
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albert.errors import ConfigError
from albert.tasks import features as features_module
from albert.tasks.catalogue import find_task, solver_of
from albert.tasks.classification.glue import GLUE_TASKS
from albert.tasks.features import TextFeatures, make_features
from albert.tasks.files import require_files
from albert.tasks.tables import Example
from albert.text.tokenizer import AlbertTokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
Key = tuple[str, str, bool, int]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, AlbertTokenizer]:
    folder = tmp_path_factory.mktemp("tokenizer")
    model = GOLDEN / "tokenization" / "30k-clean.model"
    (folder / "spiece.model").write_bytes(model.read_bytes())
    return {lower: AlbertTokenizer.from_pretrained(folder, do_lower_case=lower) for lower in (True, False)}


def golden_records() -> Iterator[tuple[Key, list[dict[str, Any]]]]:
    with gzip.open(GOLDEN / "glue" / "features.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [record for record in map(json.loads, file) if record["task"] != "padding"]

    def key(record: dict[str, Any]) -> Key:
        return record["task"], record["split"], record["do_lower_case"], record["max_seq_length"]

    for name, group in groupby(sorted(records, key=key), key=key):
        yield name, sorted(group, key=lambda record: record["i"])


def assert_equal(features: TextFeatures, records: list[dict[str, Any]]) -> None:
    assert features.lengths.tolist() == [record["length"] for record in records]
    ends = features.lengths.cumsum()
    for record, length, end in zip(records, features.lengths, ends, strict=True):
        assert features.input_ids[end - length : end].tolist() == record["input_ids"][:length]
        assert features.token_type_ids[end - length : end].tolist() == record["segment_ids"][:length]


def test_features_of_the_official_files_equal_the_originals(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    compared = set()
    for (name, split, lower, max_seq_length), records in golden_records():
        task = find_task("mnli-mm" if name == "mismnli" else name)
        (path,) = require_files(task, GOLDEN / "glue" / "data", split)
        rows = list(solver_of(task).read(task, [path], split=split, labelled=split != "test"))
        features = make_features(rows, tokenizers[lower], max_seq_length=max_seq_length)
        assert_equal(features, records)
        if split == "test":
            assert np.isnan(features.labels).all()
        else:
            assert features.labels == pytest.approx([record["label_id"] for record in records])
        compared.add(task.name)
    assert compared == {task.name for task in GLUE_TASKS}


def test_features_of_every_recorded_text_equal_the_originals(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    for (_, _, lower, max_seq_length), records in golden_records():
        texts = [Example(record["text_a"], record["text_b"]) for record in records]
        assert_equal(make_features(texts, tokenizers[lower], max_seq_length=max_seq_length), records)


def test_taking_examples_equals_encoding_them_in_that_order(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    texts = [Example(f"text number {n} " * n, "a pair" if n % 2 else None, n) for n in range(1, 7)]
    order = [4, 0, 0, 5, 2]
    taken = make_features(texts, tokenizers[True], max_seq_length=24).take(np.array(order))
    expected = make_features([texts[n] for n in order], tokenizers[True], max_seq_length=24)
    for name in ("input_ids", "token_type_ids", "lengths", "labels"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(expected, name))


def test_examples_without_labels_have_none(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    assert np.isnan(make_features([Example("a")], tokenizers[True], max_seq_length=8).labels).all()


def test_no_examples_make_empty_features(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    features = make_features([], tokenizers[True], max_seq_length=8)
    assert len(features) == len(features.take(np.zeros(0, np.int64))) == 0


def test_features_do_not_depend_on_how_many_are_encoded_at_once(
    tokenizers: dict[bool, AlbertTokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [Example("word " * n, "other " * (9 - n) if n % 3 else None, n) for n in range(10)]
    together = make_features(texts, tokenizers[True], max_seq_length=12)
    monkeypatch.setattr(features_module, "EXAMPLES_AT_ONCE", 3)
    apart = make_features(texts, tokenizers[True], max_seq_length=12)
    for name in ("input_ids", "token_type_ids", "lengths", "labels"):
        np.testing.assert_array_equal(getattr(apart, name), getattr(together, name))


def test_features_equal_the_tokenizers_encoding_of_each_text(
    tokenizers: dict[bool, AlbertTokenizer],
) -> None:
    draw = np.random.default_rng(0)
    words = ["a", "compiler", "rejects", "Überlauf", "10,000", "", "中文"]
    texts = [" ".join(draw.choice(words, draw.integers(0, 12))) for _ in range(60)]
    pairs = [None if n % 3 == 0 else texts[-n] for n in range(60)]
    features = make_features(
        [Example(text, pair) for text, pair in zip(texts, pairs, strict=True)],
        tokenizers[True],
        max_seq_length=16,
    )
    for index, (text, pair) in enumerate(zip(texts, pairs, strict=True)):
        expected = tokenizers[True](text, pair, truncation=True, max_length=16)
        found = features.take(np.array([index]))
        assert found.input_ids.tolist() == expected["input_ids"]
        assert found.token_type_ids.tolist() == expected["token_type_ids"]


def test_a_length_without_room_for_text_is_refused(tokenizers: dict[bool, AlbertTokenizer]) -> None:
    with pytest.raises(ConfigError, match="needs at least 5 tokens"):
        make_features([Example("a", "b")], tokenizers[True], max_seq_length=4)
