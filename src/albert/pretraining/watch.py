"""Watches the losses of a pretraining run: for leaps, and for a start that never becomes learning."""

import math
from collections import deque
from collections.abc import Callable
from statistics import median

from albert.training.loop import DivergenceError, Step

REMEMBERED_STEPS = 100
STEPS_BEFORE_LEAPS = 50
LEAP_STEPS = 3
LEAP_SPREADS = 8.0
LEAST_LEAP = 0.5
"""Nats; a smaller leap is left to clipping."""

PLATEAU_STEPS = 2000
"""Steps after which masked LM should be below the entropy of single pieces, and order above a coin."""
PLATEAU_MARGIN = 0.1
"""Nats."""

_SPREAD_OF_NORMAL = 1.4826  # from the median of absolute deviations to the standard deviation


class LeapWatch:
    """Notices a loss that leaps: for three steps far above what the last hundred were.

    Far is eight standard deviations, judged robustly, and at least half a nat: one bad batch is no leap.
    """

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=REMEMBERED_STEPS)
        self._high_in_a_row = 0
        self._calm = True

    @property
    def calm(self) -> bool:
        """Whether the last step was as those before it, so that its weights are worth keeping."""
        return self._calm

    def add(self, step: Step) -> None:
        """Take in one step.

        Raises:
            DivergenceError: The loss has leapt.
        """
        self._calm = not step.skipped
        if step.skipped:
            return
        if len(self._losses) >= STEPS_BEFORE_LEAPS and step.loss > self._limit():
            self._calm = False
            self._high_in_a_row += 1
            if self._high_in_a_row == LEAP_STEPS:
                raise DivergenceError(
                    f"the loss leapt from {median(self._losses):.3f} to {step.loss:.3f} and stayed there for "
                    f"{LEAP_STEPS} steps up to step {step.number}",
                    step=step.number,
                )
            return
        self._high_in_a_row = 0
        self._losses.append(step.loss)

    def _limit(self) -> float:
        middle = median(self._losses)
        spread = _SPREAD_OF_NORMAL * median(abs(loss - middle) for loss in self._losses)
        return middle + max(LEAST_LEAP, LEAP_SPREADS * spread)


class PlateauWatch:
    """Says once, after `PLATEAU_STEPS` steps, which part of the loss is still at what guessing gives."""

    def __init__(self) -> None:
        self._masked_lm: deque[float] = deque(maxlen=REMEMBERED_STEPS)
        self._order: deque[float] = deque(maxlen=REMEMBERED_STEPS)

    def add(self, step: Step, *, unigram_entropy: Callable[[], float]) -> list[str]:
        """Take in one step, and returns what there is to warn of.

        Args:
            step: Its parts are named `masked_lm` and `sentence_order`.
            unigram_entropy: Returns the loss, in nats, of who knows how frequent each hidden piece is, and
                nothing else; asked once.
        """
        if not step.skipped:
            self._masked_lm.append(step.parts["masked_lm"].loss)
            self._order.append(step.parts["sentence_order"].loss)
        if step.number != PLATEAU_STEPS or not self._masked_lm:
            return []
        warnings = []
        masked_lm, order, unigram = median(self._masked_lm), median(self._order), unigram_entropy()
        if masked_lm > unigram - PLATEAU_MARGIN:
            warnings.append(
                f"after {step.number:,} steps the masked LM loss is {masked_lm:.2f}, no better than knowing "
                f"how frequent each piece is ({unigram:.2f}); usual causes: a rate too high or low "
                "for the batch, a warm-up that is still on, initial weights too small for a small model "
                "(initializer_range), too many layers for the start, a vocabulary that does not fit the "
                "text; docs/pretraining.md tells what helped"
            )
        if order > math.log(2) - 0.01:
            warnings.append(
                f"after {step.number:,} steps the sentence-order loss is {order:.3f}, as of a coin (0.693); "
                "usual causes: documents without breaks or of shuffled sentences (albert prepare --check), "
                "lines that are no sentences, a rate too high"
            )
        return warnings
