"""Questions and passages as the model takes them: [CLS] question [SEP] passage [SEP], all laid end to end.

A long passage gives several windows that overlap; a long question keeps its beginning. The name of a special
token in a text is plain text.

The tokenizer's offsets map tokens to characters of the passage. This is the only difference from the
original's windows, which align passage and tokens by a longest common subsequence.

Letters: Q questions, B windows, N tokens of all windows, P tokens of the passages in all windows.
Source: `convert_examples_to_features` (squad_utils.py) of the original.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.tasks.cuts import Cuts
from albert.tasks.features import ranges, taken_positions
from albert.tasks.spans.files import Question
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer

NUM_SPECIAL = 3
UNKNOWN_POSITION = -1
SHARE_OF_LENGTH = 0.01
"""Weight of the window's length against the context when the best window of a token is chosen."""

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
CharacterArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SpanFeatures:
    """Encoded windows, end to end; those of one question are together, in reading order.

    Positions count from the [CLS] of a window.
    """

    input_ids: IntArray
    """Token ids, (N,)."""
    lengths: IntArray
    """Number of tokens of each window, (B,)."""
    context_starts: IntArray
    """Position of the first token of the passage, (B,)."""
    questions: IntArray
    """Index of the question of each window, (B,)."""
    start_positions: IntArray
    """Position of the answer's first token, (B,); 0 if the window lacks the answer, -1 if it is unknown."""
    end_positions: IntArray
    """Position of the answer's last token, (B,); 0 and -1 as above."""
    character_starts: CharacterArray
    """Index in the passage of a token's first character, (N,); 0 outside the passage."""
    character_ends: CharacterArray
    """Index after a token's last character, (N,); 0 outside the passage."""
    is_max_context: BoolArray
    """Whether no other window shows more context around a token of the passage, (N,)."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.lengths)

    @property
    def token_type_ids(self) -> IntArray:
        """0 up to the first [SEP], 1 after it, (N,)."""
        return (self._positions() >= np.repeat(self.context_starts, self.lengths)).astype(np.int64)

    @property
    def p_mask(self) -> IntArray:
        """0 at [CLS] and in the passage, 1 where no answer may start or end, (N,)."""
        positions = self._positions()
        mask = positions < np.repeat(self.context_starts, self.lengths)
        mask[positions == 0] = False
        mask[self.lengths.cumsum() - 1] = True
        return mask.astype(np.int64)

    @property
    def is_impossible(self) -> IntArray:
        """1 if a window is known to lack the answer, else 0, (B,)."""
        return (self.start_positions == 0).astype(np.int64)

    def take(self, indices: IntArray) -> "SpanFeatures":
        """Return the windows at `indices`, in that order."""
        tokens = taken_positions(self.lengths, indices)
        return SpanFeatures(
            self.input_ids[tokens],
            self.lengths[indices],
            self.context_starts[indices],
            self.questions[indices],
            self.start_positions[indices],
            self.end_positions[indices],
            self.character_starts[tokens],
            self.character_ends[tokens],
            self.is_max_context[tokens],
        )

    def _positions(self) -> IntArray:
        """Return the position of each token in its window, (N,)."""
        return np.arange(len(self.input_ids)) - np.repeat(self.lengths.cumsum() - self.lengths, self.lengths)


def make_span_features(
    questions: Sequence[Question],
    tokenizer: AlbertTokenizer,
    *,
    lengths: Lengths,
    cuts: Cuts | None = None,
) -> SpanFeatures:
    """Encode `questions` in windows of up to `lengths.max_seq_length` tokens.

    Every question has a window, even if its passage has no tokens. A window contains an answer only if it
    contains all of it. Of several answers, the first whose place is known is the training target. Questions
    that are cut are counted in `cuts`.

    Raises:
        ConfigError: `lengths` leaves no room for the passage, or its stride is not positive.
    """
    _check(lengths)
    passages, passage_of = _Passages.encode(questions, tokenizer)
    question_texts = [question.question for question in questions]
    question_ids = tokenizer.encode_sentences(question_texts)
    if cuts is not None:
        found = np.fromiter(map(len, question_ids), np.int64, len(question_ids))
        cuts.add(found, unit="questions", limit=lengths.max_query_length)
    heads = [ids[: lengths.max_query_length] for ids in question_ids]
    head_lengths = np.fromiter(map(len, heads), np.int64, len(heads))
    windows = _cut(passages.lengths[passage_of], head_lengths, lengths)
    window_lengths = windows.heads + windows.tokens + NUM_SPECIAL
    ends = window_lengths.cumsum()
    # (P,) each: where the passages' tokens go in the windows, and where they come from.
    in_context = ranges(ends - 1 - windows.tokens, windows.tokens)
    source = ranges(passages.starts[passage_of[windows.questions]] + windows.starts, windows.tokens)

    input_ids = np.full(int(window_lengths.sum()), tokenizer.sep_token_id, np.int64)
    input_ids[ends - window_lengths] = tokenizer.cls_token_id
    head_starts = head_lengths.cumsum() - head_lengths
    input_ids[ranges(ends - window_lengths + 1, windows.heads)] = _flat(heads)[
        ranges(head_starts[windows.questions], windows.heads)
    ]
    input_ids[in_context] = passages.ids[source]
    character_starts, character_ends = np.zeros((2, len(input_ids)), np.int32)
    character_starts[in_context] = passages.character_starts[source]
    character_ends[in_context] = passages.character_ends[source]
    is_max_context = np.zeros(len(input_ids), np.bool_)
    is_max_context[in_context] = _has_max_context(windows, passages.lengths[passage_of])
    first, last = windows.positions_of(passages.answers(questions, passage_of))
    return SpanFeatures(
        input_ids,
        window_lengths,
        windows.heads + 2,
        windows.questions,
        first,
        last,
        character_starts,
        character_ends,
        is_max_context,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passages:
    """The tokens of all distinct passages, end to end."""

    ids: IntArray
    character_starts: IntArray
    character_ends: IntArray
    lengths: IntArray

    @classmethod
    def encode(
        cls, questions: Sequence[Question], tokenizer: AlbertTokenizer
    ) -> tuple["_Passages", IntArray]:
        """Return the passages, each encoded once, and the index of every question's passage, (Q,)."""
        numbers: dict[str, int] = {}
        passage_of = [numbers.setdefault(question.context, len(numbers)) for question in questions]
        rows = []
        for context in numbers:
            [tokens] = tokenizer.encode_sentences_with_offsets([context])
            rows.append(np.array([(t.id, t.start, t.end) for t in tokens], np.int64).reshape(-1, 3))
        ids, starts, ends = np.concatenate(rows or [np.empty((0, 3), np.int64)]).T
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        passages = cls(ids=ids, character_starts=starts, character_ends=ends, lengths=lengths)
        return passages, np.array(passage_of, np.int64)

    @property
    def starts(self) -> IntArray:
        """Index of each passage's first token."""
        return self.lengths.cumsum() - self.lengths

    def answers(self, questions: Sequence[Question], passage_of: IntArray) -> tuple[IntArray, IntArray]:
        """Return the first and the last token of each question's answer in its passage, (Q,) each.

        -1 if the answer is unknown, -2 if there is none.
        """
        first = np.full(len(questions), UNKNOWN_POSITION, np.int64)
        last = first.copy()
        bounds = np.concatenate([[0], self.lengths.cumsum()])
        for number, question in enumerate(questions):
            placed = next(((a.start, a.text) for a in question.answers or () if a.start is not None), None)
            if placed is None:
                first[number] = last[number] = _NO_TOKEN if question.is_impossible else UNKNOWN_POSITION
                continue
            tokens = slice(bounds[passage_of[number]], bounds[passage_of[number] + 1])
            begin, end = placed[0], placed[0] + len(placed[1])
            # The first token that ends inside the answer, and the last that starts before its end.
            start = np.searchsorted(self.character_ends[tokens], begin, side="right")
            stop = np.searchsorted(self.character_starts[tokens], end, side="left") - 1
            found = start <= stop
            first[number], last[number] = (start, stop) if found else (_NO_TOKEN, _NO_TOKEN)
        return first, last


_NO_TOKEN = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Windows:
    """The part of a question's passage that each window shows; (B,) each."""

    questions: IntArray
    heads: IntArray
    """Number of tokens of the question."""
    starts: IntArray
    """Index in the passage of its first token."""
    tokens: IntArray
    """Number of tokens of the passage."""

    def positions_of(self, answers: tuple[IntArray, IntArray]) -> tuple[IntArray, IntArray]:
        """Return positions in the windows, (B,) each, from positions in the passages, (Q,) each."""
        first, last = (edge[self.questions] for edge in answers)
        inside = (first >= self.starts) & (last < self.starts + self.tokens)
        unknown = first == UNKNOWN_POSITION
        moved = self.heads + 2 - self.starts
        positions = [np.where(inside, edge + moved, 0) for edge in (first, last)]
        return np.where(unknown, UNKNOWN_POSITION, positions[0]), np.where(
            unknown, UNKNOWN_POSITION, positions[1]
        )


def _check(lengths: Lengths) -> None:
    room = lengths.max_seq_length - lengths.max_query_length - NUM_SPECIAL
    if room < 1 or lengths.max_query_length < 1:
        raise ConfigError(
            f"max_seq_length is {lengths.max_seq_length} and max_query_length {lengths.max_query_length}, "
            f"which leaves {room} tokens for the passage; raise --max-seq-length or lower --max-query-length"
        )
    if lengths.doc_stride < 1:
        raise ConfigError(f"doc_stride is {lengths.doc_stride}; expected 1 or more tokens")


def _cut(passages: IntArray, heads: IntArray, lengths: Lengths) -> _Windows:
    """Return the windows, given the numbers of tokens of passages and of questions (`heads`), (Q,) each."""
    room = lengths.max_seq_length - NUM_SPECIAL - heads
    # A stride longer than the window would skip tokens.
    step = np.minimum(room, lengths.doc_stride)
    counts = 1 + np.maximum(0, -(-(passages - room) // step))
    questions = np.repeat(np.arange(len(passages)), counts)
    starts = ranges(np.zeros_like(counts), counts) * step[questions]
    tokens = np.minimum(room[questions], passages[questions] - starts)
    return _Windows(questions=questions, heads=heads[questions], starts=starts, tokens=tokens)


def _has_max_context(windows: _Windows, passages: IntArray) -> BoolArray:
    """Return for each passage token whether its window shows the most context of it, (P,); ties to the first.

    The context is the number of tokens left or right of it, whichever is smaller, plus a hundredth of the
    length of the window's part of the passage.
    """
    left = ranges(np.zeros_like(windows.tokens), windows.tokens)
    widths = np.repeat(windows.tokens, windows.tokens)  # (B,) -> (P,)
    scores = np.minimum(left, widths - 1 - left) + SHARE_OF_LENGTH * widths
    # A number for every token of every question's passage, (P,).
    places = ranges((passages.cumsum() - passages)[windows.questions] + windows.starts, windows.tokens)
    best = np.full(int(passages.sum()), -1.0)
    np.maximum.at(best, places, scores)
    candidates = np.flatnonzero(scores == best[places])
    first = np.empty(len(best), np.int64)
    first[places[candidates[::-1]]] = candidates[::-1]  # the last write wins: the first window
    result = np.zeros(len(places), np.bool_)
    result[first] = True
    return result


def _flat(rows: list[list[int]]) -> IntArray:
    return np.array([id_ for row in rows for id_ in row], np.int64)
