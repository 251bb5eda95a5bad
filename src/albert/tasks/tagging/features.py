"""Tagged sentences as the model takes them: [CLS] words [SEP], all laid end to end.

Stands between `tagged_files` (sentences as words) and the training loop.

- A word's tag stands on the first of its pieces; the others, [CLS] and [SEP] have none.
- No piece reaches beyond its word: each word is cut by itself, which between spaces gives the pieces of the
  running text, equally likely ones apart. Where a word touches the one before it, its first piece takes the
  form it has inside a text: without the space of SentencePiece, with the `##` of WordPiece behind a letter
  or digit. So the pieces of a word depend on it and on what it touches, and on nothing else.
- A word of which cleaning leaves nothing, such as U+FFFD, is the unknown piece: every word has a tag.
- A sentence that is too long is cut between words into windows of about the same length, so no word is lost.
  The items that are shuffled and batched are windows; in order they are the sentences.

Letters: B sentences, M words of all of them, P pieces of the words, W windows, N pieces of the windows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.model.losses import IGNORED_LABEL
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
    """Encoded windows of sentences, one behind the other."""

    input_ids: IntArray
    """Piece ids, (N,)."""
    opens_word: NDArray[np.bool_]
    """Whether a piece is the first of a word, (N,)."""
    lengths: IntArray
    """Pieces of each window, (W,)."""
    labels: IntArray
    """Tag id of the word that a piece opens, (N,); -100 where it opens none, and where tags are not known."""

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
        """Segments, (N,): there is but one."""
        return np.zeros_like(self.input_ids)

    @property
    def num_words(self) -> IntArray:
        """Words of each window, (W,)."""
        ends = self.lengths.cumsum()
        before = np.concatenate([[0], self.opens_word.cumsum()])
        return before[ends] - before[ends - self.lengths]


def make_tag_features(
    examples: Sequence[TaggedExample],
    tokenizer: AlbertTokenizer,
    *,
    label_ids: Mapping[str, int],
    max_seq_length: int,
) -> TagFeatures:
    """Encode `examples` in windows of at most `max_seq_length` pieces, special ones included.

    A word that alone is longer than a window loses its last pieces.

    Raises:
        ConfigError: `max_seq_length` leaves no room for a word.
    """
    if max_seq_length < SHORTEST_LENGTH:
        raise ConfigError(
            f"max_seq_length is {max_seq_length}, but [CLS] word [SEP] needs at least {SHORTEST_LENGTH} "
            "pieces; raise --max-seq-length"
        )
    room = max_seq_length - 2
    pieces, widths = encode_words(examples, tokenizer, longest=room)
    sentence_words = np.array([len(example.words) for example in examples], np.int64)
    window_words = np.fromiter(_window_words(widths, sentence_words, room), np.int64)
    word_starts = np.concatenate([[0], widths.cumsum()])
    window_bounds = word_starts[np.concatenate([[0], window_words.cumsum()])]
    lengths = np.diff(window_bounds) + 2
    # Before every piece of a word stand two special ones for each window before its own, and one [CLS].
    places = np.arange(len(pieces)) + np.repeat(2 * np.arange(len(lengths)) + 1, lengths - 2)
    ends = lengths.cumsum()
    input_ids = np.empty(lengths.sum(), np.int64)
    input_ids[places] = pieces
    input_ids[ends - lengths] = tokenizer.cls_token_id
    input_ids[ends - 1] = tokenizer.sep_token_id
    first_places = places[word_starts[:-1]]
    opens_word = np.zeros(len(input_ids), np.bool_)
    opens_word[first_places] = True
    labels = np.full(len(input_ids), IGNORED_LABEL, np.int64)
    labels[first_places] = np.fromiter(_labels(examples, label_ids), np.int64, len(widths))
    return TagFeatures(input_ids, opens_word, lengths, labels)


def encode_words(
    examples: Sequence[TaggedExample], tokenizer: AlbertTokenizer, *, longest: int
) -> tuple[IntArray, IntArray]:
    """Return the ids of the pieces of all words end to end, (P,), and how many each word has, (M,).

    Args:
        examples: The sentences.
        tokenizer: The model's.
        longest: Pieces that are kept of a word, its first.
    """
    # Each distinct word is cut once, apart from whether it continues what stands before it.
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
    rows = [row[:longest] or [tokenizer.unk_token_id] for row in rows]
    widths = np.array([len(row) for row in rows], np.int64)
    flat = np.array([id_ for row in rows for id_ in row], np.int64)
    return flat[taken_positions(widths, used)], widths[used]


def _continues(example: TaggedExample, tokenizer: AlbertTokenizer) -> Iterable[bool]:
    """Return for every word whether its first piece has the form of those inside a text."""
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
    """Whether a character is a word of WordPiece by itself."""
    return is_ideograph(character) or is_punctuation(character)


def _inside_form(ids: list[int], tokenizer: AlbertTokenizer, vocabulary: Mapping[str, int]) -> list[int]:
    """Return the pieces of a word, the first as it is behind a letter, if the vocabulary has that form."""
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
    """Yield how many words stand in each window, whose words have at most `room` pieces together."""
    bounds = np.concatenate([[0], sentence_words.cumsum()])
    pieces = np.diff(np.concatenate([[0], widths.cumsum()])[bounds])
    for number, (start, end) in enumerate(pairwise(bounds.tolist())):
        if pieces[number] <= room:
            yield end - start
        else:
            yield from _cut(widths[start:end].tolist(), room)


def _cut(widths: list[int], room: int) -> Iterator[int]:
    """Yield how many words of a long sentence stand in each of its windows."""
    total = sum(widths)
    share = -(-total // -(-total // room))  # pieces of a window if all were equally long
    num_words = num_pieces = 0
    for width in widths:
        if num_words and (num_pieces >= share or num_pieces + width > room):
            yield num_words
            num_words = num_pieces = 0
        num_words += 1
        num_pieces += width
    yield num_words


def _labels(examples: Sequence[TaggedExample], label_ids: Mapping[str, int]) -> Iterator[int]:
    for example in examples:
        if example.tags is None:
            yield from (IGNORED_LABEL for _ in example.words)
        else:
            yield from (label_ids[tag] for tag in example.tags)
