"""The settings of `albert fill-mask`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class FillMaskSettings:
    """Predict the masked tokens of a text."""

    text: Positional[Annotated[str, arg(metavar="TEXT")]]
    """A text with [MASK] where a word is missing, once or more."""
    model: str
    """Model folder, Hub id, or anything that `albert convert` takes."""
    depth: int | None = None
    """Layers that are used, from the first on; all if not given. See `albert info` for the depths at which a
    model was trained."""
    top_k: int = 5
    """Number of tokens to show for each mask."""
