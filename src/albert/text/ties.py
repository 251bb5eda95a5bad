"""Ties between segmentations, settled as when the published vocabularies were used.

`222` is `2 22` or `22 2`, with equal scores. The releases of sentencepiece that the original used add
scores along the whole sentence in float32, so rounding decides; releases since 0.2.2 always take the first.
This module repeats the old sum where it matters, so that ids do not depend on the installed release.
"""

import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

# Scores of pieces that have none, as in unigram_model.cc of google/sentencepiece.
_UNKNOWN_PENALTY = 10.0
_USER_DEFINED_SCORE = -0.1


class Scored(NamedTuple):
    """A piece of a segmentation."""

    text: str
    id: int


class TieBreaker:
    """The scores of a vocabulary, and its pieces that repeat one string, such as `2` and `22`."""

    def __init__(
        self,
        vocabulary: Sequence[str],
        scores: Sequence[float],
        *,
        normal: frozenset[str],
        user_defined: frozenset[str],
        unknown_id: int,
    ) -> None:
        self._vocabulary = vocabulary
        self._scores = list(scores)
        self._unknown_id = unknown_id
        trained = [scores[i] for i, piece in enumerate(vocabulary) if piece in normal]
        self._unknown_score = _float32(min(trained, default=0.0) - _UNKNOWN_PENALTY)
        for id_, piece in enumerate(vocabulary):
            if piece in user_defined:
                self._scores[id_] = _USER_DEFINED_SCORE
        self._families = _families(vocabulary, normal)
        self._unit_of = {id_: unit for unit, ids in self._families.items() for id_ in ids.values()}
        self.repeating_ids = frozenset(id_ for id_, unit in self._unit_of.items() if vocabulary[id_] != unit)
        """Ids of pieces that repeat a string; a text without any has no tie."""

    def has_tie(self, ids: Sequence[int]) -> bool:
        """Whether two neighbours repeat the same string a different number of times."""
        units = self._unit_of
        return any(a != b and a in units and units[a] == units.get(b) for a, b in pairwise(ids))

    def settle(self, pieces: list[Scored]) -> list[Scored]:
        """Return the segmentation that the float32 sum prefers among those with equal scores."""
        result: list[Scored] = []
        total = 0.0
        position = 0
        while position < len(pieces):
            end = self._run_end(pieces, position)
            if end - position > 1:
                family = self._families[self._unit_of[pieces[position].id]]
                count = sum(len(piece.text) for piece in pieces[position:end])
                unit_length = len(self._unit_of[pieces[position].id])
                run = self._best_run(family, count // unit_length, total)
                found = [Scored(self._vocabulary[id_], id_) for id_ in run]
            else:
                found = pieces[position:end]
            for piece in found:
                total = self._add(total, piece)
            result.extend(found)
            position = end
        return result

    def _run_end(self, pieces: list[Scored], start: int) -> int:
        """Return the end of the run of pieces that repeat the same string as the one at `start`."""
        unit = self._unit_of.get(pieces[start].id)
        end = start + 1
        while unit is not None and end < len(pieces) and self._unit_of.get(pieces[end].id) == unit:
            end += 1
        return end

    def _add(self, total: float, piece: Scored) -> float:
        if piece.id != self._unknown_id:
            return _float32(total + self._scores[piece.id])
        for _ in piece.text:
            total = _float32(total + self._unknown_score)
        return total

    def _best_run(self, family: Mapping[int, int], count: int, total: float) -> list[int]:
        """Return ids whose repetitions add up to `count`, by the Viterbi search of the old releases.

        Candidates are tried by ascending start; a later one must be better than the rounded best.
        """
        best: list[tuple[int, int] | None] = [None] * (count + 1)
        totals = [total] + [0.0] * count
        for start in range(count):
            if start > 0 and best[start] is None:
                continue
            for repeats, id_ in family.items():
                end = start + repeats
                candidate = totals[start] + self._scores[id_]
                if end > count:
                    continue
                if best[end] is None or candidate > totals[end]:
                    best[end] = (start, id_)
                    totals[end] = _float32(candidate)
        ids: list[int] = []
        end = count
        while end > 0:
            step = best[end]
            assert step is not None
            end, id_ = step
            ids.append(id_)
        return ids[::-1]


def _families(vocabulary: Sequence[str], normal: frozenset[str]) -> dict[str, dict[int, int]]:
    """Return, for every string that some piece repeats, the ids by number of repetitions."""
    ids = {piece: id_ for id_, piece in enumerate(vocabulary) if piece in normal}
    families: dict[str, dict[int, int]] = {}
    for piece, id_ in ids.items():
        unit = _unit(piece)
        if unit != piece:
            families.setdefault(unit, {})[len(piece) // len(unit)] = id_
    for unit, family in families.items():
        if unit in ids:
            family[1] = ids[unit]
    return families


def _unit(piece: str) -> str:
    """Return the shortest string that a piece repeats, from where the doubled piece contains itself."""
    return piece[: (piece + piece).find(piece, 1)]


def _float32(value: float) -> float:
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded
