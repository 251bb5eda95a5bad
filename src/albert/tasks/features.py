"""Texts as the model takes them: [CLS] text [SEP] pair [SEP], all laid end to end.

Sequences are packed, never padded: a whole training set is one `TextFeatures`, a few flat arrays, and a batch
is `take` of some of its indices. Lengths, positions and batches are shared with the other kinds.

The name of a special token in a text, such as "[SEP]", is plain text.

Source: `convert_single_example` in google-research/albert classifier_utils.py.
Letters: B examples, N tokens of all of them, K labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.tasks.cuts import Cuts
from albert.tasks.solver import FeaturesT
from albert.tasks.tables import Example
from albert.text.tokenizer import AlbertTokenizer
from albert.text.truncation import kept_lengths

EXAMPLES_AT_ONCE = 4096
"""Examples that are encoded at once, which bounds the memory for copies of their texts."""
SHORTEST_LENGTH = 5  # [CLS] a [SEP] b [SEP]


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Encoded examples, end to end."""

    input_ids: NDArray[np.int64]
    """Token ids, (N,)."""
    token_type_ids: NDArray[np.int64]
    """0 up to the first [SEP], 1 after it, (N,)."""
    lengths: NDArray[np.int64]
    """Tokens of each example, (B,)."""
    labels: NDArray[np.float64]
    """Label ids or numbers, (B,), or ones and zeros for each label, (B, K); NaN if unknown."""

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.lengths)

    def take(self, indices: NDArray[np.int64]) -> "TextFeatures":
        """Return the examples at `indices`, in that order."""
        positions = taken_positions(self.lengths, indices)
        return TextFeatures(
            self.input_ids[positions],
            self.token_type_ids[positions],
            self.lengths[indices],
            self.labels[indices],
        )


def taken_positions(lengths: NDArray[np.int64], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of the tokens of some sequences among those of all, laid end to end.

    Args:
        lengths: Tokens of every sequence, (B,).
        indices: The sequences that are taken, in their order.
    """
    taken = lengths[indices]
    return ranges(lengths.cumsum()[indices] - taken, taken)


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `start, start + 1, ...` for each start, as many numbers as its count, end to end."""
    ends = counts.cumsum()
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + counts, counts)


def label_array(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Return the labels of examples: ids or numbers, (B,), or ones and zeros, (B, K); NaN if unknown."""
    return np.array([np.nan if example.label is None else example.label for example in examples], np.float64)


def make_features(
    examples: Sequence[Example],
    tokenizer: AlbertTokenizer,
    *,
    max_seq_length: int,
    cuts: Cuts | None = None,
) -> TextFeatures:
    """Encode `examples`, each cut to `max_seq_length` tokens, special tokens included; count in `cuts`.

    Raises:
        ConfigError: `max_seq_length` leaves no room for text.
    """
    if max_seq_length < SHORTEST_LENGTH:
        raise ConfigError(
            f"max_seq_length is {max_seq_length}, but [CLS] text [SEP] pair [SEP] "
            f"needs at least {SHORTEST_LENGTH} tokens; raise --max-seq-length"
        )
    starts = range(0, max(1, len(examples)), EXAMPLES_AT_ONCE)  # at least one part, for no examples, too
    parts = [
        _encode(examples[i : i + EXAMPLES_AT_ONCE], tokenizer, max_seq_length, cuts or Cuts()) for i in starts
    ]
    return TextFeatures(
        np.concatenate([ids for ids, _, _ in parts], dtype=np.int64),
        np.concatenate([types for _, types, _ in parts], dtype=np.int64),
        np.concatenate([lengths for _, _, lengths in parts], dtype=np.int64),
        label_array(examples),
    )


def _encode(
    examples: Sequence[Example], tokenizer: AlbertTokenizer, max_seq_length: int, cuts: Cuts
) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int64]]:
    """Return ids and segments end to end, (N,) each, and the number of tokens of each example, (B,)."""
    count = len(examples)
    pairs = [example.pair for example in examples if example.pair is not None]
    # All first texts, then all second ones: token ids end to end, and the length of each text.
    flat, found = tokenizer.encode_flat([*(example.text for example in examples), *pairs])
    sources = found.cumsum() - found
    has_pair = np.array([example.pair is not None for example in examples], np.bool_)
    second, second_source = np.zeros((2, count), np.int64)
    second[has_pair], second_source[has_pair] = found[count:], sources[count:]
    full = found[:count] + second + 2 + has_pair
    cuts.add(full, unit="pairs" if pairs else "texts", limit=max_seq_length)
    first, second = kept_lengths(found[:count], second, max_seq_length - 2 - has_pair)
    heads, tails = first + 2, second + has_pair  # [CLS] text [SEP], pair [SEP]
    lengths = heads + tails
    starts = lengths.cumsum() - lengths
    ids = np.full(int(lengths.sum()), tokenizer.sep_token_id, np.int32)
    ids[starts] = tokenizer.cls_token_id
    ids[ranges(starts + 1, first)] = flat[ranges(sources[:count], first)]
    ids[ranges(starts + heads, second)] = flat[ranges(second_source, second)]
    segments = np.tile(np.array([0, 1], np.int8), count)  # 0 1 0 1 ..., (2 * B,)
    segment_lengths = np.stack([heads, tails], axis=1).ravel()  # (B,), (B,) -> (2 * B,)
    return ids, np.repeat(segments, segment_lengths), lengths


def shuffled_batches(features: FeaturesT, size: int, *, seed: int, start: int = 0) -> Iterator[FeaturesT]:
    """Yield batches of `size` items without end, every epoch in a new order.

    The order of an epoch depends only on `seed` and its number; the first `start` items are skipped. A batch
    may hold the end of one epoch and the beginning of the next.
    """

    def order(number: int) -> NDArray[np.int64]:
        return np.random.default_rng((seed, number)).permutation(len(features))

    epoch, done = divmod(start, len(features))
    waiting = order(epoch)[done:]
    while True:
        while len(waiting) < size:
            epoch += 1
            waiting = np.concatenate([waiting, order(epoch)])
        yield features.take(waiting[:size])
        waiting = waiting[size:]
