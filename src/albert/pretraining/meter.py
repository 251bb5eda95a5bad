"""Counts of what a pretraining processes: tokens, masked tokens, and how frequent each of these is."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from albert.config import AlbertConfig
from albert.data.batches import IntArray, PretrainingBatch
from albert.data.examples.stream import Examples, ExampleSource
from albert.model.language_models import AlbertForPreTraining
from albert.optim.optimizers import make_optimizer
from albert.pretraining.objective import PretrainingObjective
from albert.training.loop import Step, train
from albert.training.settings import LoopSettings, OptimizerSettings


@dataclass(kw_only=True)
class Meter:
    """Counts of one process since the last `reset`; frequencies of tokens since the start."""

    config: AlbertConfig
    """Shape of the model that is trained."""
    objective: PretrainingObjective
    """What is minimised."""
    tokens: int = 0
    """Tokens, special ones included."""
    cells: int = 0
    """Tokens there would be if every micro-batch were padded to its longest sequence."""
    flops: int = 0
    """Matrix FLOPs of forward and backward."""
    label_counts: IntArray = field(init=False)
    """How often each token of the vocabulary was masked, (V,)."""

    def __post_init__(self) -> None:
        self.label_counts = np.zeros(self.config.vocab_size, np.int64)

    def counted(self, batches: Iterable[PretrainingBatch]) -> Iterator[PretrainingBatch]:
        """Yield `batches` unchanged, counting them."""
        for batch in batches:
            if len(batch):
                self.tokens += len(batch.input_ids)
                self.cells += len(batch) * int(batch.lengths.max())
                self.flops += self.objective.flops(self.config, batch.lengths, len(batch.masked_positions))
                self.label_counts += np.bincount(batch.masked_labels, minlength=self.config.vocab_size)
            yield batch

    @property
    def padding_share(self) -> float:
        """Share of the cells that padding would take, if batches were padded."""
        return 1 - self.tokens / max(1, self.cells)

    def unigram_entropy(self) -> float:
        """Return the unigram entropy of the masked labels, in nats."""
        shares = self.label_counts[self.label_counts > 0] / max(1, self.label_counts.sum())
        return float(-(shares * np.log(shares)).sum())

    def reset(self) -> None:
        """Set the counts back to 0."""
        self.tokens = self.cells = self.flops = 0


def trial_steps(
    model: AlbertForPreTraining,
    source: ExampleSource,
    objective: PretrainingObjective,
    optimizer: OptimizerSettings,
    loop: LoopSettings,
    *,
    seconds: float,
    warm_up_steps: int,
) -> list[Step]:
    """Return the steps taken within some seconds, at least one, without those of the warm-up.

    The weights of `model` are no longer of use. One process is measured, however many there will be.
    """
    steps: list[Step] = []
    start = time.monotonic()
    for step in train(
        model,
        Examples(source).batches(loop.micro_size),
        objective,
        make_optimizer(optimizer.optimizer, model, weight_decay=0.0),
        learning_rate=lambda _: 1e-5,
        settings=replace(loop, max_steps=1_000_000),
    ):
        if step.number > warm_up_steps:
            steps.append(step)
        if steps and time.monotonic() - start > seconds:
            break
    return steps
