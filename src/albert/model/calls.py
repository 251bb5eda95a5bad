"""One call of a public model: the caller's padded batch, packed, and what is to be returned for it.

Letters: B sequences, T padded length, N tokens.
"""

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from albert.config import AlbertConfig
from albert.model.inspection import Inspection
from albert.model.outputs import Output
from albert.model.packing import PaddedBatch, PaddedInputs, check_shape

Result = TypeVar("Result", bound=Output)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller wants; None where the configuration decides."""

    hidden_states: bool | None
    attentions: bool | None
    mapping: bool | None
    """Whether the result is a mapping; False for a tuple."""


@dataclass(frozen=True, slots=True)
class Call:
    """A padded batch on its way through a model."""

    batch: PaddedBatch
    """The batch."""
    inspection: Inspection | None
    """What the encoder keeps; None for nothing."""
    mapping: bool
    """Whether the result is a mapping; False for a tuple."""

    @classmethod
    def of(cls, config: AlbertConfig, inputs: PaddedInputs, wanted: Wanted) -> "Call":
        """Pack `inputs`, and settle what `wanted` leaves to the configuration.

        Raises:
            DataError: The inputs do not fit each other.
        """
        batch = PaddedBatch.of(inputs)
        states = config.output_hidden_states if wanted.hidden_states is None else wanted.hidden_states
        attentions = config.output_attentions if wanted.attentions is None else wanted.attentions
        inspection = None
        if states or attentions:
            inspection = Inspection(batch, [] if states else None, [] if attentions else None)
        return cls(batch, inspection, config.return_dict if wanted.mapping is None else wanted.mapping)

    def labels(self, labels: Tensor, name: str = "labels") -> Tensor:
        """Return the labels (N,) of the tokens, of `labels` (B, T).

        Raises:
            DataError: They have another shape.
        """
        check_shape(name, labels, self.batch.shape)
        return labels.flatten()[self.batch.cells]

    def result(self, output: Result) -> Result:
        """Return `output` with what was kept on the way; as a tuple, against its type, if that is wanted."""
        if self.inspection is not None:
            for name in ("hidden_states", "attentions"):
                kept = getattr(self.inspection, name)
                if kept is not None:
                    output[name] = tuple(kept)
        return output if self.mapping else output.to_tuple()  # type: ignore[return-value]  # as documented
