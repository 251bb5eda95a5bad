"""Measure how many masked examples per second a consumer receives, by the number of processes making them.

All numbers of processes make the same examples and run in turns in every round; ratios are of two times of
the same round. Starting the processes is not counted. A part of growth.py.
"""

import os
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from math import ceil
from multiprocessing import active_children, get_context
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from albert import console
from albert.benchmarks.text import make_shards, make_text, open_shards
from albert.benchmarks.timing import ratio
from albert.data import workers
from albert.data.batches import PretrainingBatch
from albert.data.examples import stream
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples, ExampleSource
from albert.data.settings import available_cores

LENGTHS = (512, 128)
BATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class Run:
    """Times of one run over some batches."""

    seconds: float
    """Wall-clock time."""
    consumer_seconds: float
    """CPU time of the process that receives the batches."""
    processes_seconds: float
    """CPU time of the processes that make them."""
    examples: int
    """Number of examples."""
    tokens: int
    """Number of their tokens."""


def measure_examples(
    folder: Path,
    *,
    lengths: Sequence[int] = LENGTHS,
    processes: Sequence[int],
    megabytes: float,
    seconds: float,
    rounds: int,
) -> dict[str, Any]:
    """Measure the speed of making examples, by maximum length and number of processes (0: this process)."""
    data = prepare_in_own_process(folder, megabytes=megabytes)
    found = {}
    for length in lengths:
        source = open_shards(data, ExampleSettings(max_seq_length=length))
        start = time.perf_counter()
        in_a_pass = sum(1 for _ in Examples(source).one_pass(BATCH_SIZE))
        passes = ceil(seconds / (time.perf_counter() - start))
        console.say(f"examples of {length}: {passes} passes of {in_a_pass} batches")
        found[length] = {
            "passes": passes,
            **compare_processes(source, processes, num_batches=passes * in_a_pass, rounds=rounds),
        }
    return {
        "job": f"masked examples from shards, in batches of {BATCH_SIZE}, received and dropped",
        "cores": available_cores(),
        "megabytes_of_text": megabytes,
        "rounds": rounds,
        "greatest_length": found,
    }


def compare_processes(
    source: ExampleSource, processes: Sequence[int], *, num_batches: int, rounds: int
) -> dict[str, Any]:
    """Time the same batches made by this process and by each number of worker processes."""
    counts = [0, *processes]
    warm_up = 4 * max(counts) * workers.JOBS_UNDER_WAY
    runs: dict[int, list[Run]] = {count: [] for count in counts}
    for number in range(rounds):
        for count in counts[number % len(counts) :] + counts[: number % len(counts)]:
            run = time_batches(source, processes=count, warm_up=warm_up, num_batches=num_batches)
            console.say(f"  {count} processes: {run.tokens / run.seconds:,.0f} tokens/s")
            runs[count].append(run)
    return {
        "examples": runs[0][0].examples,
        "tokens": runs[0][0].tokens,
        "processes": summarize_processes(runs, cores=available_cores()),
    }


def time_batches(source: ExampleSource, *, processes: int, warm_up: int, num_batches: int) -> Run:
    """Time some batches after a warm-up in which all processes start."""
    with closing(make_batches(source, processes=processes)) as batches:
        for _ in islice(batches, warm_up):
            pass
        start, own, theirs = time.perf_counter(), time.process_time(), children_seconds()
        num_examples = num_tokens = 0
        for batch in islice(batches, num_batches):
            num_examples += len(batch)
            num_tokens += batch.input_ids.size
        return Run(
            seconds=time.perf_counter() - start,
            consumer_seconds=time.process_time() - own,
            processes_seconds=children_seconds() - theirs,
            examples=num_examples,
            tokens=num_tokens,
        )


def children_seconds() -> float:
    """Return the CPU seconds of all running child processes."""
    stats = [Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii") for child in active_children()]
    ticks = [field for stat in stats for field in stat.rpartition(")")[2].split()[11:13]]  # user, system
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def make_batches(source: ExampleSource, *, processes: int) -> Generator[PretrainingBatch, None, None]:
    """Yield batches without end, made by `processes` other processes; 0: by this one."""
    # With one worker `map_in_order` stays in this process; here even one worker must be a process.
    with mock.patch.object(stream, "map_in_order", workers._map_in_processes):
        yield from Examples(source, workers=processes).batches(BATCH_SIZE)


def summarize_processes(runs: dict[int, list[Run]], *, cores: int) -> dict[str, dict[str, Any]]:
    """Return the speed for each number of processes, and its ratio to one process in the same round.

    The efficiency is the speed-up divided by the number of processes. The consumer works, too: it cuts text
    into jobs and receives examples. So the speed-up is limited by the cores, which must also run the
    consumer, and by the consumer itself.
    """
    seconds = {count: [run.seconds for run in found] for count, found in runs.items()}
    busy = {
        count: (
            median(run.consumer_seconds / run.seconds for run in found),
            median(run.processes_seconds / run.seconds for run in found),
        )
        for count, found in runs.items()
    }
    summary: dict[str, dict[str, Any]] = {}
    for count, found in runs.items():
        speedup = ratio(seconds[1], seconds[count])
        summary[str(count) if count else "this one"] = {
            "examples_a_second": found[0].examples / median(seconds[count]),
            "tokens_a_second": found[0].tokens / median(seconds[count]),
            "busy_cores": {"consumer": busy[count][0], "processes": busy[count][1]},
            "speed_over_one": speedup,
        }
        if count:
            summary[str(count)] |= {
                "efficiency": speedup["median"] / count,
                "efficiency_at_most": min(count, cores / sum(busy[1]), 1 / busy[1][0]) / count,
            }
    return summary


def prepare_in_own_process(folder: Path, *, megabytes: float, shard_megabytes: float = 4.0) -> Path:
    """Prepare the text in another process, so that its memory does not count here."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(
            prepare_text, folder, megabytes=megabytes, shard_megabytes=shard_megabytes
        ).result()


def prepare_text(folder: Path, *, megabytes: float, shard_megabytes: float) -> Path:
    """Return a folder of token shards of the text of `albert bench`, repeated to `megabytes`."""
    copies = ceil(megabytes * 1e6 / make_text(folder).stat().st_size)
    return make_shards(folder, copies=copies, shard_megabytes=shard_megabytes)
