"""Whole training steps of pretraining and fine-tuning, from the examples to the updated weights.

Our steps are those of `albert pretrain` and `albert finetune`: the loop, packed examples, LAMB or the
original's AdamW. Theirs do what the Trainer of transformers does: pad to the longest sequence of the batch,
the model's own loss, clipping, torch's fused AdamW. For fine-tuning, one more candidate pads every batch to
the full length, the default of their GLUE example. We compare losses and gradient norms of a first run with
learning rate 0.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from albert.benchmarks.lower_bound import (
    LOWER_BOUND,
    Product,
    classifier_products,
    flops_of,
    lower_bound_candidate,
    pretraining_products,
)
from albert.benchmarks.peers import Peer, find_peers, open_peer
from albert.benchmarks.timing import Candidate, Job, Outcome, Run
from albert.benchmarks.workload import (
    CLASSIFIER,
    PRETRAINING,
    Workload,
    in_batches,
    make_features,
    make_lengths,
    make_pretraining_batch,
    pad_classification,
    pad_pretraining,
)
from albert.model.pretrained import Pretrained
from albert.optim.optimizers import make_optimizer
from albert.pretraining.objective import make_objective
from albert.pretraining.settings import ObjectiveSettings
from albert.tasks.classification.solver import ClassificationObjective
from albert.training.loop import train
from albert.training.speed import apply_switches

LEARNING_RATE = 1e-5
WEIGHT_DECAY = 0.01
MAX_GRAD_NORM = 1.0
TOLERANCE = 1e-3
"""Of losses and gradient norms in float32."""


class Training(NamedTuple):
    """The model, the data and the optimiser of a training job."""

    model_class: type[Pretrained]
    """Our class; transformers has one with the same name."""
    batches: Sequence[Any]
    """Packed examples of one run."""
    objective: Any
    """Our objective."""
    optimizer: Literal["lamb", "adamw"]
    """Our optimiser."""
    pad: Callable[..., dict[str, Tensor]]
    """Turns a packed batch into a padded one, to its longest sequence or to `length`."""


def pretraining_job(work: Workload) -> Job:
    """Return the job: one pretraining step on one batch."""
    name = work.lengths_name("full")
    lengths = make_lengths(name, work.batch_size, longest=work.longest(name))
    batch = make_pretraining_batch(lengths)
    training = Training(
        PRETRAINING, [batch], make_objective(ObjectiveSettings(), work.config), "lamb", pad_pretraining
    )
    products = list(pretraining_products(work.config, lengths, len(batch.masked_positions)))
    return _job(work, "pretraining step", training, products, lengths=name, compiled=True)


def finetuning_job(work: Workload) -> Job:
    """Return the job: one epoch of a small task. Its batches differ in shape, so nothing is compiled."""
    name = work.lengths_name("glue")
    longest = work.longest(name)
    lengths = make_lengths(name, work.batch_size * work.num_batches, longest=longest)
    batches = in_batches(make_features(lengths), work.batch_size)
    objective = ClassificationObjective()
    training = Training(CLASSIFIER, batches, objective, "adamw", pad_classification)
    products = [p for batch in batches for p in classifier_products(work.config, batch.lengths)]
    return _job(
        work, "fine-tuning steps", training, products, lengths=name, compiled=False, full_length=longest
    )


def _job(
    work: Workload,
    name: str,
    training: Training,
    products: Sequence[Product],
    *,
    lengths: str,
    compiled: bool,
    full_length: int | None = None,
) -> Job:
    tolerance = work.tolerance(TOLERANCE)
    ours = [False, True] if compiled and work.compiled else [False]
    candidates = [
        Candidate(
            name="albert, compiled" if is_compiled else "albert",
            make=partial(_our_run, work, training, compiled=is_compiled),
            tolerance=tolerance,
            compiled=is_compiled,
            measures_memory=not is_compiled,
        )
        for is_compiled in ours
    ]
    candidates += [
        Candidate(
            name=peer.name,
            make=partial(_their_run, work, training, peer),
            tolerance=tolerance,
            compiled=peer.compiled,
            measures_memory=peer.is_default,
        )
        for peer in find_peers(work, compiled=compiled, full_length=full_length)
    ]
    candidates.append(lower_bound_candidate(work, products, backward=True))
    return Job(
        name=name,
        lengths=lengths,
        sequences=sum(map(len, training.batches)),
        tokens=sum(batch.input_ids.size for batch in training.batches),
        flops=flops_of(products, backward=True),
        candidates=candidates,
        lower_bound=LOWER_BOUND,
        unit="step",
        num_units=len(training.batches),
    )


def _our_run(work: Workload, training: Training, *, compiled: bool) -> Run:
    model = work.new_model(training.model_class)
    apply_switches(model, compile=compiled, activation_checkpointing=False, tf32=False)
    count = len(training.batches)
    steps = train(
        model,
        cycle(training.batches),
        training.objective,
        make_optimizer(training.optimizer, model, weight_decay=WEIGHT_DECAY),
        learning_rate=lambda step: _rate(step, count),
        settings=work.loop,
        max_grad_norm=MAX_GRAD_NORM,
    )
    return lambda: _outcome(((step.loss, step.grad_norm) for step in steps), count)


def _their_run(work: Workload, training: Training, peer: Peer) -> Run:
    model = open_peer(work, training.model_class, peer)
    if peer.padded_to is not None:
        training = training._replace(pad=partial(training.pad, length=peer.padded_to))
    steps = _their_steps(work, training, model)
    return lambda: _outcome(steps, len(training.batches))


def _their_steps(work: Workload, training: Training, model: Any) -> Iterator[tuple[float, float]]:
    """Yield loss and gradient norm of each step."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    for number, batch in enumerate(cycle(training.batches)):
        inputs = {name: tensor.to(work.device) for name, tensor in training.pad(batch).items()}
        with work.autocast():
            loss = model(**inputs).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
        for group in optimizer.param_groups:
            group["lr"] = _rate(number, len(training.batches))
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item(), norm.item()


def _rate(step: int, steps_per_run: int) -> float:
    """Return the learning rate of a step: 0 in the first run, which is compared."""
    return 0.0 if step < steps_per_run else LEARNING_RATE


def _outcome(steps: Iterator[tuple[float, float]], count: int) -> Outcome:
    """Run `count` steps; return their losses and gradient norms, (count, 2)."""
    return np.array(list(islice(steps, count)), np.float64)
