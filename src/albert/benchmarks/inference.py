"""Classification: many texts at once (throughput), and one text at a time (latency).

Our candidate does what `albert predict` and `albert evaluate` do: it packs groups of similar length. Theirs
does what the pipeline of transformers does with a batch size: it takes the texts in their order and pads each
batch to its longest text. The logits are compared. On CPUs with int8, an int8 candidate is added. To measure
another variant of ours (a precision, a kernel), add a candidate to `_our_candidates` with the tolerance it
needs.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from albert.benchmarks.lower_bound import LOWER_BOUND, classifier_products, flops_of, lower_bound_candidate
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
from albert.choices import Dtype
from albert.errors import ConfigError
from albert.inference.precision import MAX_DIFFERENCE
from albert.model.linear import check_int8
from albert.tasks.catalogue import find_task
from albert.tasks.classification.solver import ClassificationSolver
from albert.tasks.features import TextFeatures
from albert.training.speed import apply_switches

TOLERANCE = 1e-4
"""Of logits in float32."""
# The check of int8 (inference/precision.py) bounds how much probability moves, averaged over the texts. If
# two logits are off by e in opposite directions, at most e / 2 of the probability moves. A single text may be
# off by twice the mean. Measured with random weights: 0.005 (mini) to 0.036 (xlarge); the logits of a
# different text differ by 0.16 and more.
INT8_TOLERANCE = 2 * 2 * MAX_DIFFERENCE
"""Of logits in int8."""


def throughput_job(work: Workload) -> Job:
    """Return the job that classifies a file of texts in batches."""
    return _job(work, "inference", at_once=work.batch_size, compiled=False)


def latency_job(work: Workload) -> Job:
    """Return the job that classifies texts one at a time."""
    return _job(work, "inference, one text at a time", at_once=1, compiled=True)


def _job(work: Workload, name: str, *, at_once: int, compiled: bool) -> Job:
    lengths_name = work.lengths_name("glue")
    count = work.batch_size * work.num_batches
    features = make_features(make_lengths(lengths_name, count, longest=work.longest(lengths_name)))
    batches = in_batches(features, at_once)
    ours = [features] if at_once > 1 else batches
    products = [p for part in ours for p in classifier_products(work.config, part.lengths)]
    candidates = [*_our_candidates(work, ours, compiled=compiled)]
    candidates += [
        Candidate(
            name=peer.name,
            make=partial(_their_run, work, batches, peer),
            tolerance=work.tolerance(TOLERANCE),
            compiled=peer.compiled,
            measures_memory=at_once > 1 and peer.is_default,
        )
        for peer in find_peers(work, compiled=compiled)
    ]
    candidates.append(lower_bound_candidate(work, products, backward=False))
    return Job(
        name=name,
        lengths=lengths_name,
        sequences=count,
        tokens=len(features.input_ids),
        flops=flops_of(products, backward=False),
        candidates=candidates,
        lower_bound=LOWER_BOUND,
        unit="text",
        num_units=count,
    )


def _our_candidates(work: Workload, parts: Sequence[TextFeatures], *, compiled: bool) -> Iterator[Candidate]:
    """Yield our candidates; the first is what a user gets by default."""
    for is_compiled in (False, True) if compiled and work.compiled else (False,):
        yield Candidate(
            name="albert, compiled" if is_compiled else "albert",
            make=partial(_our_run, work, parts, compiled=is_compiled),
            tolerance=work.tolerance(TOLERANCE),
            compiled=is_compiled,
            measures_memory=not compiled,
        )
    if _computes_int8(work):
        yield Candidate(
            name="albert, int8",
            make=partial(_our_run, work, parts, compiled=False, dtype="int8"),
            tolerance=INT8_TOLERANCE,
            measures_memory=not compiled,
            bounded=False,
            note="peak and lower bound are those of float32",
        )


def _computes_int8(work: Workload) -> bool:
    """Return whether to measure int8: the device supports it, and the reference is float32."""
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
            return _joined([solver.predict(task, model, (), part) for part in parts])

    return run


def _their_run(work: Workload, batches: Sequence[TextFeatures], peer: Peer) -> Run:
    model = open_peer(work, CLASSIFIER, peer).eval()

    @torch.inference_mode()
    def run() -> Outcome:
        with work.autocast():
            return _joined([_their_logits(work, model, batch) for batch in batches])

    return run


def _their_logits(work: Workload, model: Callable[..., Any], batch: TextFeatures) -> Any:
    """Return logits (B, K)."""
    padded = pad(batch.input_ids, batch.token_type_ids, batch.lengths)
    inputs = {name: tensor.to(work.device) for name, tensor in padded.items()}
    return model(**inputs).logits.float().cpu().numpy()


def _joined(parts: Sequence[Any]) -> Outcome:
    return np.concatenate(parts).astype(np.float64)
