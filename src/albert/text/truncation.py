"""Shortening texts and pairs of texts to a number of tokens; for pairs the original's rule, in closed form.

The tokenizer and the examples of `data` and `tasks` use the same rule.
Source: `truncate_seq_pair` in create_pretraining_data.py and `_truncate_seq_pair` in classifier_utils.py of
google-research/albert.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from albert.errors import TokenizerError

Truncation = Literal["longest_first", "only_first", "only_second"]
"""Which text of a pair is shortened."""

_Lengths = npt.NDArray[np.int64]


def kept_lengths(first: _Lengths, second: _Lengths, room: _Lengths | int) -> tuple[_Lengths, _Lengths]:
    """Return how many tokens of two texts, (B,) each, to keep so that each pair fits into its `room`, (B,).

    The same as removing a token from the longer text, or from the second if they are equal, until they fit:
    no text gets shorter than half of the room.
    """
    half = np.asarray(room) // 2
    return (
        np.minimum(first, np.maximum(room - second, room - half)),
        np.minimum(second, np.maximum(room - first, half)),
    )


def kept_of_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """Return `kept_lengths` of one pair."""
    kept = kept_lengths(np.asarray(first), np.asarray(second), room)
    return int(kept[0]), int(kept[1])


def truncate(first: list[Any], second: list[Any] | None, *, room: int, strategy: Truncation) -> None:
    """Remove tokens from the ends of one or two lists until they fit into `room`.

    Raises:
        TokenizerError: There is no room, or the text to be shortened has too few tokens.
    """
    second = [] if second is None else second
    excess = len(first) + len(second) - room
    if strategy != "longest_first":
        chosen = first if strategy == "only_first" else second
        if excess > len(chosen):
            raise TokenizerError(
                f"truncation={strategy!r} must remove {excess} tokens from a text of {len(chosen)}; "
                'use truncation="longest_first" or a larger max_length'
            )
        if excess > 0:
            del chosen[-excess:]
        return
    if room < 0:
        raise TokenizerError("max_length leaves no room for the special tokens; use a larger one")
    kept = kept_of_pair(len(first), len(second), room)
    del first[kept[0] :], second[kept[1] :]
