"""How often a run passes over its data, and how many steps make sense for them.

BERT's pretraining was about 40 passes (Devlin et al. 2019, appendix A.2), and the original masks a text in 40
ways. Published recipes go somewhat beyond; several times as many passes learn the training text by heart.
"""

from albert.training.settings import LoopSettings

SENSIBLE_PASSES = 40
MOST_PASSES = 100
"""Passes above which a run is warned of."""


def warning_of_passes(loop: LoopSettings, examples_per_epoch: int) -> str | None:
    """Return a warning with the steps that make sense, if the run passes over its data far too often."""
    passes = loop.max_steps * loop.batch_size / max(1, examples_per_epoch)
    if passes <= MOST_PASSES:
        return None
    steps = max(1, round(SENSIBLE_PASSES * examples_per_epoch / loop.batch_size))
    return (
        f"--max-steps {loop.max_steps} at --batch-size {loop.batch_size} is {passes:,.0f} passes over the "
        f"{examples_per_epoch:,} examples of these data, which will be learnt by heart; --max-steps {steps} "
        f"is {SENSIBLE_PASSES} passes, as many as BERT's; more text is better than more passes"
    )
