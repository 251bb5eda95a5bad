"""What encoding cuts off, counted, so that no part of a text is lost in silence.

Encoders add to a `Cuts` that their caller gives them, because a stream is encoded in parts; the caller
reports the sum.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Cuts:
    """How many texts were cut to the lengths of a model, out of how many, and the length of the longest."""

    unit: str = "texts"
    """What is counted: texts, pairs, choices, questions or words."""
    limit: int = 0
    """Most tokens that are kept of one, special tokens of its sequence included."""
    total: int = 0
    """Number of them."""
    cut: int = 0
    """Number of them that were cut."""
    longest: int = 0
    """Tokens of the longest before it was cut, counted like `limit`."""
    part: str = ""
    """A shorter limit for a part of them, as it ends the sentence; empty if there is none."""

    def add(
        self,
        lengths: NDArray[np.integer[Any]],
        is_cut: NDArray[np.bool_] | None = None,
        *,
        unit: str,
        limit: int,
        part: str = "",
    ) -> None:
        """Count texts of `lengths` tokens, (B,), of which those longer than `limit`, or `is_cut`, are cut."""
        self.unit, self.limit, self.part = unit, limit, part
        self.total += len(lengths)
        self.cut += int((lengths > limit if is_cut is None else is_cut).sum())
        self.longest = max(self.longest, int(lengths.max(initial=0)))

    def __str__(self) -> str:
        """Return the counts as a sentence."""
        verb = "is" if self.cut == 1 else "are"
        return (
            f"{self.cut:,} of {self.total:,} {self.unit} {verb} cut to {self.limit:,} tokens{self.part}; "
            f"the longest has {self.longest:,}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the counts for a result in JSON."""
        return {name: value for name, value in asdict(self).items() if name != "part"}
