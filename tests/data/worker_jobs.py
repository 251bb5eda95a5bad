"""Functions for `test_workers`, in a module from which other processes can import them."""

import os
import signal
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from albert.errors import DataError


def make_list() -> list[int]:
    return []


def note(done: list[int], job: int) -> tuple[int, int]:
    """Return the process that did a job, and the number of jobs it had done before."""
    done.append(job)
    return os.getpid(), len(done) - 1


def fill(_: list[int], size: int) -> npt.NDArray[np.int32]:
    return np.arange(size, dtype=np.int32)


def sleep(_: list[int], seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def refuse(_: list[int], job: int) -> int:
    if job == 3:
        raise DataError(f"line {job}: bad")
    return job


def divide(_: list[int], job: int) -> float:
    return 1 / job


def die(_: list[int], job: int) -> int:
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def refuse_to_start() -> Any:
    raise DataError("no such tokenizer")
