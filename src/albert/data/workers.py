"""A function mapped over jobs in this process, in several, or on a Ray cluster, always in the jobs' order.

Only a few jobs are in progress at a time, so memory does not grow with their number, and results do not
depend on where they are made. Keeping the order costs little: a slow job delays the results after it, not
their work.
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
from typing import Any, TypeVar

from albert.choices import Workers
from albert.distribution import install_command
from albert.errors import AlbertError, ConfigError, DataError

State = TypeVar("State")
Job = TypeVar("Job")
Result = TypeVar("Result")

JOBS_UNDER_WAY = 2
"""Jobs per process that are waiting, running, or done but not taken; enough that no process idles."""


def map_in_order(
    make_state: Callable[[], State],
    function: Callable[[State, Job], Result],
    jobs: Iterable[Job],
    *,
    workers: Workers,
) -> Generator[Result, None, None]:
    """Yield `function(state, job)` of every job, in order.

    This process reads `jobs`, a bounded number in advance. Processes start at the first `next` and are killed
    when the iterator is closed or exhausted, or when this process ends, in whatever way.

    Args:
        make_state: Makes what the function needs in addition to a job, once per process; must be picklable,
            such as a `functools.partial` of a module's function.
        function: A module's function; on Ray it may run more than once for a job.
        jobs: Must be picklable, as must the results.
        workers: Processes to start; with 0 or 1 everything runs in this one; "ray" uses the cluster that
            RAY_ADDRESS names, or starts one on this machine.

    Raises:
        DataError: A process or the cluster failed.
        ConfigError: Ray is not installed, or its cluster does not respond.
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
    """Run jobs with one thread per process, which waits for its results while the caller is busy.

    The standard pool has one pipe for all processes: it hangs forever when a process is killed in the middle
    of a large result, and it cannot end processes immediately.
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
    """A spawned process and the pipe to it. Forking can deadlock, since Arrow runs threads."""

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
    """Start processes with interrupts blocked: Ctrl-C reaches all of them, but the parent handles it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # otherwise the first process starts it, and that unblocks interrupts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    connection: "Connection[Any, Any]", make_state: Callable[[], Any], function: Callable[[Any, Any], Any]
) -> None:
    """Do jobs until the process is killed; an exception of a job is sent back as its result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    made: list[Any] = []
    with suppress(EOFError, OSError):  # the parent has ended
        while True:
            job = _receive(connection)
            _send(connection, _do(made, make_state, function, job))


def _do(
    made: list[Any], make_state: Callable[[], Any], function: Callable[[Any, Any], Any], job: Any
) -> tuple[Any, Exception | None]:
    """Return the result, or the exception that was raised; the first job makes the state."""
    try:
        if not made:
            made.append(make_state())
        return function(made[0], job), None
    except Exception as error:
        if not isinstance(error, AlbertError):
            error.add_note(traceback.format_exc())
        return None, error


def _end_with_parent() -> None:
    """End this process when its parent has ended: a killed parent cannot do it."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _send(connection: "Connection[Any, Any]", value: Any) -> None:
    # Protocol 5 copies an array once; `Connection.send` copies it twice.
    connection.send_bytes(pickle.dumps(value, protocol=5))


def _receive(connection: "Connection[Any, Any]") -> Any:
    return pickle.loads(connection.recv_bytes())


def _map_on_ray(
    make_state: Callable[[], State], function: Callable[[State, Job], Result], jobs: Iterable[Job]
) -> Generator[Result, None, None]:
    """Run one Ray task per job; Ray repeats the task of a killed process."""
    ray = import_ray()
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
"""State of the last work of this process of a cluster, by its key."""


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
        raise DataError(f"Ray could not finish a job: {reason}; check the cluster and run again") from error


@contextmanager
def _ray_cluster(ray: Any) -> Iterator[None]:
    """Connect to the cluster inside the block, unless the caller is already connected."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "a cluster of this machine")
    _check_do(address)
    # Ray reports lost processes on stdout, where only the result belongs.
    with redirect_stdout(sys.stderr):
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"cannot connect to Ray at {address}: {error}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _check_do(address: str) -> None:
    """Raise ConfigError if nothing listens at the address: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConfigError(
            f"cannot connect to Ray at {address}: {error}; RAY_ADDRESS names the cluster's head as host:port"
        ) from error


def import_ray() -> Any:
    """Return the package ray.

    Raises:
        ConfigError: It is not installed.
    """
    # Otherwise a cluster that is started here sends usage statistics to Ray's makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"--workers ray needs the package ray, which is not installed; run: {install_command('ray')}"
        ) from error
    return ray
