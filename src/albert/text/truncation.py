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
Side = Literal["right", "left"]
"""The end of a text."""

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


def truncate(
    first: list[Any], second: list[Any] | None, *, room: int, strategy: Truncation, side: Side = "right"
) -> None:
    """Remove tokens from one or two lists, at `side`, until they fit into `room`.

    Raises:
        TokenizerError: There is no room, or the text to be shortened has too few tokens.
    """
    second = [] if second is None else second
    excess = len(first) + len(second) - room
    if strategy != "longest_first":
        _check_excess(excess, len(first) if strategy == "only_first" else len(second), strategy)
        kept = len(first), len(second)
        if excess > 0 and strategy == "only_first":
            kept = len(first) - excess, len(second)
        elif excess > 0:
            kept = len(first), len(second) - excess
    elif room < 0:
        raise TokenizerError("max_length leaves no room for the special tokens; use a larger one")
    else:
        kept = kept_of_pair(len(first), len(second), room)
    for tokens, number in zip((first, second), kept, strict=True):
        if side == "right":
            del tokens[number:]
        else:
            del tokens[: len(tokens) - number]


def windows(
    first: list[Any], second: list[Any] | None, *, room: int, strategy: Truncation, stride: int, side: Side
) -> list[tuple[list[Any], list[Any] | None]]:
    """Return the text, or the pair, as windows that fit into `room`: what one lacks is in the next.

    Args:
        first: Tokens.
        second: Tokens of the second text of a pair.
        room: Tokens of a window, both texts together.
        strategy: Which text is cut; the other one is whole in every window.
        stride: Tokens that neighbouring windows share.
        side: Where the text is cut.

    Raises:
        TokenizerError: A pair is cut by `longest_first`, there is no room, or windows would not advance.
    """
    if second is None:
        ranges = windows_of(len(first), room=max(room, 0), stride=stride, side=side)
        return [(first[start:end], None) for start, end in ranges]
    if len(first) + len(second) <= room:
        return [(first, second)]
    if strategy == "longest_first":
        raise TokenizerError(
            "return_overflowing_tokens of a pair needs to know which text is cut: give "
            'truncation="only_first" or truncation="only_second"'
        )
    cut, whole = (first, second) if strategy == "only_first" else (second, first)
    _check_excess(len(first) + len(second) - room, len(cut), strategy)
    parts = [
        cut[start:end]
        for start, end in windows_of(len(cut), room=room - len(whole), stride=stride, side=side)
    ]
    return [(part, second) if strategy == "only_first" else (first, part) for part in parts]


def windows_of(length: int, *, room: int, stride: int, side: Side) -> list[tuple[int, int]]:
    """Return the ranges of the windows of at most `room` tokens that cover `length` tokens.

    Args:
        length: Tokens of the text.
        room: Tokens of a window.
        stride: Tokens that neighbouring windows share.
        side: Where a text is cut: `right` starts with its first tokens, `left` with its last ones.

    Raises:
        TokenizerError: Windows would not advance.
    """
    if length <= room:
        return [(0, length)]
    if not 0 <= stride < room:
        raise TokenizerError(
            f"stride is {stride}; expected 0 to {room - 1}: a window has room for {room} tokens of the text"
        )
    starts = range(0, length - stride, room - stride)
    found = [(start, min(start + room, length)) for start in starts]
    if side == "right":
        return found
    return [(length - end, length - start) for start, end in found]


def _check_excess(excess: int, length: int, strategy: Truncation) -> None:
    if excess > length:
        raise TokenizerError(
            f"truncation={strategy!r} must remove {excess} tokens from a text of {length}; "
            'use truncation="longest_first" or a larger max_length'
        )
