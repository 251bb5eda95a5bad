"""Masked examples come back from the original's records unchanged; the original's own are read right."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert.data.batches import NO_ORDER_LABEL, PretrainingBatch
from albert.data.tfrecord.files import RecordFile
from albert.data.tfrecord.masked_records import parse_records, serialize_records
from albert.data.tfrecord.messages import encode_examples
from albert.errors import ConfigError
from albert.text.tokenizer import AlbertTokenizer

VOCAB_SIZE = 31


def make_batch(lengths: list[int], *, seed: int = 0) -> PretrainingBatch:
    random = np.random.default_rng(seed)
    total = sum(lengths)
    positions = np.flatnonzero(random.random(total) < 0.3)
    return PretrainingBatch(
        input_ids=random.integers(0, VOCAB_SIZE, total),
        token_type_ids=random.integers(0, 2, total),
        lengths=np.array(lengths),
        masked_positions=positions,
        masked_labels=random.integers(0, VOCAB_SIZE, len(positions)),
        sentence_order_labels=random.choice([0, 1, NO_ORDER_LABEL], len(lengths)),
        word_starts=random.random(total) < 0.5,
    )


def assert_equal(first: PretrainingBatch, second: PretrainingBatch) -> None:
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, vars(second)[name], err_msg=name)


def parse(messages: list[bytes], *, max_seq_length: int = 64) -> PretrainingBatch:
    return parse_records(messages, vocab_size=VOCAB_SIZE, max_seq_length=max_seq_length)


def a_record(**changes: list[int] | list[float] | None) -> bytes:
    """Return a record of 4 tokens in 6, two of them masked, with some features changed or removed."""
    features: dict[str, Any] = {
        "input_ids": [2, 4, 9, 3, 0, 0],
        "input_mask": [1, 1, 1, 1, 0, 0],
        "segment_ids": [0, 0, 1, 1, 0, 0],
        "masked_lm_positions": [1, 2, 0],
        "masked_lm_ids": [8, 9, 0],
        "masked_lm_weights": [1.0, 1.0, 0.0],
        "next_sentence_labels": [1],
        "token_boundary": [1, 1, 0, 1, 0, 0],
    }
    return encode_examples(
        {
            name: np.array([row], np.float32 if name.endswith("weights") else np.int64)
            for name, row in (features | changes).items()
            if row is not None
        }
    )[0]


def read_originals(records: Path, lines: Path, tokenizer: AlbertTokenizer) -> None:
    """Compare a file of the original with its dump of each record."""
    file = RecordFile(records)
    messages = [file.read(start) for start in file.find_starts().tolist()]
    batch = parse_records(messages, vocab_size=tokenizer.vocab_size, max_seq_length=128)
    expected = [json.loads(line) for line in gzip.decompress(lines.read_bytes()).splitlines()]
    assert len(batch) == len(expected)
    for index, record in enumerate(expected):
        found = batch.take(index, index + 1)
        assert tokenizer.convert_ids_to_tokens(found.input_ids.tolist()) == record["tokens"]
        assert found.token_type_ids.tolist() == record["segment_ids"]
        assert found.word_starts.astype(int).tolist() == record["token_boundary"]
        assert found.masked_positions.tolist() == record["masked_lm_positions"]
        assert found.masked_labels.tolist() == record["masked_lm_ids"]
        assert found.sentence_order_labels.tolist() == [record["next_sentence_label"]]
    again = serialize_records(batch, max_seq_length=128, max_predictions=20)
    assert_equal(parse_records(again, vocab_size=tokenizer.vocab_size, max_seq_length=128), batch)
    # Map entries of the original have any order; apart from that, the bytes are the same.
    assert list(map(sorted, again)) == list(map(sorted, messages))


def test_first_records_of_the_original_are_read_and_written_back(golden: Path) -> None:
    folder = golden / "pretrain_data"
    tokenizer = AlbertTokenizer.from_pretrained(golden / "tokenization")
    read_originals(folder / "first_records.tfrecord", folder / "first_records.jsonl.gz", tokenizer)


@pytest.mark.reference
def test_all_records_of_the_original_are_read_and_written_back(reference: Path) -> None:
    folder = reference / "pretrain_data"
    tokenizer = AlbertTokenizer.from_pretrained(reference / "tokenization")
    read_originals(folder / "base128.tfrecord", folder / "base128.jsonl.gz", tokenizer)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 1000))
def test_batch_survives_the_round_trip(lengths: list[int], seed: int) -> None:
    batch = make_batch(lengths, seed=seed)
    assert_equal(parse(serialize_records(batch, max_seq_length=40, max_predictions=40)), batch)


def test_single_segments_keep_their_label() -> None:
    batch = replace(make_batch([5, 6]), sentence_order_labels=np.array([NO_ORDER_LABEL, 1]))
    again = parse(serialize_records(batch, max_seq_length=9, max_predictions=9))
    assert again.sentence_order_labels.tolist() == [-100, 1]


def test_records_of_different_lengths_are_read_together() -> None:
    batch = make_batch([5, 30, 7])
    short = serialize_records(batch.take(0, 1), max_seq_length=8, max_predictions=8)
    long = serialize_records(batch.take(1, 3), max_seq_length=40, max_predictions=21)
    assert_equal(parse(short + long), batch)


def test_record_without_words_has_one_word_per_token() -> None:
    batch = parse([a_record(), a_record(token_boundary=None)])
    assert batch.word_starts.tolist() == [True, True, False, True] + [True] * 4


def test_padding_and_predictions_without_weight_are_dropped() -> None:
    batch = parse([a_record()])
    assert batch.input_ids.tolist() == [2, 4, 9, 3]
    assert batch.token_type_ids.tolist() == [0, 0, 1, 1]
    assert batch.masked_positions.tolist() == [1, 2]
    assert batch.masked_labels.tolist() == [8, 9]


def test_permuted_predictions_are_put_in_order() -> None:
    # With --do_permutation the positions of permuted tokens follow those of the masked ones.
    record = a_record(
        masked_lm_positions=[2, 0, 1, 0], masked_lm_ids=[9, 0, 8, 0], masked_lm_weights=[1, 0, 1, 0]
    )
    batch = parse([a_record(), record])
    assert batch.masked_positions.tolist() == [1, 2, 5, 6]
    assert batch.masked_labels.tolist() == [8, 9, 8, 9]


def test_tokens_before_a_gap_keep_their_labels() -> None:
    record = a_record(input_mask=[1, 0, 1, 1, 0, 0], masked_lm_positions=[3, 2, 0])
    batch = parse([record])
    assert batch.input_ids.tolist() == [2, 9, 3]
    assert (batch.masked_positions.tolist(), batch.masked_labels.tolist()) == ([1, 2], [9, 8])


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (b"text", "exceeds the end|unknown wire type"),
        (a_record(input_ids=None), "no feature 'input_ids', only input_mask, segment_ids"),
        (a_record(input_mask=[1, 1]), "input_mask has 2 numbers, expected 6"),
        (a_record(input_mask=[0] * 6), "its sequence has 0 tokens, expected 1 to 5"),
        (a_record(input_mask=[1] * 6), "its sequence has 6 tokens, expected 1 to 5"),
        (a_record(next_sentence_labels=[]), "next_sentence_labels has 0 numbers, expected 1"),
        (a_record(next_sentence_labels=[2]), "next_sentence_labels has 2, expected one of 0, 1, -100"),
        (a_record(segment_ids=[0, 0, 2, 1, 0, 0]), "segment_ids has 2, expected one of 0, 1"),
        (a_record(masked_lm_positions=[1, 4, 0]), "masked_lm_positions are 1, 4; one is outside"),
        (a_record(masked_lm_positions=[1, 6, 0]), "masked_lm_positions are 1, 6; one is outside"),
        (a_record(masked_lm_positions=[1, -1, 0]), "masked_lm_positions are 1, -1; one is outside"),
        (a_record(masked_lm_ids=[8]), "masked_lm_ids has 1 numbers, expected 3"),
        (a_record(masked_lm_ids=[8, 31, 0]), "masked_lm_ids has 31, the vocabulary has ids 0 to 30; use"),
        (a_record(input_ids=[2, -1, 9, 3, 0, 0]), "input_ids has -1, the vocabulary has ids 0 to 30"),
        (
            encode_examples({"input_ids": np.zeros((1, 3), np.float32)})[0],
            "input_ids: a list is of type float, expected int64",
        ),
    ],
)
def test_record_that_is_inconsistent_or_does_not_fit_the_model_is_refused(
    record: bytes, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        parse([record], max_seq_length=5)


def test_sequence_that_does_not_fit_into_a_record_is_refused() -> None:
    batch = make_batch([5, 30, 7], seed=1)
    masked = int(((batch.masked_positions >= 5) & (batch.masked_positions < 35)).sum())
    serialize_records(batch, max_seq_length=30, max_predictions=masked)
    with pytest.raises(ConfigError, match="a sequence has 30 tokens, the records have room for 29; use"):
        serialize_records(batch, max_seq_length=29, max_predictions=masked)
    with pytest.raises(
        ConfigError, match=f"a sequence has {masked} masked tokens.*--max-predictions-per-seq"
    ):
        serialize_records(batch, max_seq_length=30, max_predictions=masked - 1)
