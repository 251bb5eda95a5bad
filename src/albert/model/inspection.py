"""Hidden states and attention probabilities on the way out, on the grid of the caller's batch.

What is returned takes part in the computation: its gradients can be asked for.
Letters: N tokens of the packed batch, B sequences, T padded length, A heads, D size of a head, H hidden size.
"""

from dataclasses import dataclass

from torch import Tensor

from albert.model.attention import attend_visibly
from albert.model.packing import PaddedBatch


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a pass of the encoder is to keep."""

    batch: PaddedBatch
    """The batch that is encoded."""
    hidden_states: list[Tensor] | None
    """Receives the input of the first block and the output of every block, (B, T, H) each."""
    attentions: list[Tensor] | None
    """Receives the attention probabilities of every block, (B, A, T, T) each."""

    def keep_state(self, x: Tensor) -> Tensor:
        """Keep a hidden state (N, H) if it is wanted; return it, to be used from here on."""
        if self.hidden_states is None:
            return x
        grid = self.batch.unpack(x)  # (N, H) -> (B, T, H)
        self.hidden_states.append(grid)
        return self.batch.pack(grid)

    def attend(self, qkv: Tensor, *, dropout_prob: float) -> Tensor:
        """Return the attention's output (N, A * D) for `qkv` (N, 3, A, D), and keep the probabilities."""
        context, probabilities = attend_visibly(qkv, self.batch, dropout_prob=dropout_prob)
        if self.attentions is not None:
            self.attentions.append(probabilities)
        return context
