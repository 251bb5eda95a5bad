"""Counts what goes through a pretraining: lengths, hidden pieces, and how frequent each of them is."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from albert.config import AlbertConfig
from albert.data.batches import IntArray, PretrainingBatch
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.model.flops import pretraining_flops
from albert.model.pretrained import AlbertForPreTraining
from albert.optim.optimizers import make_optimizer
from albert.pretraining.data import PretrainingData
from albert.pretraining.objective import PretrainingObjective
from albert.training.loop import Step, train
from albert.training.settings import LoopSettings, OptimizerSettings


@dataclass(kw_only=True)
class Meter:
    """Counts of one process since the last `reset`; the frequencies of pieces since the start."""

    config: AlbertConfig
    """Of the model that is trained."""
    tokens: int = 0
    """Pieces, special ones included."""
    cells: int = 0
    """Pieces there would be if every micro-batch were padded to its longest sequence."""
    flops: int = 0
    """Operations in the matrix products of forward and backward."""
    label_counts: IntArray = field(init=False)
    """(V,) how often each piece was hidden."""

    def __post_init__(self) -> None:
        self.label_counts = np.zeros(self.config.vocab_size, np.int64)

    def counted(self, batches: Iterable[PretrainingBatch]) -> Iterator[PretrainingBatch]:
        """Pass batches on and counts them."""
        for batch in batches:
            if len(batch):
                self.tokens += len(batch.input_ids)
                self.cells += len(batch) * int(batch.lengths.max())
                self.flops += pretraining_flops(self.config, batch.lengths, len(batch.masked_positions))
                self.label_counts += np.bincount(batch.masked_labels, minlength=self.config.vocab_size)
            yield batch

    @property
    def padding_share(self) -> float:
        """Share of the work that padding would be, and is not here."""
        return 1 - self.tokens / max(1, self.cells)

    def unigram_entropy(self) -> float:
        """Return the masked LM loss, in nats, of who knows how frequent each piece is, and nothing else."""
        shares = self.label_counts[self.label_counts > 0] / max(1, self.label_counts.sum())
        return float(-(shares * np.log(shares)).sum())

    def reset(self) -> None:
        """Begin to count anew."""
        self.tokens = self.cells = self.flops = 0


def trial_steps(
    model: AlbertForPreTraining,
    data: PretrainingData,
    examples: ExampleSettings,
    optimizer: OptimizerSettings,
    loop: LoopSettings,
    *,
    seconds: float,
    warm_up_steps: int,
) -> list[Step]:
    """Return the steps taken within some seconds, at least one, those of the warm-up left out.

    The weights of `model` are spoiled. What is measured is one process, whatever their number will be.
    """
    source = data.train(examples, seed=0)
    steps: list[Step] = []
    start = time.monotonic()
    for step in train(
        model,
        Examples(source).batches(loop.micro_size),
        PretrainingObjective(),
        make_optimizer(optimizer.optimizer, model, weight_decay=0.0),
        learning_rate=lambda _: 1e-5,
        settings=replace(loop, max_steps=1_000_000),
    ):
        if step.number > warm_up_steps:
            steps.append(step)
        if steps and time.monotonic() - start > seconds:
            break
    return steps
