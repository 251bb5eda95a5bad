"""Notices a fine-tuning that has stopped to learn: its loss is that of guessing and every answer the same.

Large ALBERTs are known for it: after a rate too high every text is mapped to one point, and nothing brings
them back. Stands above `solver`; the recipe feeds it steps and evaluations.
"""

import math
from typing import Any

import numpy as np
import torch

from albert.errors import RunError
from albert.model.packing import Packing
from albert.model.pretrained import AlbertModel, Pretrained
from albert.tasks.solver import Features, Solver
from albert.tasks.task import Task

EVALUATIONS_IN_A_ROW = 2
GUESSING_SHARE = 0.98
"""Share of the loss of guessing from which on a loss counts as such."""
LEAST_STEPS = 50
"""Steps whose mean loss is judged at least."""
EXAMPLES_COMPARED = 32
SAME_STATES = 0.01
"""Mean deviation of [CLS] states between texts below which they are one point; of a layer normalisation's
output it is near 1 where texts are told apart."""


class CollapseError(RunError):
    """Nothing is learnt any more; the message says why."""


class CollapseWatch:
    """Watches the training loss and the answers on dev.

    Only tasks whose guessing has a known loss are watched: labels, numbers, choices.

    Args:
        task: What is learnt.
        guessing_loss: See the function; None watches nothing.
        warmup_steps: Steps of warm-up, in which a loss as of guessing is no wonder.
    """

    def __init__(self, solver: Solver, task: Task, guessing_loss: float | None, *, warmup_steps: int) -> None:
        self._solver, self._task, self._warmup_steps = solver, task, warmup_steps
        self._guessing_loss = guessing_loss
        self._losses: list[float] = []
        self._in_a_row = 0

    def add(self, loss: float, *, step: int) -> None:
        """Takes in the loss of one training step."""
        if step > self._warmup_steps and math.isfinite(loss):
            self._losses.append(loss)

    def look(self, predictions: Any, model: Pretrained, features: Features, *, step: int) -> None:
        """Takes in the answers to the dev examples behind `step`.

        Raises:
            CollapseError: It is the second evaluation in a row with one answer to everything and a training
                loss as of guessing.
        """
        if self._guessing_loss is None or len(self._losses) < LEAST_STEPS:
            return
        loss = sum(self._losses) / len(self._losses)
        self._losses.clear()
        is_guessing = loss >= GUESSING_SHARE * self._guessing_loss
        alike = is_guessing and self._solver.are_all_alike(self._task, predictions)
        self._in_a_row = self._in_a_row + 1 if alike else 0
        if self._in_a_row < EVALUATIONS_IN_A_ROW:
            return
        spread = state_spread(model, features)
        cause = (
            f"the encoder maps all texts to one point (their states differ by {spread:.1g}): "
            "the rate was too high"
            if spread < SAME_STATES
            else "texts are told apart, but their labels not: the rate is too high or too low, the training "
            "too short, or the labels do not follow from the texts"
        )
        raise CollapseError(
            f"nothing is learnt at step {step}: the training loss is {loss:.3f}, guessing by frequency gives "
            f"{self._guessing_loss:.3f}, and every dev example gets the same answer; {cause}. Lower "
            "--learning-rate, lengthen --warmup-steps, try another --seed, or let it do so with "
            "--on-collapse restart; --on-collapse warn goes on regardless"
        )


@torch.inference_mode()
def state_spread(model: Pretrained, features: Features) -> float:
    """Return how much the [CLS] states of some examples differ: their mean deviation over dimensions."""
    some: Any = features.take(np.arange(min(EXAMPLES_COMPARED, len(features))))
    encoder = model.get_submodule("albert")
    assert isinstance(encoder, AlbertModel)
    input_ids, token_type_ids, lengths = model.packed_inputs(some)
    packing = Packing.of_lengths(lengths, model.device)
    model.eval()
    states = encoder.encode(input_ids, token_type_ids, packing, rows=packing.starts).float()
    return float(states.std(dim=0, correction=0).mean())
