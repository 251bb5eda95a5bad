"""The score of the best guess that ignores the texts, and whether a model's score is more than that."""

import math
from collections.abc import Sequence
from typing import Any

from albert.tasks.solver import Solver
from albert.tasks.task import Task

NEAR = 0.05
"""Share of the way from the baseline to a perfect score within which a score counts as near the baseline."""
LITTLE_LEARNT = 0.9
"""Share of the loss of guessing above which a training loss shows that little was learnt."""


def baseline_score(solver: Solver, task: Task, known: Sequence[Any], examples: Sequence[Any]) -> float | None:
    """Return the score of the best guess for `examples` from the labels of `known`; None if none is known.

    It is the score that chooses the best checkpoint.
    """
    guess = solver.guess(task, known, examples)
    return None if guess is None else float(solver.scores(task, examples, guess)[task.best_metric])


def doubt(
    score: float,
    baseline: float,
    *,
    perfect: float,
    num_examples: int,
    loss: float | None,
    guessing_loss: float | None,
) -> str | None:
    """Return why a score near the baseline is probably no better, and what to do; None if it is far above.

    Args:
        score: The model's score.
        baseline: The score of guessing.
        perfect: The highest possible score.
        num_examples: Number of examples scored.
        loss: Training loss at the end; None if unknown.
        guessing_loss: Training loss of guessing; None if unknown.
    """
    share = min(max(baseline / perfect, 0.0), 1.0)
    chance = 2 * perfect * math.sqrt(max(share * (1 - share), 0.25 / num_examples) / num_examples)
    if score - baseline > max(NEAR * (perfect - baseline), chance):
        return None
    if score - baseline > NEAR * (perfect - baseline):
        return (
            f"of {num_examples:,} examples, a score up to {baseline + chance:.3g} may be chance; "
            "score more examples"
        )
    if loss is not None and guessing_loss is not None and loss > LITTLE_LEARNT * guessing_loss:
        return (
            f"the training loss, {loss:.3f}, is hardly below that of guessing, {guessing_loss:.3f}, so even "
            "the training examples are not learnt; change --learning-rate (three times as much, or a third), "
            "raise --num-epochs, or start from a model with more pretraining"
        )
    return (
        "what is learnt from the training examples does not carry over; give more of them, look at "
        "them for wrong labels, or start from a model with more pretraining"
    )
