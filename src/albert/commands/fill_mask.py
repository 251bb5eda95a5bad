"""`albert fill-mask`: predict the masked tokens of a text."""

from albert.commands.following import finetuning
from albert.commands.settings.fill_mask import FillMaskSettings
from albert.console import Rows
from albert.inference.pipelines import pipeline

__all__ = ["FillMaskSettings", "fill_mask"]


def fill_mask(settings: FillMaskSettings) -> Rows:
    """Return the most probable tokens; with several masks, each row has the number of its mask."""
    fillings = pipeline("fill-mask", model=settings.model, depth=settings.depth)(
        settings.text, top_k=settings.top_k
    )
    if fillings and isinstance(fillings[0], list):
        fillings = [{"mask": n, **row} for n, rows in enumerate(fillings, 1) for row in rows]
    return Rows(fillings, next=finetuning(settings.model))
