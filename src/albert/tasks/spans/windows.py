"""Questions and passages as the model takes them: [CLS] question [SEP] passage [SEP], all laid end to end.

Stands between `questions` (as text) and `span_decoding` (what the model made of them). A long passage gives
several windows that overlap; a question keeps its head. A special piece spelled in a text is plain text.

Pieces know which characters of the passage they stand for, from the tokenizer's offsets. In that alone the
windows differ from the original's, which aligns passage and pieces by a longest common subsequence.

Letters: Q questions, B windows, N pieces of all windows, P pieces of a passage.
Source: `convert_examples_to_features` (squad_utils.py) of the original.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.tasks.features import taken_positions
from albert.tasks.spans.files import Question
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer

NUM_SPECIAL = 3
UNKNOWN_POSITION = -1
SHARE_OF_LENGTH = 0.01
"""What a piece of length counts against a piece of context when the best window of a piece is chosen."""

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
CharacterArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SpanFeatures:
    """Encoded windows, one behind the other; those of one question stand together, in reading order.

    Positions count from the [CLS] of a window.
    """

    input_ids: IntArray
    """Piece ids, (N,)."""
    lengths: IntArray
    """Pieces of each window, (B,)."""
    context_starts: IntArray
    """Position of the first piece of the passage, (B,)."""
    questions: IntArray
    """Index of the question of each window, (B,)."""
    start_positions: IntArray
    """Position of the answer's first piece, (B,); 0 where a window lacks it, -1 where it is not known."""
    end_positions: IntArray
    """Position of the answer's last piece, (B,); likewise."""
    character_starts: CharacterArray
    """First character of the passage that a piece stands for, (N,); 0 outside the passage."""
    character_ends: CharacterArray
    """One past the last character, (N,)."""
    is_max_context: BoolArray
    """Whether no other window shows more around a piece of the passage, (N,)."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.lengths)

    @property
    def token_type_ids(self) -> IntArray:
        """Return 0 up to the first [SEP], 1 behind it, (N,)."""
        return (self._positions() >= np.repeat(self.context_starts, self.lengths)).astype(np.int64)

    @property
    def p_mask(self) -> IntArray:
        """Return 0 at [CLS] and in the passage, 1 where no answer may start or end, (N,)."""
        positions = self._positions()
        mask = positions < np.repeat(self.context_starts, self.lengths)
        mask[positions == 0] = False
        mask[self.lengths.cumsum() - 1] = True
        return mask.astype(np.int64)

    @property
    def is_impossible(self) -> IntArray:
        """Return 1 where a window is known to lack the answer, (B,)."""
        return (self.start_positions == 0).astype(np.int64)

    def take(self, indices: IntArray) -> "SpanFeatures":
        """Return the windows at `indices`, in that order."""
        pieces = taken_positions(self.lengths, indices)
        return SpanFeatures(
            self.input_ids[pieces],
            self.lengths[indices],
            self.context_starts[indices],
            self.questions[indices],
            self.start_positions[indices],
            self.end_positions[indices],
            self.character_starts[pieces],
            self.character_ends[pieces],
            self.is_max_context[pieces],
        )

    def _positions(self) -> IntArray:
        """Return the position of each piece in its window, (N,)."""
        return np.arange(len(self.input_ids)) - np.repeat(self.lengths.cumsum() - self.lengths, self.lengths)


def make_span_features(
    questions: Sequence[Question], tokenizer: AlbertTokenizer, *, lengths: Lengths
) -> SpanFeatures:
    """Encode `questions` in windows of up to `lengths.max_seq_length` pieces.

    Every question has a window, even where its passage has no piece. An answer that is only partly in a
    window is not in it. Where there are several answers, the first that is placed is taught.

    Raises:
        ConfigError: `lengths` leaves no room for the passage, or its stride is not positive.
    """
    _check(lengths)
    passages, passage_of = _Passages.encode(questions, tokenizer)
    asked = [question.question for question in questions]
    heads = [ids[: lengths.max_query_length] for ids in tokenizer.encode_sentences(asked)]
    head_lengths = np.fromiter(map(len, heads), np.int64, len(heads))
    windows = _cut(passages.lengths[passage_of], head_lengths, lengths)
    window_lengths = windows.heads + windows.pieces + NUM_SPECIAL
    ends = window_lengths.cumsum()
    in_context = _ranges(ends - 1 - windows.pieces, windows.pieces)
    source = _ranges(passages.starts[passage_of[windows.questions]] + windows.starts, windows.pieces)

    input_ids = np.full(int(window_lengths.sum()), tokenizer.sep_token_id, np.int64)
    input_ids[ends - window_lengths] = tokenizer.cls_token_id
    head_starts = head_lengths.cumsum() - head_lengths
    input_ids[_ranges(ends - window_lengths + 1, windows.heads)] = _flat(heads)[
        _ranges(head_starts[windows.questions], windows.heads)
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
    """The pieces of all distinct passages, one behind the other."""

    ids: IntArray
    character_starts: IntArray
    character_ends: IntArray
    lengths: IntArray

    @classmethod
    def encode(
        cls, questions: Sequence[Question], tokenizer: AlbertTokenizer
    ) -> tuple["_Passages", IntArray]:
        """Encode each passage once; returns the index of every question's passage, (Q,), too."""
        numbers: dict[str, int] = {}
        passage_of = [numbers.setdefault(question.context, len(numbers)) for question in questions]
        rows = []
        for context in numbers:
            [pieces] = tokenizer.encode_sentences_with_offsets([context])
            rows.append(np.array([(p.id, p.start, p.end) for p in pieces], np.int64).reshape(-1, 3))
        ids, starts, ends = np.concatenate(rows or [np.empty((0, 3), np.int64)]).T
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        passages = cls(ids=ids, character_starts=starts, character_ends=ends, lengths=lengths)
        return passages, np.array(passage_of, np.int64)

    @property
    def starts(self) -> IntArray:
        """Index of each passage's first piece."""
        return self.lengths.cumsum() - self.lengths

    def answers(self, questions: Sequence[Question], passage_of: IntArray) -> tuple[IntArray, IntArray]:
        """Return the first and the last piece of each question's answer in its passage, (Q,) each.

        -1 where no answer is known, -2 where it is known that there is none.
        """
        first = np.full(len(questions), UNKNOWN_POSITION, np.int64)
        last = first.copy()
        bounds = np.concatenate([[0], self.lengths.cumsum()])
        for number, question in enumerate(questions):
            placed = next(((a.start, a.text) for a in question.answers or () if a.start is not None), None)
            if placed is None:
                first[number] = last[number] = _NO_PIECE if question.is_impossible else UNKNOWN_POSITION
                continue
            pieces = slice(bounds[passage_of[number]], bounds[passage_of[number] + 1])
            begin, end = placed[0], placed[0] + len(placed[1])
            # The first piece that reaches into the answer, and the last that begins before its end.
            start = np.searchsorted(self.character_ends[pieces], begin, side="right")
            stop = np.searchsorted(self.character_starts[pieces], end, side="left") - 1
            found = start <= stop
            first[number], last[number] = (start, stop) if found else (_NO_PIECE, _NO_PIECE)
        return first, last


_NO_PIECE = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Windows:
    """Which part of which question's passage each window shows; (B,) each."""

    questions: IntArray
    heads: IntArray
    """Pieces of the question."""
    starts: IntArray
    """First piece of the passage."""
    pieces: IntArray
    """Pieces of the passage."""

    def positions_of(self, answers: tuple[IntArray, IntArray]) -> tuple[IntArray, IntArray]:
        """Return the positions of answers, (Q,) each in their passages, in the windows, (B,) each."""
        first, last = (edge[self.questions] for edge in answers)
        inside = (first >= self.starts) & (last < self.starts + self.pieces)
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
            f"which leaves {room} pieces for the passage; raise --max-seq-length or lower --max-query-length"
        )
    if lengths.doc_stride < 1:
        raise ConfigError(f"doc_stride is {lengths.doc_stride}; expected 1 or more pieces")


def _cut(passages: IntArray, heads: IntArray, lengths: Lengths) -> _Windows:
    """Return the windows of passages of `passages` pieces behind questions of `heads` pieces, (Q,) each."""
    room = lengths.max_seq_length - NUM_SPECIAL - heads
    # A stride beyond the window would skip pieces.
    step = np.minimum(room, lengths.doc_stride)
    counts = 1 + np.maximum(0, -(-(passages - room) // step))
    questions = np.repeat(np.arange(len(passages)), counts)
    starts = _ranges(np.zeros_like(counts), counts) * step[questions]
    pieces = np.minimum(room[questions], passages[questions] - starts)
    return _Windows(questions=questions, heads=heads[questions], starts=starts, pieces=pieces)


def _has_max_context(windows: _Windows, passages: IntArray) -> BoolArray:
    """Return for every piece of the windows whether none shows more around it; of equal ones the first does.

    What a window shows around a piece is the lesser of what stands left and right of it, and a hundredth of
    the window's length.
    """
    left = _ranges(np.zeros_like(windows.pieces), windows.pieces)
    pieces = np.repeat(windows.pieces, windows.pieces)
    scores = np.minimum(left, pieces - 1 - left) + SHARE_OF_LENGTH * pieces
    # A number for every piece of every question's passage.
    places = _ranges((passages.cumsum() - passages)[windows.questions] + windows.starts, windows.pieces)
    best = np.full(int(passages.sum()), -1.0)
    np.maximum.at(best, places, scores)
    candidates = np.flatnonzero(scores == best[places])
    first = np.empty(len(best), np.int64)
    first[places[candidates[::-1]]] = candidates[::-1]  # The last write stays: the first window.
    result = np.zeros(len(places), np.bool_)
    result[first] = True
    return result


def _ranges(starts: IntArray, counts: IntArray) -> IntArray:
    """Return `start, start + 1, ...` for each start, as many as its count, end to end."""
    ends = counts.cumsum()
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + counts, counts)


def _flat(rows: list[list[int]]) -> IntArray:
    return np.array([id_ for row in rows for id_ in row], np.int64)
