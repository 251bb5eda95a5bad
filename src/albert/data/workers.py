"""Maps a function over jobs, in this process, in several, or on a Ray cluster, always in the jobs' order.

Stands below everything that is made in parallel; knows nothing of text. Only a few jobs are under way at a
time, so memory does not grow with their number, and results do not depend on where they were made.
"""

import os
import pickle
import queue
import signal
import socket
import sys
import threading
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any, Literal, TypeVar

from albert.errors import AlbertError, ConfigError, DataError

Workers = int | Literal["ray"]
"""Where jobs run: up to 1 in this process, more are so many processes, "ray" is a cluster."""

State = TypeVar("State")
Job = TypeVar("Job")
Result = TypeVar("Result")

JOBS_UNDER_WAY = 2
"""Jobs waiting, in work or done but not taken, for each process; enough that none idles."""


def map_in_order(
    make_state: Callable[[], State],
    function: Callable[[State, Job], Result],
    jobs: Iterable[Job],
    *,
    workers: Workers,
) -> Generator[Result, None, None]:
    """Yields `function(state, job)` of every job, in order.

    `jobs` is read by this process, a bounded number ahead. Processes start at the first `next` and are
    killed when the iterator is closed, is done, or this process ends in whatever way.

    Args:
        make_state: Makes what the function needs beside a job, once in each process; can be pickled, as
            `functools.partial` of a function of a module.
        function: A function of a module; on Ray it may run more than once for a job.
        jobs: Can be pickled, and so can the results.
        workers: Processes to start; up to 1 all is done in this one; "ray" runs on the cluster that
            RAY_ADDRESS names, or on one that it starts on this machine.

    Raises:
        DataError: A process died, or the cluster failed.
        ConfigError: Ray is not installed, or its cluster does not answer.
    """
    if workers == "ray":
        return _map_on_ray(make_state, function, jobs)
    if workers > 1:
        return _map_in_processes(make_state, function, jobs, workers)
    return _map_here(make_state, function, jobs)


def _map_here(
    make_state: Callable[[], State], function: Callable[[State, Job], Result], jobs: Iterable[Job]
) -> Generator[Result, None, None]:
    state = make_state()
    for job in jobs:
        yield function(state, job)


def _map_in_processes(
    make_state: Callable[[], State],
    function: Callable[[State, Job], Result],
    jobs: Iterable[Job],
    workers: int,
) -> Generator[Result, None, None]:
    """A thread for each process waits for its results, so that none idles while the caller is busy.

    The standard pool of processes shares one pipe among them: it hangs for ever when a process is killed in
    the middle of a large result, and cannot end processes at once.
    """
    processes: list[_Process] = []
    idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()

    def call(job: Job) -> Result:
        process = idle.get()
        try:
            return process.call(job)
        finally:
            idle.put(process)

    waiting: deque[Future[Result]] = deque()
    threads = ThreadPoolExecutor(workers)
    try:
        with _interrupts_held_back():
            for _ in range(workers):
                processes.append(_Process(make_state, function))
                idle.put(processes[-1])
        for job in jobs:
            waiting.append(threads.submit(call, job))
            if len(waiting) >= workers * JOBS_UNDER_WAY:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        for process in processes:
            process.kill()
        threads.shutdown()
        for process in processes:
            process.close()


class _Process:
    """A spawned process and the pipe to it. Forking one that runs threads (Arrow's) can deadlock."""

    def __init__(self, make_state: Callable[[], Any], function: Callable[[Any, Any], Any]) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make_state, function), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, job: Any) -> Any:
        try:
            _send(self._connection, job)
            result, error = _receive(self._connection)
        except (EOFError, OSError) as lost:
            self._process.join()
            raise DataError(
                f"a worker process died (exit code {self._process.exitcode}), probably for lack of memory; "
                "run again with fewer --workers"
            ) from lost
        if error is not None:
            raise error
        return result

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.join()
        self._process.close()
        self._connection.close()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Lets processes start with interrupts blocked: Ctrl-C reaches all, but is the parent's to handle."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # else the first process starts it, and it unblocks interrupts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    connection: "Connection[Any, Any]", make_state: Callable[[], Any], function: Callable[[Any, Any], Any]
) -> None:
    """Answers jobs until it is killed; what a job raises is its answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    made: list[Any] = []
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            job = _receive(connection)
            _send(connection, _answer(made, make_state, function, job))


def _answer(
    made: list[Any], make_state: Callable[[], Any], function: Callable[[Any, Any], Any], job: Any
) -> tuple[Any, Exception | None]:
    """Returns the result, or else what was raised; the state is made for the first job."""
    try:
        if not made:
            made.append(make_state())
        return function(made[0], job), None
    except Exception as error:
        if not isinstance(error, AlbertError):
            error.add_note(traceback.format_exc())
        return None, error


def _end_with_parent() -> None:
    """Ends this process when its parent is gone: a killed parent cannot."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _send(connection: "Connection[Any, Any]", value: Any) -> None:
    # Protocol 5 copies an array once; the pipe's own pickling copies it twice.
    connection.send_bytes(pickle.dumps(value, protocol=5))


def _receive(connection: "Connection[Any, Any]") -> Any:
    return pickle.loads(connection.recv_bytes())


def _map_on_ray(
    make_state: Callable[[], State], function: Callable[[State, Job], Result], jobs: Iterable[Job]
) -> Generator[Result, None, None]:
    """A task for each job; Ray runs the task of a killed process again."""
    ray = _import_ray()
    with _ray_cluster(ray):
        task = ray.remote(_run_on_ray)
        key, work = uuid.uuid4().bytes, ray.put((make_state, function))
        limit = JOBS_UNDER_WAY * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: deque[Any] = deque()
        for job in jobs:
            waiting.append(task.remote(key, work, job))
            if len(waiting) >= limit:
                yield _result_of(ray, waiting.popleft())
        while waiting:
            yield _result_of(ray, waiting.popleft())


_made_on_ray: dict[bytes, Any] = {}
"""State of the work that this process of a cluster did last, by its key."""


def _run_on_ray(
    key: bytes, work: tuple[Callable[[], State], Callable[[State, Job], Result]], job: Job
) -> Result:
    make_state, function = work
    if key not in _made_on_ray:
        _made_on_ray.clear()
        _made_on_ray[key] = make_state()
    return function(_made_on_ray[key], job)


def _result_of(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AlbertError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"Ray could not finish a job: {reason}; see to the cluster and run again") from error


@contextmanager
def _ray_cluster(ray: Any) -> Iterator[None]:
    """Connects to the cluster for a while, unless the caller is connected already."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "a cluster of this machine")
    _check_answer(address)
    # Ray tells of lost processes on stdout, which is the result's.
    with redirect_stdout(sys.stderr):
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"cannot connect to Ray at {address}: {error}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _check_answer(address: str) -> None:
    """Raises ConfigError where nobody listens: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConfigError(
            f"cannot connect to Ray at {address}: {error}; RAY_ADDRESS names the cluster's head as host:port"
        ) from error


def _import_ray() -> Any:
    # Else a cluster that is started here reports to Ray's makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--workers ray needs the package ray: pip install 'albert[ray]'") from error
    return ray
