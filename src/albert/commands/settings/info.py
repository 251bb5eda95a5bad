"""The settings of `albert info`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoSettings:
    """Show shape, parameters and tokenizer of a model of any form."""

    model: Positional[Annotated[str, arg(metavar="MODEL")]]
    """Model folder, or any other form that `albert convert` takes."""
