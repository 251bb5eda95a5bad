"""Examples as the model takes them: [CLS] text [SEP] pair [SEP], all laid end to end.

Stands between `tables` (examples as text) and the training loop. Sequences are packed, never padded; a
whole training set is one `TextFeatures`, and a batch is `take` of some of its indices.

A special piece spelled in a text, such as "[SEP]", is plain text.

Source: `convert_single_example` in google-research/albert classifier_utils.py.
Letters: B examples, N pieces of all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.tasks.solver import FeaturesT
from albert.tasks.tables import Example
from albert.text.tokenizer import AlbertTokenizer
from albert.text.truncation import kept_lengths

EXAMPLES_AT_ONCE = 4096
"""Examples that are encoded at once; their texts alone are held twice."""
SHORTEST_LENGTH = 5  # [CLS] a [SEP] b [SEP]


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Encoded examples, one behind the other."""

    input_ids: NDArray[np.int64]
    """Piece ids, (N,)."""
    token_type_ids: NDArray[np.int64]
    """0 up to the first [SEP], 1 behind it, (N,)."""
    lengths: NDArray[np.int64]
    """Pieces of each example, (B,)."""
    labels: NDArray[np.float64]
    """Label ids or numbers, (B,), or a number for each label, (B, K); NaN where there is none."""

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
    """Return where the pieces of some sequences stand among those of all, laid end to end.

    Args:
        lengths: Pieces of every sequence, (B,).
        indices: The sequences that are taken, in their order, (K,).
    """
    taken = lengths[indices]
    return _runs(lengths.cumsum()[indices] - taken, taken)


def make_features(
    examples: Sequence[Example], tokenizer: AlbertTokenizer, *, max_seq_length: int
) -> TextFeatures:
    """Encode `examples` and cuts each to `max_seq_length` pieces, special ones included.

    Raises:
        ConfigError: `max_seq_length` leaves no room for text.
    """
    if max_seq_length < SHORTEST_LENGTH:
        raise ConfigError(
            f"max_seq_length is {max_seq_length}, but [CLS] text [SEP] pair [SEP] "
            f"needs at least {SHORTEST_LENGTH} pieces; raise --max-seq-length"
        )
    starts = range(0, max(1, len(examples)), EXAMPLES_AT_ONCE)  # no examples are one part, too
    parts = [_encode(examples[i : i + EXAMPLES_AT_ONCE], tokenizer, max_seq_length) for i in starts]
    labels = [np.nan if example.label is None else example.label for example in examples]
    return TextFeatures(
        np.concatenate([ids for ids, _, _ in parts], dtype=np.int64),
        np.concatenate([types for _, types, _ in parts], dtype=np.int64),
        np.concatenate([lengths for _, _, lengths in parts], dtype=np.int64),
        np.array(labels, np.float64),
    )


def _encode(
    examples: Sequence[Example], tokenizer: AlbertTokenizer, max_seq_length: int
) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int64]]:
    """Return ids and segments end to end, (N,) each, and the pieces of each example, (B,)."""
    count = len(examples)
    pairs = [example.pair for example in examples if example.pair is not None]
    flat, found = tokenizer.encode_flat([*(example.text for example in examples), *pairs])
    sources = found.cumsum() - found
    has_pair = np.array([example.pair is not None for example in examples], np.bool_)
    second, second_source = np.zeros((2, count), np.int64)
    second[has_pair], second_source[has_pair] = found[count:], sources[count:]
    first, second = kept_lengths(found[:count], second, max_seq_length - 2 - has_pair)
    heads, tails = first + 2, second + has_pair  # [CLS] text [SEP], pair [SEP]
    lengths = heads + tails
    starts = lengths.cumsum() - lengths
    ids = np.full(int(lengths.sum()), tokenizer.sep_token_id, np.int32)
    ids[starts] = tokenizer.cls_token_id
    ids[_runs(starts + 1, first)] = flat[_runs(sources[:count], first)]
    ids[_runs(starts + heads, second)] = flat[_runs(second_source, second)]
    segments = np.tile(np.array([0, 1], np.int8), count)
    return ids, np.repeat(segments, np.stack([heads, tails], axis=1).ravel()), lengths


def _runs(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of runs that begin at `starts` and have `counts` members, (K,) each, end to end."""
    ends = counts.cumsum()
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + counts, counts)


def shuffled_batches(features: FeaturesT, size: int, *, seed: int, start: int = 0) -> Iterator[FeaturesT]:
    """Yield batches of `size` items without end, every pass over all items in a new order.

    The order of a pass depends on `seed` and its number alone; `start` items are passed over first. A
    batch may hold the end of one pass and the beginning of the next.
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
