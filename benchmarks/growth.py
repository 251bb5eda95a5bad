"""Measure how cost grows with sequence length, with processes, and with the steps of a training.

tokens: time per token of a pretraining step (forward and backward, float32, CPU) with equal tokens per step
and growing lengths; of the whole step, and of everything but attention, where each token reads only its own
value. All lengths run in turns in every round; ratios are of two times of the same round.
examples: speed of making masked examples, by the number of processes (growth_examples.py).
steps: time per token and resident memory (VmRSS of Linux) in the first and the last quarter of a long
training of a small model on examples of mixed lengths, made in the same process.

Each part runs in its own process, with one thread by default, so that CPU time is work and not waiting.
usage: python benchmarks/growth.py [--parts tokens,examples,steps] [--layers 4] [--rounds 5] [--steps 2000]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from growth_examples import measure_examples, prepare_in_own_process
from torch import Tensor

from albert import AlbertConfig, AlbertForPreTraining, console
from albert.benchmarks.memory import resident_megabytes
from albert.benchmarks.text import open_shards
from albert.benchmarks.timing import Candidate, Job, Outcome, Timing, ratio, time_job
from albert.benchmarks.workload import VOCAB_SIZE, make_pretraining_batch
from albert.data.batches import PretrainingBatch
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.data.settings import available_cores
from albert.model import layer
from albert.model.flops import pretraining_flops
from albert.model.packing import round_up_to_bucket
from albert.optim.optimizers import make_optimizer
from albert.pretraining.objective import make_objective
from albert.pretraining.settings import ObjectiveSettings
from albert.training.loop import train
from albert.training.settings import LoopSettings

PARTS = ("tokens", "examples", "steps")
LENGTHS = (64, 128, 256, 512)
DEPTH = (
    "every layer does the same work on the same weights, so depth changes the ratios only through what is "
    "outside the layers and through the last one, which computes only [CLS] and masked tokens after its "
    "attention: with fewer layers attention counts more"
)
STEPS_TEXT = {"megabytes": 2.0, "shard_megabytes": 0.1}
"""Little text in small shards, so that a training passes through many windows of shards."""
STEPS_EXAMPLES = ExampleSettings(max_seq_length=128, short_seq_prob=0.5)
LEARNING_RATE = 1e-3
ROW_SIZES = (
    "how many different numbers of rows, rounded up to a bucket, had occurred at each measurement of memory: "
    "kernels are compiled and kept for each, so memory grows as long as new ones occur"
)
TARGETS = {"but_attention": 0.1, "memory": 0.02}
"""Largest allowed distance from 1 of the ratios to the shortest length, and of the memory ratio."""


def measure_tokens(
    *, size: str, layers: int, lengths: Sequence[int] = LENGTHS, tokens: int, rounds: int
) -> dict[str, Any]:
    """Measure the time per token of steps of `tokens` tokens, by sequence length."""
    shape = AlbertConfig.of_size(size, vocab_size=VOCAB_SIZE)
    config = replace(
        shape, num_hidden_layers=layers, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    torch.manual_seed(0)
    model = AlbertForPreTraining(config).train()
    batches = {length: make_pretraining_batch(np.full(tokens // length, length)) for length in lengths}
    kinds: dict[str, Callable[..., Outcome]] = {"whole_step": run_step, "but_attention": run_but_attention}
    candidates = [
        # `make` returns the run: the outer partial builds it, the inner one calls it.
        Candidate(name=f"{kind} {length}", make=partial(partial, run, model, batch), tolerance=None)
        for kind, run in kinds.items()
        for length, batch in batches.items()
    ]
    timings = time_job(Job(name="tokens", candidates=candidates), rounds=rounds, device=torch.device("cpu"))
    by_kind = {kind: {length: timings[f"{kind} {length}"] for length in lengths} for kind in kinds}
    operations = [
        pretraining_flops(config, batch.lengths, len(batch.masked_positions)) for batch in batches.values()
    ]
    return {
        "job": "forward and backward of pretraining, float32, CPU, no dropout, sequences of equal length",
        "size": size,
        "layers": f"{layers} of {shape.num_hidden_layers}",
        "depth": DEPTH,
        "tokens_a_step": tokens,
        "rounds": rounds,
        "sequences": {length: len(batch) for length, batch in batches.items()},
        "masked_tokens": {length: len(batch.masked_positions) for length, batch in batches.items()},
        "operations_over_shortest": {
            length: count / operations[0] for length, count in zip(lengths, operations, strict=True)
        },
        **{kind: summarize_lengths(found, tokens) for kind, found in by_kind.items()},
        "target_but_attention": TARGETS["but_attention"],
    }


def run_step(model: AlbertForPreTraining, batch: PretrainingBatch) -> Outcome:
    """Run both losses forward and backward; return their sum, (1,)."""
    objective = make_objective(ObjectiveSettings(), model.config)
    counts = objective.counts(batch)
    sums = objective.sums(model, batch)
    loss = torch.stack([part.total / counts[name] for name, part in sums.items()]).sum()
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return np.array([loss.item()])


def run_but_attention(model: AlbertForPreTraining, batch: PretrainingBatch) -> Outcome:
    """Run the same step, but let every token read only its own value."""
    with mock.patch.object(layer, "attend", read_own_value):
        return run_step(model, batch)


def read_own_value(qkv: Tensor, *_: object, **__: object) -> Tensor:
    """Return the values of queries, keys and values, in place of attention."""
    return qkv[:, 2].flatten(1)  # (N, 3, A, D) -> (N, H)


def summarize_lengths(timings: dict[int, Timing], tokens: int) -> dict[str, Any]:
    """Return microseconds per token by length, the ratios to the first length, and how flat they are."""
    first = next(iter(timings.values()))
    found: dict[int, dict[str, Any]] = {
        length: {
            "microseconds_a_token": timing.median_seconds / tokens * 1e6,
            "over_shortest": ratio(timing.seconds, first.seconds),
        }
        for length, timing in timings.items()
    }
    return {
        "lengths": found,
        "furthest_from_flat": max(abs(row["over_shortest"]["median"] - 1) for row in found.values()),
    }


def measure_steps(
    folder: Path, *, size: str, batch_size: int, steps: int, warm_up: int, every: int
) -> dict[str, Any]:
    """Train so many steps and compare the first and the last quarter of those after the warm-up."""
    source = open_shards(prepare_in_own_process(folder, **STEPS_TEXT), STEPS_EXAMPLES)
    torch.manual_seed(0)
    model = AlbertForPreTraining(AlbertConfig.of_size(size, vocab_size=source.vocabulary.size))
    training = train(
        model,
        Examples(source).batches(batch_size),
        make_objective(ObjectiveSettings(), model.config),
        make_optimizer("lamb", model, weight_decay=0.01),
        learning_rate=lambda _: LEARNING_RATE,
        settings=LoopSettings(max_steps=steps, batch_size=batch_size, precision="float32"),
    )
    tokens, wall, cpu, memory = [], [], [], []
    sizes, met = set(), []
    start = time.process_time()
    for step in training:
        end = time.process_time()
        sizes.add(round_up_to_bucket(step.tokens))
        if step.number > warm_up:
            tokens.append(step.tokens)
            wall.append(step.seconds)
            cpu.append(end - start)
            if (step.number - warm_up) % every == 0:
                memory.append(resident_megabytes())
                met.append(len(sizes))
                console.say(f"step {step.number}: {memory[-1]:.1f} MB, loss {step.loss:.3f}")
        start = time.process_time()
    return {
        "job": f"LAMB on examples of up to {STEPS_EXAMPLES.max_seq_length} tokens, float32, CPU",
        "size": size,
        "batch_size": batch_size,
        "steps": steps,
        "warm_up": warm_up,
        "median_milliseconds": median(wall) * 1e3,
        "tokens_a_step": {"median": median(tokens), "min": min(tokens), "max": max(tokens)},
        "cpu_microseconds_a_token": compare_quarters(cpu, tokens),
        "wall_microseconds_a_token": compare_quarters(wall, tokens),
        "memory": {**compare_memory(memory), "target": TARGETS["memory"], "megabytes": memory},
        "row_sizes": {"what": ROW_SIZES, "met": met},
    }


def compare_quarters(seconds: Sequence[float], tokens: Sequence[int]) -> dict[str, float]:
    """Return microseconds per token in the first and the last quarter of the steps, and their ratios.

    The median ignores steps in which a block of examples is made or other work disturbs the machine; the mean
    includes them.
    """
    first, last = (
        {
            "median": median(s / n for s, n in zip(seconds[part], tokens[part], strict=True)) * 1e6,
            "mean": sum(seconds[part]) / sum(tokens[part]) * 1e6,
        }
        for part in quarters(len(seconds))
    )
    return {
        "first_quarter": first["median"],
        "last_quarter": last["median"],
        "last_over_first": last["median"] / first["median"],
        "last_over_first_of_means": last["mean"] / first["mean"],
    }


def compare_memory(megabytes: Sequence[float]) -> dict[str, float]:
    """Return the maximum of the first and of the last quarter of the samples, and their ratio."""
    first, last = (max(megabytes[part]) for part in quarters(len(megabytes)))
    return {"first_quarter": first, "last_quarter": last, "last_over_first": last / first}


def quarters(count: int) -> tuple[slice, slice]:
    """Return the slices of the first and the last quarter of `count` items."""
    size = max(1, count // 4)
    return slice(0, size), slice(count - size, count)


def measure(part: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run one part in this process."""
    torch.set_num_threads(given.threads)
    if part == "tokens":
        return measure_tokens(size=given.size, layers=given.layers, tokens=given.tokens, rounds=given.rounds)
    with tempfile.TemporaryDirectory() as name:
        if part == "examples":
            return measure_examples(
                Path(name),
                processes=range(1, given.processes + 1),
                megabytes=given.megabytes,
                seconds=given.seconds,
                rounds=given.rounds,
            )
        return measure_steps(
            Path(name),
            size=given.steps_size,
            batch_size=given.batch_size,
            steps=given.steps,
            warm_up=given.warm_up,
            every=given.every,
        )


def measure_in_own_process(part: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run one part in its own process."""
    command = [sys.executable, __file__, *arguments, "--parts", part]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure, of " + ",".join(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the parts tokens and examples")
    tokens = parser.add_argument_group("tokens")
    tokens.add_argument("--size", default="base")
    tokens.add_argument("--layers", type=int, default=4)
    tokens.add_argument(
        "--tokens", type=int, default=2048, help=f"tokens per step; a multiple of {LENGTHS[-1]}"
    )
    examples = parser.add_argument_group("examples")
    examples.add_argument(
        "--processes", type=int, default=available_cores(), help="largest number of processes"
    )
    examples.add_argument("--megabytes", type=float, default=48.0, help="amount of text")
    examples.add_argument(
        "--seconds", type=float, default=5.0, help="least seconds of a run with one process"
    )
    steps = parser.add_argument_group("steps")
    steps.add_argument("--steps-size", default="mini")
    steps.add_argument("--batch-size", type=int, default=16)
    steps.add_argument("--steps", type=int, default=2000)
    steps.add_argument("--warm-up", type=int, default=100, help="steps before the measurement")
    steps.add_argument("--every", type=int, default=50, help="steps between two measurements of memory")
    found = parser.parse_args(arguments)
    found.parts = found.parts.split(",")
    if unknown := set(found.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; known are {', '.join(PARTS)}")
    if found.tokens < LENGTHS[-1] or found.tokens % LENGTHS[-1]:
        parser.error(f"--tokens is {found.tokens}; expected a multiple of {LENGTHS[-1]}")
    if found.steps - found.warm_up < 4 * found.every:
        parser.error(
            "--steps leaves fewer than four measurements of memory after --warm-up, one every --every steps"
        )
    return found


def main() -> None:
    """Print the measurements as JSON."""
    given = parse(sys.argv[1:])
    if len(given.parts) > 1:
        results: dict[str, Any] = {}
        for part in given.parts:
            results |= measure_in_own_process(part, sys.argv[1:])
    else:
        results = {given.parts[0]: measure(given.parts[0], given) | {"threads": given.threads}}
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
