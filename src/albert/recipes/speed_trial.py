"""A few real steps of pretraining on a throwaway model, to know how long many of them will take."""

import time
from dataclasses import replace

from albert.checkpoint.pretrained import AlbertForPreTraining
from albert.data.example_settings import ExampleSettings
from albert.data.examples import Examples
from albert.optim.optimizers import make_optimizer
from albert.recipes.pretraining_data import PretrainingData
from albert.recipes.pretraining_objective import PretrainingObjective
from albert.training.loop import Step, train
from albert.training.settings import LoopSettings, OptimizerSettings


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
    """Returns the steps taken within some seconds, at least one, those of the warm-up left out.

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
