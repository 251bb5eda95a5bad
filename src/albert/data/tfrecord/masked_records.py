"""Masked examples as the original's records: packed batches to `tf.train.Example` messages and back.

Stands between `tfexample`, the form of the messages, and `tfrecord_examples`, the files of them. A record is
one masked sequence, filled up with zeros to a length that all share; a batch has no padding, and takes
records of any lengths. Records of BERT and albert_zh, which say nothing of words, are read as well.
Source: `write_instance_to_example_files` of the original's create_pretraining_data.py.

Letters: R records, N pieces in all, T pieces and P predictions of a padded record.
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
    """Returns the R sequences of a batch as messages, padded to T = `max_seq_length`, P = `max_predictions`.

    A single segment keeps its label -100: the original's loss of it is 0, as its one-hot row is empty.

    Raises:
        ConfigError: A sequence is longer, or hides more pieces.
    """
    starts = np.cumsum(batch.lengths) - batch.lengths
    rows = np.repeat(np.arange(len(batch)), batch.lengths)
    columns = np.arange(len(rows)) - starts[rows]
    masked_rows, masked_columns = rows[batch.masked_positions], columns[batch.masked_positions]
    hidden = np.bincount(masked_rows, minlength=len(batch))
    _check_room(batch.lengths, max_seq_length, "pieces", "--max-seq-length")
    _check_room(hidden, max_predictions, "hidden pieces", "--max-predictions-per-seq")
    slots = np.arange(len(masked_rows)) - (np.cumsum(hidden) - hidden)[masked_rows]

    def pieces(values: IntArray | BoolArray | int) -> IntArray:
        table = np.zeros((len(batch), max_seq_length), np.int64)
        table[rows, columns] = values
        return table

    def predictions(values: IntArray | int) -> IntArray:
        table = np.zeros((len(batch), max_predictions), np.int64)
        table[masked_rows, slots] = values
        return table

    return encode_examples(
        {
            "input_ids": pieces(batch.input_ids),
            "input_mask": pieces(1),
            "segment_ids": pieces(batch.token_type_ids),
            "masked_lm_positions": predictions(masked_columns),
            "masked_lm_ids": predictions(batch.masked_labels),
            "masked_lm_weights": predictions(1).astype(np.float32),
            "next_sentence_labels": batch.sentence_order_labels[:, None],
            "token_boundary": pieces(batch.word_starts),
        }
    )


def parse_records(messages: Sequence[bytes], *, vocab_size: int, max_seq_length: int) -> PretrainingBatch:
    """Returns R messages as a batch without padding.

    A prediction counts if its weight is above 0. Where nothing is said of words, every piece begins one.

    Raises:
        ValueError: One of them is no such message, contradicts itself, is longer than `max_seq_length`, or
            has ids beyond the vocabulary.
    """
    features = [parse_example(message) for message in messages]
    input_ids, sizes = _read(features, "input_ids", decode_integers)
    _add_words(features, sizes)
    kept = _read_like(sizes, features, "input_mask", decode_integers) != 0
    lengths = np.bincount(np.repeat(np.arange(len(sizes)), sizes)[kept], minlength=len(sizes))
    if not np.all((lengths > 0) & (lengths <= max_seq_length)):
        raise ValueError(
            f"its sequence has {lengths[0]} pieces, expected 1 to {max_seq_length}; raise --max-seq-length, "
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
    """Returns for how many pieces and for how many predictions a record has room.

    Raises:
        ValueError: It is no such message.
    """
    features = [parse_example(message)]
    _, pieces = _read(features, "input_ids", decode_integers)
    _, predictions = _read(features, "masked_lm_positions", decode_integers)
    return int(pieces[0]), int(predictions[0])


def _read(features: Sequence[_Example], name: str, decode: _Decode) -> tuple[npt.NDArray[Any], IntArray]:
    """Returns the numbers of a feature of all records, end to end, and (R,) how many each has."""
    found = [example.get(name) for example in features]
    if None in found:
        has = ", ".join(features[0]) or "none"
        raise ValueError(
            f"no feature {name!r} in it, but {has}; expected those of the original's "
            "create_pretraining_data.py"
        )
    try:
        return decode([feature for feature in found if feature is not None])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _read_like(sizes: IntArray, features: Sequence[_Example], name: str, decode: _Decode) -> npt.NDArray[Any]:
    """Returns the numbers of a feature that must be `sizes` (R,) many in each record."""
    values, found = _read(features, name, decode)
    if not np.array_equal(found, sizes):
        raise ValueError(f"{name} has {found[0]} numbers, expected {sizes[0]}")
    return values


def _read_predictions(
    features: Sequence[_Example], kept: BoolArray, sizes: IntArray
) -> tuple[IntArray, IntArray]:
    """Returns positions in the N kept pieces, ascending, and labels of the predictions that count."""
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
            f"masked_lm_positions are {', '.join(map(str, columns[:20]))}; one lies outside the sequence"
        )
    positions = (np.cumsum(kept) - 1)[padded]
    order = np.argsort(positions, kind="stable")  # permuted pieces follow the hidden ones
    return positions[order], labels[order]


def _add_words(features: Sequence[dict[str, Feature]], sizes: IntArray) -> None:
    """Adds a `token_boundary` of ones where there is none."""
    for example, size in zip(features, sizes.tolist(), strict=True):
        example.setdefault("token_boundary", Feature("int64", [b"\1" * size]))


def _check_room(counts: IntArray, room: int, what: str, flag: str) -> None:
    if counts.max(initial=0) > room:
        raise ConfigError(
            f"a sequence has {counts.max()} {what}, the records have room for {room}; "
            f"take {flag} {counts.max()}"
        )


def _check_values(batch: PretrainingBatch, vocab_size: int) -> None:
    """Refuses numbers that would be no index of the model's tables."""
    for name, ids in (("input_ids", batch.input_ids), ("masked_lm_ids", batch.masked_labels)):
        wrong = ids[(ids < 0) | (ids >= vocab_size)]
        if len(wrong):
            raise ValueError(
                f"{name} has {wrong[0]}, the vocabulary has ids 0 to {vocab_size - 1}; "
                "take the tokenizer with which the records were made"
            )
    for name, values, expected in (
        ("segment_ids", batch.token_type_ids, (0, 1)),
        ("next_sentence_labels", batch.sentence_order_labels, (0, 1, NO_ORDER_LABEL)),
    ):
        wrong = values[~np.isin(values, expected)]
        if len(wrong):
            raise ValueError(f"{name} has {wrong[0]}, expected one of {', '.join(map(str, expected))}")
