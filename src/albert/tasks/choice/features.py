"""Questions as the model takes them: every choice is [CLS] passage [SEP] question and choice [SEP].

All choices of a question are together, end to end; their number may differ between questions. A text occurs
many times (a passage in every choice of all its questions), so it is encoded and stored once: the sequences
of a batch are put together from their parts when `input_ids` is read.

Source: `convert_single_example` in google-research/albert race_utils.py.
Letters: B questions, S sequences (choices of all questions), N tokens of the sequences, U tokens of the
distinct texts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from albert.errors import ConfigError
from albert.tasks.choice.files import ChoiceExample
from albert.tasks.cuts import Cuts
from albert.tasks.features import EXAMPLES_AT_ONCE, SHORTEST_LENGTH, ranges, taken_positions
from albert.tasks.task import Lengths
from albert.text.tokenizer import AlbertTokenizer

# All characters that NFKD turns into "_", so that a blank is found both before and after cleaning.
_BLANK = re.compile("[_\ufe33\ufe34\ufe4d-\ufe4f\uff3f]+")
_CLS, _SEP = 0, 1  # their positions in `tokens`


@dataclass(frozen=True, slots=True)
class ChoiceFeatures:
    """Encoded questions, end to end, each with all its choices."""

    tokens: NDArray[np.int32]
    """Ids of [CLS], of [SEP], then of every distinct text, (U,)."""
    starts: NDArray[np.int64]
    """Position in `tokens` of the first and the second text of each sequence, (S, 2)."""
    counts: NDArray[np.int64]
    """Number of tokens kept of the two texts, (S, 2)."""
    num_choices: NDArray[np.int64]
    """Number of choices of each question, (B,)."""
    labels: NDArray[np.int64]
    """Index of the right choice, (B,); -100 if unknown."""

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self.num_choices)

    def take(self, indices: NDArray[np.int64]) -> "ChoiceFeatures":
        """Return the questions at `indices` with all their choices, in that order."""
        sequences = taken_positions(self.num_choices, indices)
        return replace(
            self,
            starts=self.starts[sequences],
            counts=self.counts[sequences],
            num_choices=self.num_choices[indices],
            labels=self.labels[indices],
        )

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """Ids of all sequences end to end, (N,)."""
        # Each sequence has five parts: [CLS], first text, [SEP], second text, [SEP]. (S, 2) -> (S, 5)
        starts, counts = np.empty((2, len(self.starts), 5), np.int64)
        starts[:, 1::2], counts[:, 1::2] = self.starts, self.counts
        starts[:, ::2], counts[:, ::2] = (_CLS, _SEP, _SEP), 1
        return self.tokens[ranges(starts.ravel(), counts.ravel())].astype(np.int64)

    @property
    def token_type_ids(self) -> NDArray[np.int64]:
        """0 up to the first [SEP] of each sequence, 1 after it, (N,)."""
        halves = self.counts + np.array([2, 1])  # (S, 2): [CLS] first [SEP], second [SEP]
        return np.repeat(np.tile(np.array([0, 1]), len(halves)), halves.ravel())

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each sequence, (S,)."""
        return self.counts.sum(1) + 3

    @property
    def question_lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each question, all its sequences together, (B,)."""
        ends = np.concatenate([[0], self.lengths.cumsum()])[self.num_choices.cumsum()]
        return np.diff(ends, prepend=0)


def make_choice_features(
    examples: Sequence[ChoiceExample],
    tokenizer: AlbertTokenizer,
    *,
    lengths: Lengths,
    cuts: Cuts | None = None,
) -> ChoiceFeatures:
    """Encode `examples`; sequences that are cut are counted in `cuts`.

    Question and choice keep their last `max_qa_length` tokens; the passage is cut at its end to what fits.

    Raises:
        ConfigError: `lengths` leaves no room for text.
    """
    from albert.model.losses import IGNORED_LABEL

    if lengths.max_seq_length < SHORTEST_LENGTH or lengths.max_qa_length < 1:
        raise ConfigError(
            f"max_seq_length is {lengths.max_seq_length} and max_qa_length {lengths.max_qa_length}, but "
            f"[CLS] passage [SEP] question and choice [SEP] needs at least {SHORTEST_LENGTH} tokens, one of "
            "them for the question; raise --max-seq-length or --max-qa-length"
        )
    tokens = [np.array([tokenizer.cls_token_id, tokenizer.sep_token_id], np.int32)]
    starts, found = [np.zeros((0, 2), np.int64)], [np.zeros((0, 2), np.int64)]
    num_tokens = 2
    for begin in range(0, len(examples), EXAMPLES_AT_ONCE):
        flat, part_starts, part_counts = _encode(examples[begin : begin + EXAMPLES_AT_ONCE], tokenizer)
        tokens.append(flat)
        starts.append(part_starts + num_tokens)
        found.append(part_counts)
        num_tokens += len(flat)
    all_starts, all_found = np.concatenate(starts), np.concatenate(found)
    kept = _kept(all_found, lengths)
    if cuts is not None:
        cuts.add(
            all_found.sum(1) + 3,
            np.any(kept < all_found, axis=1),
            unit="choices with passage and question",
            limit=lengths.max_seq_length,
            part=f", question and choice to {lengths.max_qa_length}",
        )
    all_starts[:, 1] += all_found[:, 1] - kept[:, 1]
    labels = [IGNORED_LABEL if example.label is None else example.label for example in examples]
    return ChoiceFeatures(
        tokens=np.concatenate(tokens),
        starts=all_starts,
        counts=kept,
        num_choices=np.array([len(example.choices) for example in examples], np.int64),
        labels=np.array(labels, np.int64),
    )


def texts_of(example: ChoiceExample) -> list[tuple[str, str]]:
    """Return the two texts of each choice's sequence.

    The first is the passage, the second question and choice: the choice fills the blank in the question, or
    follows the question if it has none. A cause comes before the passage, an effect after it.
    """
    if example.relation == "cause":
        return [(choice, example.passage) for choice in example.choices]
    return [(example.passage, _filled_in(example.question, choice)) for choice in example.choices]


def _filled_in(question: str, choice: str) -> str:
    if _BLANK.search(question):
        return _BLANK.sub(lambda _: choice, question)
    return f"{question} {choice}" if question else choice


def _encode(
    examples: Sequence[ChoiceExample], tokenizer: AlbertTokenizer
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return the tokens of all distinct texts, (U,), and start and length of each sequence's two, (S, 2)."""
    numbers: dict[str, int] = {}
    pairs = [
        (numbers.setdefault(first, len(numbers)), numbers.setdefault(second, len(numbers)))
        for example in examples
        for first, second in texts_of(example)
    ]
    flat, counts = tokenizer.encode_flat(list(numbers))
    table = np.array(pairs, np.int64).reshape(-1, 2)  # (S, 2), numbers of texts
    return flat, (counts.cumsum() - counts)[table], counts[table]


def _kept(found: NDArray[np.int64], lengths: Lengths) -> NDArray[np.int64]:
    """Return how many of the `found` tokens of both texts to keep, (S, 2); the first text is cut first."""
    room = lengths.max_seq_length - 3
    second = np.minimum(found[:, 1], min(lengths.max_qa_length, room))
    return np.stack([np.minimum(found[:, 0], room - second), second], axis=1)
