"""Watch the losses of a pretraining run: for leaps, and for a start without learning."""

import math
from collections import deque
from collections.abc import Callable
from statistics import median

from albert.training.loop import DivergenceError, Step

RECENT_STEPS = 100
STEPS_BEFORE_LEAPS = 50
LEAP_STEPS = 3
LEAP_SPREADS = 8.0
SMALLEST_LEAP = 0.5
"""Nats; clipping handles smaller leaps."""

PLATEAU_STEPS = 2000
"""Steps after which masked LM should be below the unigram entropy, and sentence order better than chance."""
PLATEAU_MARGIN = 0.1
"""Nats."""

_SPREAD_OF_NORMAL = 1.4826  # from the median of absolute deviations to the standard deviation


class LeapWatch:
    """Detects a leap: three steps in a row with a loss far above the last hundred.

    Far means eight standard deviations, estimated robustly, and at least half a nat. One bad batch is no
    leap.
    """

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=RECENT_STEPS)
        self._high_in_a_row = 0
        self._calm = True

    @property
    def calm(self) -> bool:
        """Whether the last step was like those before it, so that its weights are worth saving."""
        return self._calm

    def add(self, step: Step) -> None:
        """Add one step.

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
        return middle + max(SMALLEST_LEAP, LEAP_SPREADS * spread)


class PlateauWatch:
    """Warns once, after `PLATEAU_STEPS` steps, of a part of the loss that is no better than guessing."""

    def __init__(self) -> None:
        self._masked_lm: deque[float] = deque(maxlen=RECENT_STEPS)
        self._order: deque[float] = deque(maxlen=RECENT_STEPS)

    def add(self, step: Step, *, unigram_entropy: Callable[[], float]) -> list[str]:
        """Add one step, and return warnings, if there are any.

        Args:
            step: Has the parts `masked_lm` and `sentence_order`.
            unigram_entropy: Returns the unigram entropy of the masked labels, in nats; called once.
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
                f"after {step.number:,} steps the masked LM loss is {masked_lm:.2f}, no better than guessing "
                f"by frequency ({unigram:.2f}); usual causes: a learning rate too high or low for the batch, "
                "a warm-up that has not ended, initial weights too small for a small model "
                "(initializer_range), too many layers at the start, a vocabulary that does not fit the text; "
                "see docs/pretraining.md for what helped"
            )
        if order > math.log(2) - 0.01:
            warnings.append(
                f"after {step.number:,} steps the sentence-order loss is {order:.3f}, no better than chance "
                "(0.693); usual causes: documents that are not separated or whose sentences are shuffled "
                "(albert prepare --check), lines that are not sentences, a learning rate too high"
            )
        return warnings
