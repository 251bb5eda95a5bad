"""Detection of a collapsed fine-tuning: the loss is that of guessing, and all predictions are the same.

Large ALBERT models are known for it: if the learning rate is too high, every text is mapped to one point, and
the training does not recover. A loss as of guessing alone is normal at first, and equal predictions occur by
chance; a training counts as collapsed after both hold in two evaluations in a row.
"""

import math
from typing import Any

import numpy as np
import torch

from albert.errors import RunError
from albert.model.albert_model import AlbertModel
from albert.model.packing import Packing
from albert.model.pretrained import Pretrained
from albert.tasks.solver import Features, Solver
from albert.tasks.task import Task

EVALUATIONS_IN_A_ROW = 2
GUESSING_SHARE = 0.98
"""A loss of at least this share of the guessing loss counts as guessing."""
LEAST_STEPS = 50
"""Smallest number of steps over which the mean loss is judged."""
EXAMPLES_COMPARED = 32
SAME_STATES = 0.01
"""Standard deviation of [CLS] states between texts, averaged over dimensions, below which they are one point;
it is near 1, the scale of a layer normalisation's output, if texts are distinguished."""


class CollapseError(RunError):
    """The training has collapsed; the message gives the likely cause."""


class CollapseWatch:
    """Watch over the training loss and the predictions on dev.

    Only kinds with a known guessing loss are watched: labels, numbers, choices.

    Args:
        solver: The solver of the task's kind.
        task: The task that is trained.
        guessing_loss: `Solver.guessing_loss`; None disables the watch.
        warmup_steps: Steps of warm-up, in which a loss as high as that of guessing is normal.
    """

    def __init__(self, solver: Solver, task: Task, guessing_loss: float | None, *, warmup_steps: int) -> None:
        self._solver, self._task, self._warmup_steps = solver, task, warmup_steps
        self._guessing_loss = guessing_loss
        self._losses: list[float] = []
        self._in_a_row = 0

    def add(self, loss: float, *, step: int) -> None:
        """Record the loss of one training step."""
        if step > self._warmup_steps and math.isfinite(loss):
            self._losses.append(loss)

    def look(self, predictions: Any, model: Pretrained, features: Features, *, step: int) -> None:
        """Check the predictions for the dev examples after `step`.

        Raises:
            CollapseError: In the second evaluation in a row, all predictions are the same and the training
                loss is that of guessing.
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
            "the learning rate was too high"
            if spread < SAME_STATES
            else "the encoder distinguishes texts, but the classifier does not: the learning rate is too "
            "high or too low, the training is too short, or the labels do not depend on the texts"
        )
        raise CollapseError(
            f"nothing is learnt at step {step}: the training loss is {loss:.3f}, guessing by frequency gives "
            f"{self._guessing_loss:.3f}, and every dev example gets the same prediction; {cause}. Lower "
            "--learning-rate, raise --warmup-steps or try another --seed; --on-collapse restart does so "
            "automatically, --on-collapse warn continues regardless"
        )


@torch.inference_mode()
def state_spread(model: Pretrained, features: Features) -> float:
    """Return how much the [CLS] states of some examples differ: their standard deviation, averaged over H."""
    some: Any = features.take(np.arange(min(EXAMPLES_COMPARED, len(features))))
    encoder = model.get_submodule("albert")
    assert isinstance(encoder, AlbertModel)
    input_ids, token_type_ids, lengths = model.packed_inputs(some)
    packing = Packing.of_lengths(lengths, model.device)
    model.eval()
    # (N, H) -> (B, H)
    states = encoder.encode(input_ids, token_type_ids, packing, rows=packing.starts).float()
    return float(states.std(dim=0, correction=0).mean())
