"""Ties: the settled segmentation against a plain float32 Viterbi search over the whole text."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from albert.text.ties import Scored, TieBreaker

VOCABULARY = ["<unk>", "a", "aa", "aaa", "b", "bb", "ab", "(", "c"]
SCORES = [0.0, -3.1234567, -4.7654321, -6.1928374, -2.9182736, -5.5647382, -7.1717171, 0.0, -9.0]
TIES = TieBreaker(
    VOCABULARY,
    SCORES,
    normal=frozenset(VOCABULARY[1:]) - {"("},
    user_defined=frozenset("("),
    unknown_id=0,
)
SCORE = dict(zip(VOCABULARY, [-19.0, *SCORES[1:]], strict=True)) | {"(": -0.1}


def search(text: str) -> list[str]:
    """Return the best segmentation by sums rounded to float32, the first of equal ones."""
    best: list[tuple[float, list[str]] | None] = [(0.0, [])] + [None] * len(text)
    for start in range(len(text)):
        so_far = best[start]
        assert so_far is not None
        known = [piece for piece in VOCABULARY if text.startswith(piece, start)]
        for piece in sorted(known, key=len) or [text[start]]:
            total = SCORE.get(piece, -19.0) + so_far[0]
            end = start + len(piece)
            there = best[end]
            if there is None or total > there[0]:
                best[end] = (float(np.float32(total)), [*so_far[1], piece])
    found = best[-1]
    assert found is not None
    return found[1]


@given(st.text("aab(c?", min_size=1, max_size=60))
def test_ties_are_settled_as_by_a_search_in_float32(text: str) -> None:
    expected = search(text)
    # The choice of newer releases: runs of one letter in ascending order.
    pieces = [Scored(piece, VOCABULARY.index(piece) if piece in VOCABULARY else 0) for piece in expected]
    shuffled = sorted_runs(pieces)
    settled = TIES.settle(shuffled)
    assert [piece.text for piece in settled] == expected


def sorted_runs(pieces: list[Scored]) -> list[Scored]:
    """Return the pieces with every run of repetitions of one letter sorted by length."""
    result: list[Scored] = []
    run: list[Scored] = []
    for piece in [*pieces, Scored("", 0)]:
        if run and set(piece.text) != set(run[0].text):
            result += sorted(run, key=lambda x: len(x.text))
            run = []
        run.append(piece)
    return result


def test_only_neighbours_that_repeat_one_string_can_tie() -> None:
    rows = [[1, 2], [2, 1, 4], [1, 4, 2], [2, 2], [6, 1], []]
    assert [TIES.has_tie(ids) for ids in rows] == [True, True, False, False, False, False]
    assert all(not TIES.repeating_ids.isdisjoint(ids) for ids in rows if TIES.has_tie(ids))


def test_a_segmentation_without_ties_is_not_changed() -> None:
    pieces = [Scored("a", 1), Scored("b", 4), Scored("?", 0)]
    assert TIES.settle(pieces) == pieces
    assert [b.id for _, b in pairwise(pieces)] == [4, 0]
