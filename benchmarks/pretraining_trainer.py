"""Whole training steps against transformers trained the usual way: same weights, same examples, interleaved.

Ours is `albert.training.loop.train` with LAMB on packed examples. Theirs is what the Trainer of transformers
runs in a step, written out: a collator that pads to the longest of the batch, AlbertForPreTraining (sdpa),
loss, clipping, torch's AdamW. The first losses are compared before anything is timed. Lengths are full, or
a quarter of the sequences is shorter than half and the rest full (`mixed`) or between both (`spread`).
Peak memory is that of a process of its own (VmHWM) above what it held before its first step.
usage: python benchmarks/pretraining_trainer.py [--size base] [--batch-size 8] [--length 128] [--rounds 7]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from albert import AlbertConfig, AlbertForPreTraining
from albert.data.batches import PretrainingBatch
from albert.optim.optimizers import make_optimizer
from albert.recipes.pretraining_objective import PretrainingObjective
from albert.training.loop import train
from albert.training.settings import LoopSettings

CASES = (
    ("float32", "full"),
    ("bf16", "full"),
    ("float32", "mixed"),
    ("bf16", "mixed"),
    ("float32", "spread"),
)
TOLERANCE = {"float32": 1e-3, "bf16": 0.1}
MASKED_SHARE = 0.15
LEARNING_RATE = 1e-5


def make_batch(lengths: list[int]) -> PretrainingBatch:
    """Returns random examples of two segments, 15 % of the pieces hidden."""
    random = np.random.default_rng(0)
    count = sum(lengths)
    starts = np.cumsum([0, *lengths[:-1]])
    positions = [
        start + np.sort(random.permutation(length - 2)[: max(1, int(length * MASKED_SHARE))] + 1)
        for start, length in zip(starts, lengths, strict=True)
    ]
    return PretrainingBatch(
        input_ids=random.integers(5, 30000, count),
        token_type_ids=np.concatenate([np.arange(length) // (length // 2 + 1) for length in lengths]),
        lengths=np.array(lengths),
        masked_positions=np.concatenate(positions),
        masked_labels=random.integers(5, 30000, sum(map(len, positions))),
        sentence_order_labels=np.arange(len(lengths)) % 2,
        word_starts=np.ones(count, dtype=np.bool_),
    )


def make_lengths(kind: str, *, batch_size: int, length: int) -> list[int]:
    """Returns the lengths of a batch; see the head of this file."""
    if kind == "full":
        return [length] * batch_size
    random = np.random.default_rng(1)
    short = batch_size // 4
    rest = [length] * (batch_size - short)
    if kind == "spread":
        rest = [*random.integers(length // 2, length, len(rest) - 1), length]
    return [int(n) for n in [*random.integers(length // 8, length // 2, short), *rest]]


def collate(batch: PretrainingBatch) -> dict[str, Tensor]:
    """Returns the examples padded to the longest, labels of -100 where nothing is hidden."""
    mask = np.arange(batch.lengths.max()) < batch.lengths[:, None]
    labels = np.full(len(batch.input_ids), -100)
    labels[batch.masked_positions] = batch.masked_labels
    fields = {
        "input_ids": (batch.input_ids, 0),
        "token_type_ids": (batch.token_type_ids, 0),
        "labels": (labels, -100),
    }
    padded = {name: np.full(mask.shape, filling) for name, (_, filling) in fields.items()}
    for name, (values, _) in fields.items():
        padded[name][mask] = values
    tensors = {name: torch.from_numpy(values) for name, values in padded.items()}
    order = torch.from_numpy(batch.sentence_order_labels)
    return {**tensors, "attention_mask": torch.from_numpy(mask).long(), "sentence_order_label": order}


def our_steps(model: AlbertForPreTraining, batch: PretrainingBatch, *, precision: Any) -> Iterator[float]:
    """Yields the loss of step after step."""
    steps = train(
        model,
        repeat(batch),
        PretrainingObjective(),
        make_optimizer("lamb", model, weight_decay=0.01),
        learning_rate=lambda _: LEARNING_RATE,
        settings=LoopSettings(max_steps=10**9, batch_size=len(batch), precision=precision),
    )
    return (step.loss for step in steps)


def their_steps(model: Any, batch: PretrainingBatch, *, precision: str) -> Iterator[float]:
    """Yields the loss of step after step."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    while True:
        inputs = collate(batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def make_steps(name: str, size: str, batch: PretrainingBatch, precision: str) -> Iterator[float]:
    """Returns the steps of `albert` or `transformers`, from the same weights."""
    torch.manual_seed(0)
    model = AlbertForPreTraining(AlbertConfig.of_size(size, vocab_size=30000))
    if name == "albert":
        return our_steps(model, batch, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        theirs = transformers.AlbertForPreTraining.from_pretrained(folder)
    assert theirs.config._attn_implementation == "sdpa"
    theirs.sop_classifier.dropout.p = 0.0  # The original has no dropout there; without it losses compare.
    return their_steps(theirs, batch, precision=precision)


def compare(size: str, lengths: list[int], *, precision: str, rounds: int) -> dict[str, Any]:
    """Returns median seconds of a step of both, and their ratio pair by pair."""
    batch = make_batch(lengths)
    steps = {name: make_steps(name, size, batch, precision) for name in ("albert", "transformers")}
    losses = {name: next(step) for name, step in steps.items()}
    assert abs(losses["albert"] - losses["transformers"]) < TOLERANCE[precision], losses
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            taken = timed(lambda step=step: next(step))
            if number:
                seconds[name].append(taken)
    ratios = [mine / other for mine, other in zip(*seconds.values(), strict=True)]
    return {
        "real tokens": sum(lengths) / (len(lengths) * max(lengths)),
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
    }


def loop_share(size: str, lengths: list[int], *, rounds: int) -> float:
    """Returns which share of our step is neither forward, backward nor the optimiser's step, the median."""
    spent = 0.0

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal spent
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent += time.perf_counter() - start

        return call

    model = AlbertForPreTraining(AlbertConfig.of_size(size, vocab_size=30000))
    objective = PretrainingObjective()
    optimizer = make_optimizer("lamb", model, weight_decay=0.01)
    objective.sums = watched(objective.sums)  # type: ignore[method-assign]
    optimizer.step = watched(optimizer.step)  # type: ignore[method-assign]
    backward, Tensor.backward = Tensor.backward, watched(Tensor.backward)  # type: ignore[method-assign]
    shares = []
    steps = train(
        model,
        repeat(make_batch(lengths)),
        objective,
        optimizer,
        learning_rate=lambda _: LEARNING_RATE,
        settings=LoopSettings(max_steps=rounds + 1, batch_size=len(lengths), precision="float32"),
    )
    for step in steps:
        shares.append(1 - spent / step.seconds)
        spent = 0.0
    Tensor.backward = backward  # type: ignore[method-assign]
    return statistics.median(shares[1:])


def peak_memory(name: str, size: str, lengths: list[int]) -> None:
    """Prints the peak of two training steps in this process, in MB: in all, and above the start."""
    steps = make_steps(name, size, make_batch(lengths), "float32")
    before = status("VmRSS")
    next(steps)
    next(steps)
    print(json.dumps({"peak_mb": status("VmHWM"), "above_start_mb": status("VmHWM") - before}))


def status(field: str) -> float:
    """Returns a size that Linux tells of this process, in MB of 2^20 bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0]) / 1024


def timed(call: Callable[[], object]) -> float:
    """Returns the wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Prints the measurements as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="base")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-of", choices=("albert", "transformers"))
    arguments = parser.parse_args()
    shape = {"batch_size": arguments.batch_size, "length": arguments.length}
    full = make_lengths("full", **shape)
    if arguments.memory_of:
        peak_memory(arguments.memory_of, arguments.size, full)
        return
    memory = {}
    for name in ("albert", "transformers"):
        command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name]
        memory[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    times = {
        f"{precision}, {kind}": compare(
            arguments.size, make_lengths(kind, **shape), precision=precision, rounds=arguments.rounds
        )
        for precision, kind in CASES
    }
    result = {
        "job": "training step, CPU: albert's loop with LAMB, transformers padded to the longest with AdamW",
        "size": arguments.size,
        **shape,
        "threads": torch.get_num_threads(),
        "rounds": arguments.rounds,
        "times": times,
        "memory, float32, full": memory
        | {
            f"ratio of {key}": memory["albert"][key] / memory["transformers"][key]
            for key in ("peak_mb", "above_start_mb")
        },
        "share of a step outside forward, backward and optimiser": loop_share(
            arguments.size, full, rounds=arguments.rounds
        ),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
