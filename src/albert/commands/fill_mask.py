"""`albert fill-mask`: predicts the masked pieces of a text."""

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from albert.inference.pipelines import pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class FillMaskSettings:
    """Predict the masked tokens of a text."""

    text: Positional[Annotated[str, arg(metavar="TEXT")]]
    """A text with [MASK] where a word is missing, once or more."""
    model: str
    """Model folder, Hub id, or anything that `albert convert` takes."""
    top_k: int = 5
    """Fillings to show for each mask."""


def fill_mask(settings: FillMaskSettings) -> list[dict[str, Any]]:
    """Returns the likeliest fillings; with several masks, the rows carry the number of their mask."""
    fillings = pipeline("fill-mask", model=settings.model)(settings.text, top_k=settings.top_k)
    if fillings and isinstance(fillings[0], list):
        return [{"mask": n, **row} for n, rows in enumerate(fillings, 1) for row in rows]
    return fillings
