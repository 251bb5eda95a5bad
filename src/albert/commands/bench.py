"""`albert bench`: measure this package, transformers and the lower bound on this machine."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from albert.benchmarks.jobs import make_job
from albert.benchmarks.machine import all_versions, machine
from albert.benchmarks.memory import peak_memory
from albert.benchmarks.peers import is_installed
from albert.benchmarks.rows import make_rows, report
from albert.benchmarks.timing import Job, time_job
from albert.benchmarks.workload import Workload, precision_of
from albert.choices import JobName
from albert.commands.settings.bench import BenchSettings
from albert.console import say
from albert.errors import ConfigError
from albert.model.flops import matrix_peak
from albert.training.devices import find_device
from albert.training.record import settings_as_json
from albert.training.speed import apply_switches

__all__ = ["BenchSettings", "bench"]

QUICK_ROUNDS = 3
QUICK_BATCH_SIZE = 4
BATCHES = 2


def bench(settings: BenchSettings) -> dict[str, Any]:
    """Measure all jobs; return the rows, what they depend on, and a `report` for the terminal.

    Raises:
        ConfigError: The size or the device does not exist.
        DisagreementError: The results of two candidates differ.
    """
    start = time.monotonic()
    settings = _quick(settings) if settings.quick else settings
    if not is_installed():
        say("transformers is not installed, so only albert is measured (pip install transformers)")
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
    """Return the workload of the settings.

    Raises:
        ConfigError: The size or the device does not exist.
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
    """Provide a temporary folder, also for compiled code: a cache of earlier runs would hide its cost."""
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
    """Return the settings of a quick run; smaller values the user gave are kept."""
    return replace(
        settings,
        rounds=min(settings.rounds, QUICK_ROUNDS),
        batch_size=min(settings.batch_size, QUICK_BATCH_SIZE),
        compiled=False,
    )


def _measure(name: JobName, work: Workload, settings: BenchSettings, *, peak: float) -> list[dict[str, Any]]:
    """Return the rows of a job."""
    job: Job = make_job(name, work)
    say(f"{job.name}: {'; '.join(candidate.name for candidate in job.candidates)}")
    timings = time_job(job, rounds=settings.rounds, device=work.device)
    names = [candidate.name for candidate in job.candidates if candidate.measures_memory]
    if settings.quick and name != "pretraining":
        names = []  # Each costs the start of a process.
    memory = {candidate: peak_memory(work, name, candidate) for candidate in names}
    return make_rows(job, timings, peak=peak, memory=memory)


def _compiles(device: torch.device) -> bool:
    """Return whether torch can compile on the device; print why if it cannot."""
    try:
        apply_switches(nn.Linear(1, 1).to(device), compile=True, activation_checkpointing=False, tf32=False)
    except ConfigError as error:
        say(f"compiled models are not measured: {error}")
        return False
    return True


def _report(result: dict[str, Any]) -> str:
    """Return the result as text."""
    settings, machine_ = result["settings"], result["machine"]
    place = machine_.get("gpu") or f"{machine_['threads']} threads on {machine_['processor']}"
    return "\n".join(
        [
            f"{settings['size']}, {settings['precision']}, {place}; matrix products reach "
            f"{result['matrix_peak'] / 1e9:.4g} GFLOP/s",
            f"median of {settings['rounds']} rounds; in brackets the lowest and the highest ratio",
            "",
            report(result["rows"]),
        ]
    )
