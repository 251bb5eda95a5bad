"""Peak memory of a candidate, measured in its own process.

On a CPU this is the peak resident set size that Linux keeps (VmHWM), on a GPU what torch had allocated: in
total, and above what was in use before the first run, when the model was loaded already.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import torch

from albert.benchmarks.jobs import make_job
from albert.benchmarks.workload import Workload

RUNS = 2
"""An optimiser creates its moments in the first step, so the second step is the peak."""


def peak_memory(work: Workload, job: str, candidate: str) -> dict[str, float] | None:
    """Return `peak_mb` and `above_start_mb`, in units of 2^20 bytes; None if the system does not report them.

    Args:
        work: What is measured.
        job: Name of the job, as in `jobs`.
        candidate: Name of the candidate.
    """
    if work.device.type == "cpu" and not Path("/proc/self/status").exists():
        return None
    # A new interpreter, not a fork: a fork would inherit the peak of this process.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, work, job, candidate, torch.get_num_threads()).result()


def _measure(work: Workload, job: str, name: str, num_threads: int) -> dict[str, float]:
    torch.set_num_threads(num_threads)
    candidate = next(each for each in make_job(job, work).candidates if each.name == name)
    run = candidate.make()
    start = _held(work.device)
    for _ in range(RUNS):
        run()
    peak = _peak(work.device)
    return {"peak_mb": round(peak, 1), "above_start_mb": round(peak - start, 1)}


def _held(device: torch.device) -> float:
    return (
        torch.cuda.memory_allocated(device) / 2**20 if device.type == "cuda" else resident_megabytes("VmRSS")
    )


def _peak(device: torch.device) -> float:
    return (
        torch.cuda.max_memory_allocated(device) / 2**20
        if device.type == "cuda"
        else resident_megabytes("VmHWM")
    )


def resident_megabytes(field: Literal["VmRSS", "VmHWM"] = "VmRSS") -> float:
    """Return the resident set size of this process on Linux, or its peak, in MB of 2^20 bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0]) / 1024
