"""The jobs of `albert bench` by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from albert.benchmarks.inference import latency_job, throughput_job
from albert.benchmarks.optimizing import optimizer_job
from albert.benchmarks.text import examples_job, tokenization_job
from albert.benchmarks.timing import Job
from albert.benchmarks.training import finetuning_job, pretraining_job
from albert.benchmarks.workload import Workload

_JOBS: Mapping[str, Callable[[Workload], Job]] = MappingProxyType(
    {
        "pretraining": pretraining_job,
        "finetuning": finetuning_job,
        "inference": throughput_job,
        "latency": latency_job,
        "examples": examples_job,
        "tokenization": tokenization_job,
        "optimizer": optimizer_job,
    }
)


def make_job(name: str, work: Workload) -> Job:
    """Return the job called `name`; the files it reads are made if they are missing."""
    return _JOBS[name](work)
