"""Examples held out of a training file as dev, where there is no dev file.

The choice is a function of the examples, the share and the seed, so that a model can be scored on the same
examples later. Examples with equal texts stay on one side: otherwise dev would reward memory.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from albert.tasks.solver import Solver
from albert.tasks.task import Task

T = TypeVar("T")
DEFAULT_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Which examples of a training file are dev."""

    share: float
    """Share of the examples that are held out."""
    seed: int
    """Seed of the choice."""
    digest: str
    """SHA-256 of the files, so that others are not taken for them."""

    def parts(self, solver: Solver, task: Task, examples: Sequence[T]) -> tuple[list[T], list[T]]:
        """Return the examples of training, and those held out, each in the order of the file.

        If there are too few examples to hold some out, there are none of the latter.
        """
        chosen = held_out_places(
            [solver.group_of(example) for example in examples],
            [solver.stratum_of(task, example) for example in examples],
            share=self.share,
            seed=self.seed,
        )
        if len(chosen) == len(examples):
            chosen = set()
        train = [example for place, example in enumerate(examples) if place not in chosen]
        return train, [examples[place] for place in sorted(chosen)]


def held_out_places(
    groups: Sequence[Hashable], strata: Sequence[Any], *, share: float, seed: int
) -> set[int]:
    """Return the places of the examples that are held out.

    Args:
        groups: For each example a key; examples with equal keys stay together.
        strata: For each example its stratum, such as its label; strata keep their shares. A stratum with a
            single group stays in training.
        share: Share of the examples that are held out, over all strata.
        seed: Seed of the choice.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    order = list(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: repr(strata[members[group][0]]))
    sizes = Counter(strata[places[0]] for places in members.values())
    chosen: set[int] = set()
    passed = 0
    for group in order:
        if sizes[strata[members[group][0]]] > 1 or len(sizes) == 1:
            passed += len(members[group])
            if len(chosen) + len(members[group]) / 2 <= passed * share:
                chosen.update(members[group])
    return chosen
