"""Tagged sentences as the model takes them: [CLS] words [SEP], all laid end to end.

- A word's tag belongs to its first token; its other tokens, [CLS] and [SEP] have none.
- Each word is tokenized by itself, so no token crosses a word's end. Between spaces this gives the tokens of
  the running text, ties between equally likely ones aside. If a word touches the word before it, its first
  token takes the form for the middle of a text: without SentencePiece's space, with WordPiece's `##` after a
  letter or digit. The tokens of a word thus depend only on the word and its neighbours.
- A word that cleaning removes, such as U+FFFD, becomes the unknown token: every word has a tag.
- A sentence that is too long is cut between words into windows of about the same length, so no word is lost.
  Windows are shuffled and batched; in order they make up the sentences.

Letters: S sentences, B windows, W words of all sentences, P tokens of the words, N tokens of the windows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.tasks.cuts import Cuts
from albert.tasks.features import taken_positions
from albert.tasks.tagging.files import TaggedExample
from albert.text.cleaning import is_ideograph, is_punctuation
from albert.text.sentencepiece import SPACE
from albert.text.tokenizer import AlbertTokenizer
from albert.text.wordpiece import CONTINUATION

SHORTEST_LENGTH = 3  # [CLS] word [SEP]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TagFeatures:
    """Encoded windows of sentences, end to end."""

    input_ids: IntArray
    """Token ids, (N,)."""
    opens_word: NDArray[np.bool_]
    """Whether a token is the first of a word, (N,)."""
    lengths: IntArray
    """Number of tokens of each window, (B,)."""
    labels: IntArray
    """Tag id of the word that starts with a token, (N,); -100 if none does, or if its tag is unknown."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.lengths)

    def take(self, indices: IntArray) -> "TagFeatures":
        """Return the windows at `indices`, in that order."""
        positions = taken_positions(self.lengths, indices)
        return TagFeatures(
            self.input_ids[positions],
            self.opens_word[positions],
            self.lengths[indices],
            self.labels[positions],
        )

    @property
    def token_type_ids(self) -> IntArray:
        """Segment of each token, (N,): always 0."""
        return np.zeros_like(self.input_ids)

    @property
    def num_words(self) -> IntArray:
        """Number of words of each window, (B,)."""
        ends = self.lengths.cumsum()
        before = np.concatenate([[0], self.opens_word.cumsum()])
        return before[ends] - before[ends - self.lengths]


def make_tag_features(
    examples: Sequence[TaggedExample],
    tokenizer: AlbertTokenizer,
    *,
    label_ids: Mapping[str, int],
    max_seq_length: int,
    cuts: Cuts | None = None,
) -> TagFeatures:
    """Encode `examples` in windows of at most `max_seq_length` tokens, special tokens included.

    A word that is longer than a window loses its last tokens, and is counted in `cuts`.

    Raises:
        ConfigError: `max_seq_length` leaves no room for a word.
    """
    from albert.model.losses import IGNORED_LABEL

    if max_seq_length < SHORTEST_LENGTH:
        raise ConfigError(
            f"max_seq_length is {max_seq_length}, but [CLS] word [SEP] needs at least {SHORTEST_LENGTH} "
            "tokens; raise --max-seq-length"
        )
    room = max_seq_length - 2
    tokens, widths = encode_words(examples, tokenizer, longest=room, cuts=cuts)
    sentence_words = np.array([len(example.words) for example in examples], np.int64)
    window_words = np.fromiter(_window_words(widths, sentence_words, room), np.int64)
    word_starts = np.concatenate([[0], widths.cumsum()])
    window_bounds = word_starts[np.concatenate([[0], window_words.cumsum()])]
    lengths = np.diff(window_bounds) + 2
    # (P,): a token of a word is shifted by one [CLS], and by two special tokens for each earlier window.
    places = np.arange(len(tokens)) + np.repeat(2 * np.arange(len(lengths)) + 1, lengths - 2)
    ends = lengths.cumsum()
    input_ids = np.empty(lengths.sum(), np.int64)
    input_ids[places] = tokens
    input_ids[ends - lengths] = tokenizer.cls_token_id
    input_ids[ends - 1] = tokenizer.sep_token_id
    first_places = places[word_starts[:-1]]  # (P,) -> (W,)
    opens_word = np.zeros(len(input_ids), np.bool_)
    opens_word[first_places] = True
    labels = np.full(len(input_ids), IGNORED_LABEL, np.int64)
    labels[first_places] = np.fromiter(_labels(examples, label_ids), np.int64, len(widths))
    return TagFeatures(input_ids, opens_word, lengths, labels)


def encode_words(
    examples: Sequence[TaggedExample],
    tokenizer: AlbertTokenizer,
    *,
    longest: int,
    cuts: Cuts | None = None,
) -> tuple[IntArray, IntArray]:
    """Return the token ids of all words end to end, (P,), and the number of tokens of each word, (W,).

    Args:
        examples: The sentences.
        tokenizer: The model's tokenizer.
        longest: Largest number of tokens kept of a word, from its beginning.
        cuts: Counts the words that are longer.
    """
    # Each distinct word is encoded once, or twice if it occurs both touching the word before it and alone.
    numbers: dict[tuple[str, bool], int] = {}
    used = np.fromiter(
        (
            numbers.setdefault(key, len(numbers))
            for example in examples
            for key in zip(example.words, _continues(example, tokenizer), strict=True)
        ),
        np.int64,
    )
    encoded = tokenizer.encode_sentences([word for word, _ in numbers])
    vocabulary = tokenizer.get_vocab()
    rows = [
        _inside_form(ids, tokenizer, vocabulary) if continues else ids
        for ids, (_, continues) in zip(encoded, numbers, strict=True)
    ]
    if cuts is not None:
        found = np.fromiter(map(len, rows), np.int64, len(rows))
        cuts.add(found[used], unit="words", limit=longest)
    rows = [row[:longest] or [tokenizer.unk_token_id] for row in rows]
    widths = np.array([len(row) for row in rows], np.int64)
    flat = np.array([id_ for row in rows for id_ in row], np.int64)
    return flat[taken_positions(widths, used)], widths[used]


def _continues(example: TaggedExample, tokenizer: AlbertTokenizer) -> Iterable[bool]:
    """Return for every word whether it continues the word before it without a space."""
    words = example.words
    if example.text == " ".join(words):
        return repeat(False, len(words))
    touches = [False, *(end == start for end, start in zip(example.ends(), example.starts[1:], strict=False))]
    if tokenizer.kind == "wordpiece":
        for number, (before, word) in enumerate(pairwise(words), start=1):
            if _stands_alone(word[0]) or _stands_alone(before[-1]):
                touches[number] = False
    return touches


@lru_cache(maxsize=1 << 16)
def _stands_alone(character: str) -> bool:
    """Whether WordPiece treats a character as a word of its own."""
    return is_ideograph(character) or is_punctuation(character)


def _inside_form(ids: list[int], tokenizer: AlbertTokenizer, vocabulary: Mapping[str, int]) -> list[int]:
    """Return a word's tokens, the first in its form for the middle of a text if the vocabulary has it."""
    if not ids:
        return ids
    first = tokenizer.convert_ids_to_tokens(ids[0])
    if tokenizer.kind == "wordpiece":
        inside = CONTINUATION + first
    elif first == SPACE and len(ids) > 1:
        return ids[1:]
    else:
        inside = first.removeprefix(SPACE)
    return [vocabulary.get(inside, ids[0]), *ids[1:]]


def _window_words(widths: IntArray, sentence_words: IntArray, room: int) -> Iterator[int]:
    """Yield the number of words of each window, whose words have at most `room` tokens together."""
    bounds = np.concatenate([[0], sentence_words.cumsum()])
    tokens = np.diff(np.concatenate([[0], widths.cumsum()])[bounds])  # of each sentence, (S,)
    for number, (start, end) in enumerate(pairwise(bounds.tolist())):
        if tokens[number] <= room:
            yield end - start
        else:
            yield from _cut(widths[start:end].tolist(), room)


def _cut(widths: list[int], room: int) -> Iterator[int]:
    """Yield the number of words of each window of a long sentence."""
    total = sum(widths)
    share = -(-total // -(-total // room))  # tokens of a window if all were equally long
    num_words = num_tokens = 0
    for width in widths:
        if num_words and (num_tokens >= share or num_tokens + width > room):
            yield num_words
            num_words = num_tokens = 0
        num_words += 1
        num_tokens += width
    yield num_words


def _labels(examples: Sequence[TaggedExample], label_ids: Mapping[str, int]) -> Iterator[int]:
    from albert.model.losses import IGNORED_LABEL

    for example in examples:
        if example.tags is None:
            yield from (IGNORED_LABEL for _ in example.words)
        else:
            yield from (label_ids[tag] for tag in example.tags)
