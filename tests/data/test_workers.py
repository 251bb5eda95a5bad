"""Jobs are done in order wherever they run, and no process outlives them."""

import importlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from albert.choices import Workers
from albert.data.workers import JOBS_UNDER_WAY, map_in_order
from albert.errors import ConfigError, DataError

HAS_PROC = Path("/proc/self/stat").exists()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return importlib.import_module("worker_jobs")


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_results_come_in_the_order_of_the_jobs(work: ModuleType, workers: int) -> None:
    sizes = [200_000, 0, 5, 1_000_000, *range(20)]
    results = list(map_in_order(work.make_list, work.fill, sizes, workers=workers))
    assert [len(result) for result in results] == sizes
    assert all(np.array_equal(result, np.arange(len(result))) for result in results)


def test_every_process_makes_its_state_once(work: ModuleType) -> None:
    done = list(map_in_order(work.make_list, work.note, range(40), workers=2))
    processes = {pid for pid, _ in done}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    for process in processes:
        assert [number for pid, number in done if pid == process] == list(
            range(sum(pid == process for pid, _ in done))
        )
    alone = list(map_in_order(work.make_list, work.note, range(3), workers=1))
    assert alone == [(os.getpid(), 0), (os.getpid(), 1), (os.getpid(), 2)]


@pytest.mark.parametrize("workers", [1, 2])
def test_only_a_few_jobs_are_read_ahead(work: ModuleType, workers: int) -> None:
    jobs = count()
    results = map_in_order(work.make_list, work.refuse, (job for job in jobs if job != 3), workers=workers)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 4, 5]
    results.close()
    assert next(jobs) <= 6 + workers * JOBS_UNDER_WAY


@pytest.mark.parametrize("workers", [1, 2])
def test_error_of_a_job_comes_in_its_place(work: ModuleType, workers: int) -> None:
    results = map_in_order(work.make_list, work.refuse, range(9), workers=workers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match=r"^line 3: bad$"):
        next(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_state_that_cannot_be_made_is_an_error(work: ModuleType, workers: int) -> None:
    with pytest.raises(DataError, match="no such tokenizer"):
        list(map_in_order(work.refuse_to_start, work.refuse, range(2), workers=workers))


def test_defect_in_a_process_is_raised_with_its_place(work: ModuleType) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(map_in_order(work.make_list, work.divide, [1, 0], workers=2))
    assert "in divide" in "".join(caught.value.__notes__)


def test_killed_process_is_an_error_with_what_to_do(work: ModuleType) -> None:
    results = map_in_order(work.make_list, work.die, range(9), workers=2)
    with pytest.raises(DataError, match=r"worker process died \(exit code -9\).* fewer --workers"):
        list(results)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_ended(pids: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_running, pids))


@pytest.mark.skipif(not HAS_PROC, reason="looks for processes in /proc")
def test_processes_end_at_once_when_the_results_are_closed(work: ModuleType) -> None:
    results = map_in_order(work.make_list, work.sleep, [0, 0, *[600] * 5], workers=2)
    processes = {next(results), next(results)}
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 10
    assert not any(map(is_running, processes))


ENDLESS_JOB = """
import itertools, multiprocessing, operator
from functools import partial
from albert.data.workers import map_in_order
results = map_in_order(partial(int, 3), operator.pow, itertools.repeat(2), workers=2)
next(results)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
for _ in results:
    pass
"""


@pytest.mark.skipif(not HAS_PROC, reason="looks for processes in /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_their_parent(sent: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS_JOB],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        workers = [int(pid) for pid in job.stdout.readline().split()]
        if sent == signal.SIGINT:  # like a terminal: every process of the group gets it
            os.killpg(job.pid, sent)
        else:
            job.send_signal(sent)
        errors = job.stderr.read()
    assert len(workers) == 2
    assert wait_until_ended(workers)
    # Only the parent reports an interrupt.
    assert errors.count("Traceback") == (1 if sent == signal.SIGINT else 0)


def test_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    workers: Workers = "ray"
    with pytest.raises(ConfigError, match=r"pip install 'albert-lm\[ray\]'"):
        list(map_in_order(partial(int, 3), pow, [1], workers=workers))
