"""The original's rule for shortening a pair of texts, in closed form.

Used wherever sequences are made: by the tokenizer, and for the examples of `data` and `tasks`.
Source: `truncate_seq_pair` in create_pretraining_data.py and `_truncate_seq_pair` in classifier_utils.py of
google-research/albert.
"""

import numpy as np
import numpy.typing as npt

_Lengths = npt.NDArray[np.int64]


def kept_lengths(first: _Lengths, second: _Lengths, room: _Lengths | int) -> tuple[_Lengths, _Lengths]:
    """Return how many tokens of two texts, (B,) each, remain so that each pair fits into its `room`, (B,).

    The result is that of dropping one token of the longer text, or of the second if both are equally long,
    until the pair fits. So a text is never cut below half of the room.
    """
    half = np.asarray(room) // 2
    return (
        np.minimum(first, np.maximum(room - second, room - half)),
        np.minimum(second, np.maximum(room - first, half)),
    )


def kept_of_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the result of `kept_lengths` for one pair."""
    kept = kept_lengths(np.asarray(first), np.asarray(second), room)
    return int(kept[0]), int(kept[1])
