"""Shortening a pair of texts: the closed form against the original's loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from albert.text.truncation import kept_lengths, kept_of_pair

ROWS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 50)), min_size=1)


def drop_one_at_a_time(first: int, second: int, room: int) -> tuple[int, int]:
    while first + second > room:
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


@given(ROWS)
def test_kept_lengths_are_those_of_the_loop(rows: list[tuple[int, int, int]]) -> None:
    first, second, room = np.array(rows).T
    kept = np.stack(kept_lengths(first, second, room), axis=1)
    assert kept.tolist() == [list(drop_one_at_a_time(*row)) for row in rows]
    assert [kept_of_pair(*row) for row in rows] == [drop_one_at_a_time(*row) for row in rows]
