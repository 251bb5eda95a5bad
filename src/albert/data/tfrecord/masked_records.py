"""Masked examples as the original's records: packed batches to `tf.train.Example` messages and back.

A record is one masked sequence, padded with zeros to a common length; a batch has no padding, and takes
records of any length. Records of BERT and albert_zh, which have no word starts, are read as well.
Source: `write_instance_to_example_files` of the original's create_pretraining_data.py.

Letters: B records, N packed tokens, T tokens of a padded record, M masked tokens; here also p predictions
of a padded record.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from albert.data.batches import NO_ORDER_LABEL, BoolArray, IntArray, PretrainingBatch
from albert.data.tfrecord.messages import (
    Feature,
    decode_floats,
    decode_integers,
    encode_examples,
    parse_example,
)
from albert.errors import ConfigError

_Example = Mapping[str, Feature]
_Decode = Callable[[Sequence[Feature]], tuple[npt.NDArray[Any], IntArray]]


def serialize_records(batch: PretrainingBatch, *, max_seq_length: int, max_predictions: int) -> list[bytes]:
    """Return the B sequences of a batch as messages, padded to T = `max_seq_length`, p = `max_predictions`.

    A single segment keeps its label -100: the original computes a loss of 0 from its empty one-hot row.

    Raises:
        ConfigError: A sequence has more tokens, or more masked tokens.
    """
    starts = np.cumsum(batch.lengths) - batch.lengths
    rows = np.repeat(np.arange(len(batch)), batch.lengths)  # (B,) -> (N,)
    columns = np.arange(len(rows)) - starts[rows]
    masked_rows, masked_columns = rows[batch.masked_positions], columns[batch.masked_positions]
    masked = np.bincount(masked_rows, minlength=len(batch))  # (M,) -> (B,)
    _check_room(batch.lengths, max_seq_length, "tokens", "--max-seq-length")
    _check_room(masked, max_predictions, "masked tokens", "--max-predictions-per-seq")
    slots = np.arange(len(masked_rows)) - (np.cumsum(masked) - masked)[masked_rows]  # (M,)

    def tokens(values: IntArray | BoolArray | int) -> IntArray:
        table = np.zeros((len(batch), max_seq_length), np.int64)  # (B, T)
        table[rows, columns] = values
        return table

    def predictions(values: IntArray | int) -> IntArray:
        table = np.zeros((len(batch), max_predictions), np.int64)  # (B, p)
        table[masked_rows, slots] = values
        return table

    return encode_examples(
        {
            "input_ids": tokens(batch.input_ids),
            "input_mask": tokens(1),
            "segment_ids": tokens(batch.token_type_ids),
            "masked_lm_positions": predictions(masked_columns),
            "masked_lm_ids": predictions(batch.masked_labels),
            "masked_lm_weights": predictions(1).astype(np.float32),
            "next_sentence_labels": batch.sentence_order_labels[:, None],
            "token_boundary": tokens(batch.word_starts),
        }
    )


def parse_records(messages: Sequence[bytes], *, vocab_size: int, max_seq_length: int) -> PretrainingBatch:
    """Return B messages as a batch without padding.

    A prediction counts if its weight is above 0. Without word starts, every token starts a word.

    Raises:
        ValueError: A message is of another kind, inconsistent, longer than `max_seq_length`, or has ids
            that are not in the vocabulary.
    """
    features = [parse_example(message) for message in messages]
    input_ids, sizes = _read(features, "input_ids", decode_integers)
    _add_words(features, sizes)
    kept = _read_like(sizes, features, "input_mask", decode_integers) != 0
    lengths = np.bincount(np.repeat(np.arange(len(sizes)), sizes)[kept], minlength=len(sizes))
    if not np.all((lengths > 0) & (lengths <= max_seq_length)):
        raise ValueError(
            f"its sequence has {lengths[0]} tokens, expected 1 to {max_seq_length}; raise --max-seq-length, "
            "or make the records with that length"
        )
    positions, labels = _read_predictions(features, kept, sizes)
    batch = PretrainingBatch(
        input_ids=input_ids[kept],
        token_type_ids=_read_like(sizes, features, "segment_ids", decode_integers)[kept],
        lengths=lengths,
        masked_positions=positions,
        masked_labels=labels,
        sentence_order_labels=_read_like(
            np.ones_like(sizes), features, "next_sentence_labels", decode_integers
        ),
        word_starts=_read_like(sizes, features, "token_boundary", decode_integers)[kept] != 0,
    )
    _check_values(batch, vocab_size)
    return batch


def room_of_record(message: bytes) -> tuple[int, int]:
    """Return the number of tokens and of predictions for which a record has room.

    Raises:
        ValueError: The message is of another kind.
    """
    features = [parse_example(message)]
    _, tokens = _read(features, "input_ids", decode_integers)
    _, predictions = _read(features, "masked_lm_positions", decode_integers)
    return int(tokens[0]), int(predictions[0])


def _read(features: Sequence[_Example], name: str, decode: _Decode) -> tuple[npt.NDArray[Any], IntArray]:
    """Return the numbers of a feature of all records, end to end, and (B,) how many each has."""
    found = [example.get(name) for example in features]
    if None in found:
        has = ", ".join(features[0]) or "none"
        raise ValueError(
            f"no feature {name!r}, only {has}; expected those of the original's create_pretraining_data.py"
        )
    try:
        return decode([feature for feature in found if feature is not None])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _read_like(sizes: IntArray, features: Sequence[_Example], name: str, decode: _Decode) -> npt.NDArray[Any]:
    """Return the numbers of a feature, of which each record must have `sizes` (B,)."""
    values, found = _read(features, name, decode)
    if not np.array_equal(found, sizes):
        raise ValueError(f"{name} has {found[0]} numbers, expected {sizes[0]}")
    return values


def _read_predictions(
    features: Sequence[_Example], kept: BoolArray, sizes: IntArray
) -> tuple[IntArray, IntArray]:
    """Return (M,) positions in the N kept tokens, ascending, and labels of the predictions that count."""
    weights, slots = _read(features, "masked_lm_weights", decode_floats)
    columns = _read_like(slots, features, "masked_lm_positions", decode_integers)
    labels = _read_like(slots, features, "masked_lm_ids", decode_integers)
    counts = weights > 0
    rows = np.repeat(np.arange(len(sizes)), slots)[counts]
    columns, labels = columns[counts], labels[counts]
    inside = (columns >= 0) & (columns < sizes[rows])
    padded = (np.cumsum(sizes) - sizes)[rows] + columns
    if not inside.all() or not kept[padded].all():
        raise ValueError(
            f"masked_lm_positions are {', '.join(map(str, columns[:20]))}; one is outside the sequence"
        )
    positions = (np.cumsum(kept) - 1)[padded]
    order = np.argsort(positions, kind="stable")  # permuted tokens follow the masked ones
    return positions[order], labels[order]


def _add_words(features: Sequence[dict[str, Feature]], sizes: IntArray) -> None:
    """Add a `token_boundary` of ones to records without one."""
    for example, size in zip(features, sizes.tolist(), strict=True):
        example.setdefault("token_boundary", Feature("int64", [b"\1" * size]))


def _check_room(counts: IntArray, room: int, what: str, flag: str) -> None:
    if counts.max(initial=0) > room:
        raise ConfigError(
            f"a sequence has {counts.max()} {what}, the records have room for {room}; "
            f"use {flag} {counts.max()}"
        )


def _check_values(batch: PretrainingBatch, vocab_size: int) -> None:
    """Refuse numbers that are not an index of the model's tables."""
    for name, ids in (("input_ids", batch.input_ids), ("masked_lm_ids", batch.masked_labels)):
        wrong = ids[(ids < 0) | (ids >= vocab_size)]
        if len(wrong):
            raise ValueError(
                f"{name} has {wrong[0]}, the vocabulary has ids 0 to {vocab_size - 1}; "
                "use the tokenizer with which the records were made"
            )
    for name, values, expected in (
        ("segment_ids", batch.token_type_ids, (0, 1)),
        ("next_sentence_labels", batch.sentence_order_labels, (0, 1, NO_ORDER_LABEL)),
    ):
        wrong = values[~np.isin(values, expected)]
        if len(wrong):
            raise ValueError(f"{name} has {wrong[0]}, expected one of {', '.join(map(str, expected))}")
