"""Examples as the model takes them: [CLS] text [SEP] pair [SEP], all laid end to end.

Stands between `tables` (examples as text) and the training loop. Sequences are packed, never padded; a
whole training set is one `Features`, and a batch is `take` of some of its indices.

A special piece spelled in a text, such as "[SEP]", is plain text.

Source: `convert_single_example` in google-research/albert classifier_utils.py.
Letters: B examples, N pieces of all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.tasks.tables import Example
from albert.text.tokenizer import AlbertTokenizer
from albert.text.truncation import kept_of_pair

EXAMPLES_AT_ONCE = 1024
SHORTEST_LENGTH = 5  # [CLS] a [SEP] b [SEP]


@dataclass(frozen=True, slots=True)
class Features:
    """Encoded examples, one behind the other."""

    input_ids: NDArray[np.int64]
    """Piece ids, (N,)."""
    token_type_ids: NDArray[np.int64]
    """0 up to the first [SEP], 1 behind it, (N,)."""
    lengths: NDArray[np.int64]
    """Pieces of each example, (B,)."""
    labels: NDArray[np.float64]
    """Label ids or numbers, (B,); NaN where there is none."""

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self.lengths)

    def take(self, indices: NDArray[np.int64]) -> "Features":
        """Returns the examples at `indices`, in that order."""
        lengths = self.lengths[indices]
        ends = lengths.cumsum()
        sources = self.lengths.cumsum()[indices] - ends
        positions = np.arange(ends[-1] if len(ends) else 0) + np.repeat(sources, lengths)
        return Features(
            self.input_ids[positions], self.token_type_ids[positions], lengths, self.labels[indices]
        )


def make_features(
    examples: Iterable[Example], tokenizer: AlbertTokenizer, *, max_seq_length: int
) -> Features:
    """Encodes `examples` and cuts each to `max_seq_length` pieces, special ones included.

    Raises:
        ConfigError: `max_seq_length` leaves no room for text.
    """
    parts = list(stream_features(examples, tokenizer, max_seq_length=max_seq_length))
    return Features(
        np.concatenate([part.input_ids for part in parts] or [np.zeros(0, np.int64)]),
        np.concatenate([part.token_type_ids for part in parts] or [np.zeros(0, np.int64)]),
        np.concatenate([part.lengths for part in parts] or [np.zeros(0, np.int64)]),
        np.concatenate([part.labels for part in parts] or [np.zeros(0, np.float64)]),
    )


def stream_features(
    examples: Iterable[Example], tokenizer: AlbertTokenizer, *, max_seq_length: int
) -> Iterator[Features]:
    """Encodes `examples` as they come, up to `EXAMPLES_AT_ONCE` in each `Features`, none of them empty.

    Raises:
        ConfigError: `max_seq_length` leaves no room for text.
    """
    if max_seq_length < SHORTEST_LENGTH:
        raise ConfigError(
            f"max_seq_length is {max_seq_length}, but [CLS] text [SEP] pair [SEP] "
            f"needs at least {SHORTEST_LENGTH} pieces; raise --max-seq-length"
        )
    rest = iter(examples)
    while chunk := list(islice(rest, EXAMPLES_AT_ONCE)):
        yield _encode(chunk, tokenizer, max_seq_length)


def shuffled_batches(features: Features, size: int, *, seed: int, start: int = 0) -> Iterator[Features]:
    """Yields batches of `size` examples without end, every pass over all examples in a new order.

    The order of a pass depends on `seed` and its number alone; `start` examples are passed over first. A
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


def _encode(examples: Sequence[Example], tokenizer: AlbertTokenizer, max_seq_length: int) -> Features:
    pairs = [example.pair for example in examples if example.pair is not None]
    encoded = tokenizer.encode_sentences([*(example.text for example in examples), *pairs])
    second = iter(encoded[len(examples) :])
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    sequences: list[list[int]] = []
    first_lengths: list[int] = []
    for example, text in zip(examples, encoded, strict=False):
        if example.pair is None:
            sequences.append([cls, *text[: max_seq_length - 2], sep])
            first_lengths.append(len(sequences[-1]))
            continue
        pair = next(second)
        text_length, pair_length = kept_of_pair(len(text), len(pair), max_seq_length - 3)
        sequences.append([cls, *text[:text_length], sep, *pair[:pair_length], sep])
        first_lengths.append(text_length + 2)
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    firsts = np.array(first_lengths, np.int64)
    alternating = np.stack([firsts, lengths - firsts], axis=1).ravel()
    return Features(
        np.fromiter(chain.from_iterable(sequences), np.int64, int(lengths.sum())),
        np.repeat(np.tile(np.array([0, 1], np.int64), len(examples)), alternating),
        lengths,
        np.array([np.nan if e.label is None else e.label for e in examples], np.float64),
    )
