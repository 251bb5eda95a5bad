"""Answering: many texts at once, and one text after the other.

Ours is what `albert predict` and `albert evaluate` do: groups of similar length, packed. Theirs is what the
pipeline of transformers does with a batch size: batches in the order of the texts, padded to the longest.
Logits are compared. Where a CPU computes in int8, that takes part beside float32. Another way of ours (a
precision, a kernel) is one more candidate in `_ours`, with the tolerance that it needs.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from albert.benchmarks.lower_bound import FLOOR, classifier_products, floor_contender, flops_of
from albert.benchmarks.peers import Peer, find_peers, open_peer
from albert.benchmarks.timing import Candidate, Job, Outcome, Run
from albert.benchmarks.workload import (
    CLASSIFIER,
    Workload,
    in_batches,
    make_features,
    make_lengths,
    pad,
)
from albert.errors import ConfigError
from albert.inference.precision import MAX_DIFFERENCE
from albert.model.linear import Dtype, check_int8
from albert.tasks.catalogue import find_task
from albert.tasks.classification.solver import ClassificationSolver
from albert.tasks.features import TextFeatures
from albert.training.speed import apply_switches

TOLERANCE = 1e-4
"""Of logits in float32."""
# What lets int8 answer a user (inference/precision.py) bounds the probability that moves, on the mean of the
# texts. Two logits that are off by e, each in its direction, move at most e / 2 of it. A single text may be
# twice as far off as the mean may. Random weights were by 0.005 (mini) to 0.036 (xlarge); the answers to
# another text are by 0.16 and more.
INT8_TOLERANCE = 2 * 2 * MAX_DIFFERENCE
"""Of logits in int8."""


def throughput_job(work: Workload) -> Job:
    """Returns the labelling of a file of texts."""
    return _job(work, "inference", at_once=work.batch_size, compiled=False)


def latency_job(work: Workload) -> Job:
    """Returns the labelling of texts that come one by one."""
    return _job(work, "inference, one text at a time", at_once=1, compiled=True)


def _job(work: Workload, name: str, *, at_once: int, compiled: bool) -> Job:
    lengths_name = work.lengths_name("glue")
    count = work.batch_size * work.num_batches
    features = make_features(make_lengths(lengths_name, count, longest=work.longest(lengths_name)))
    batches = in_batches(features, at_once)
    ours = [features] if at_once > 1 else batches
    products = [p for part in ours for p in classifier_products(work.config, part.lengths)]
    candidates = [*_ours(work, ours, compiled=compiled)]
    candidates += [
        Candidate(
            name=peer.name,
            make=partial(_their_run, work, batches, peer),
            tolerance=work.tolerance(TOLERANCE),
            compiled=peer.compiled,
            weighed=at_once > 1 and peer.is_default,
        )
        for peer in find_peers(work, compiled=compiled)
    ]
    candidates.append(floor_contender(work, products, backward=False))
    return Job(
        name=name,
        lengths=lengths_name,
        sequences=count,
        tokens=len(features.input_ids),
        flops=flops_of(products, backward=False),
        candidates=candidates,
        floor=FLOOR,
        unit="text",
        num_units=count,
    )


def _ours(work: Workload, parts: Sequence[TextFeatures], *, compiled: bool) -> Iterator[Candidate]:
    """Yields our ways of answering, the one that a user gets first."""
    for is_compiled in (False, True) if compiled and work.compiled else (False,):
        yield Candidate(
            name="albert, compiled" if is_compiled else "albert",
            make=partial(_our_run, work, parts, compiled=is_compiled),
            tolerance=work.tolerance(TOLERANCE),
            compiled=is_compiled,
            weighed=not compiled,
        )
    if _computes_int8(work):
        yield Candidate(
            name="albert, int8",
            make=partial(_our_run, work, parts, compiled=False, dtype="int8"),
            tolerance=INT8_TOLERANCE,
            weighed=not compiled,
            bounded=False,
            note="peak and floor are those of float32",
        )


def _computes_int8(work: Workload) -> bool:
    """Tells whether int8 takes part: where users have it, and float32 is what it is held against."""
    try:
        check_int8(work.device)
    except ConfigError:
        return False
    return work.precision == "float32"


def _our_run(
    work: Workload, parts: Sequence[TextFeatures], *, compiled: bool, dtype: Dtype | None = None
) -> Run:
    model = work.new_model(CLASSIFIER)
    apply_switches(model, compile=compiled, activation_checkpointing=False, tf32=False)
    solver, task = ClassificationSolver(), find_task("classification")
    if not compiled:
        model.prepare_for_inference(
            dtype or work.precision
        )  # as `albert predict` does; compiled kernels take plain weights

    def run() -> Outcome:
        with work.autocast():
            return _joined([solver.answers(task, model, (), part) for part in parts])

    return run


def _their_run(work: Workload, batches: Sequence[TextFeatures], peer: Peer) -> Run:
    model = open_peer(work, CLASSIFIER, peer).eval()

    @torch.inference_mode()
    def run() -> Outcome:
        with work.autocast():
            return _joined([_their_logits(work, model, batch) for batch in batches])

    return run


def _their_logits(work: Workload, model: Callable[..., Any], batch: TextFeatures) -> Any:
    """Returns logits (B, K)."""
    padded = pad(batch.input_ids, batch.token_type_ids, batch.lengths)
    inputs = {name: tensor.to(work.device) for name, tensor in padded.items()}
    return model(**inputs).logits.float().cpu().numpy()


def _joined(parts: Sequence[Any]) -> Outcome:
    return np.concatenate(parts).astype(np.float64)
