"""`albert bench`: how fast this package is on this machine, beside transformers and beside the floor."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from albert.benchmarks.jobs import JobName, make_job
from albert.benchmarks.machine import all_versions, machine
from albert.benchmarks.memory import peak_memory
from albert.benchmarks.peers import is_installed
from albert.benchmarks.rows import make_rows, report
from albert.benchmarks.timing import Job, time_job
from albert.benchmarks.workload import LengthsName, Workload, precision_of
from albert.console import say
from albert.errors import ConfigError
from albert.model.flops import matrix_peak
from albert.training.runs import settings_as_json
from albert.training.settings import Precision, find_device
from albert.training.speed import apply_switches

SHORTEST_LENGTH = 8
LONGEST_LENGTH = 512
QUICK_ROUNDS = 3
QUICK_BATCH_SIZE = 4
BATCHES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """Measure training, inference, text and optimiser against transformers and a lower bound.

    All take turns in one process, with the same weights and inputs, and are compared before they are timed.
    The floor of a job are its matrix products alone. Without transformers ours is measured alone.
    """

    jobs: tuple[JobName, ...] = get_args(JobName)
    """What is measured."""
    size: str = "base"
    """Size of the model, as of albert pretrain."""
    precision: Precision = "auto"
    """Type of matrix products: bf16 where the device computes it natively (auto)."""
    lengths: LengthsName | Literal["auto"] = "auto"
    """Sequences are full, or as long as GLUE's, SST-2's, SQuAD's; auto: full in pretraining, else GLUE's."""
    max_seq_length: int | Literal["auto"] = "auto"
    """Pieces of the longest sequence; auto: 128, of SQuAD 384."""
    batch_size: int = 8
    """Sequences of a batch."""
    rounds: int = 5
    """Rounds, in each of which everybody runs once; the median is told."""
    compiled: bool = True
    """Whether compiled models take part where shapes repeat; a minute or two each at the start."""
    quick: bool = False
    """Under two minutes: 3 rounds, one batch of 4, nothing compiled, transformers with sdpa and least padding
    alone, memory of pretraining alone."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""
    output: Path | None = None
    """File for the result as JSON."""

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("rounds", 1)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} is {getattr(self, name)}; expected at least {least}")
        if self.max_seq_length != "auto" and not SHORTEST_LENGTH <= self.max_seq_length <= LONGEST_LENGTH:
            raise ConfigError(
                f"--max-seq-length is {self.max_seq_length}; expected {SHORTEST_LENGTH} to {LONGEST_LENGTH}"
            )
        if not self.jobs:
            raise ConfigError(f"--jobs names none; known are {', '.join(get_args(JobName))}")


def bench(settings: BenchSettings) -> dict[str, Any]:
    """Measures all jobs; returns rows with what they depend on, and a `report`.

    Raises:
        ConfigError: There is no such size or device.
        DisagreementError: Two candidates do not compute the same.
    """
    start = time.monotonic()
    settings = _quick(settings) if settings.quick else settings
    if not is_installed():
        say("transformers is not installed: ours is measured alone (pip install transformers)")
    rows: list[dict[str, Any]] = []
    with _temporary_folder() as folder:
        work = make_workload(settings, folder)
        found_machine = machine(work.device)
        peak = matrix_peak(work.device, work.dtype)
        say(f"matrix products reach {peak / 1e9:.4g} GFLOP/s in {work.precision} on {work.device}")
        for name in settings.jobs:
            rows += _measure(name, work, settings, peak=peak)
    result = {
        "command": "bench",
        "settings": settings_as_json(replace(settings, output=None)) | {"precision": work.precision},
        "versions": all_versions(),
        "machine": found_machine,
        "matrix_peak": peak,
        "seconds": round(time.monotonic() - start, 1),
        "rows": rows,
    }
    if settings.output is not None:
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        settings.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return {"report": _report(result), **result}


def make_workload(settings: BenchSettings, folder: Path) -> Workload:
    """Returns what is measured, as the settings ask for it.

    Raises:
        ConfigError: There is no such size or device.
    """
    device = find_device(settings.device)
    work = Workload(
        size=settings.size,
        device=device,
        precision=precision_of(settings.precision, device),
        lengths=settings.lengths,
        max_seq_length=settings.max_seq_length,
        batch_size=settings.batch_size,
        num_batches=1 if settings.quick else BATCHES,
        compiled=settings.compiled and _compiles(device),
        all_peers=not settings.quick,
        folder=folder,
    )
    say(f"{settings.size}: {work.config.hidden_size} wide, {work.config.num_hidden_layers} layers")
    return work


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Gives a folder of this run alone, for compiled code, too: that of earlier runs would hide its cost."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ[name] = str(Path(folder) / "compiled")
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before


def _quick(settings: BenchSettings) -> BenchSettings:
    """Returns the settings of a quick run; what is asked for to be still less, stays."""
    return replace(
        settings,
        rounds=min(settings.rounds, QUICK_ROUNDS),
        batch_size=min(settings.batch_size, QUICK_BATCH_SIZE),
        compiled=False,
    )


def _measure(name: JobName, work: Workload, settings: BenchSettings, *, peak: float) -> list[dict[str, Any]]:
    """Returns the rows of a job."""
    job: Job = make_job(name, work)
    say(f"{job.name}: {'; '.join(candidate.name for candidate in job.candidates)}")
    timings = time_job(job, rounds=settings.rounds, device=work.device)
    weighed = [candidate.name for candidate in job.candidates if candidate.weighed]
    if settings.quick and name != "pretraining":
        weighed = []  # Each costs the start of a process.
    memory = {candidate: peak_memory(work, name, candidate) for candidate in weighed}
    return make_rows(job, timings, peak=peak, memory=memory)


def _compiles(device: torch.device) -> bool:
    """Tells whether torch can compile here, and says so where not."""
    try:
        apply_switches(nn.Linear(1, 1).to(device), compile=True, activation_checkpointing=False, tf32=False)
    except ConfigError as error:
        say(f"nothing compiled takes part: {error}")
        return False
    return True


def _report(result: dict[str, Any]) -> str:
    """Returns the result for people."""
    settings, machine_ = result["settings"], result["machine"]
    place = machine_.get("gpu") or f"{machine_['threads']} threads on {machine_['processor']}"
    return "\n".join(
        [
            f"{settings['size']}, {settings['precision']}, {place}; matrix products reach "
            f"{result['matrix_peak'] / 1e9:.4g} GFLOP/s",
            f"median of {settings['rounds']} rounds; in brackets the least and the greatest ratio",
            "",
            report(result["rows"]),
        ]
    )
