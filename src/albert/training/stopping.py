"""Stopping a training between two steps when a signal arrives, so that it can save first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from albert.console import say

REQUEUE_EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: the job should be started again (RequeueExit of SLURM and the like)."""

_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGUSR1"):
    _SIGNALS.append(signal.SIGUSR1)  # what schedulers send before they end a job


class Stop:
    """A request to stop the training: false until a signal arrives."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def leave(self) -> None:
        """End the program as the signal requires; call it after saving.

        Ctrl-C ends it as usual. Any other signal comes from a scheduler that needs the machine: the exit code
        then says that the job should be started again.
        """
        say("stopped; the same command continues")
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(REQUEUE_EXIT_CODE)


@contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGUSR1 in the block into a flag; a second one acts at once."""
    stop = Stop()
    previous: dict[signal.Signals, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        say(f"{stop.signal.name}: saving after this step")
        for signal_number, handler in previous.items():
            signal.signal(signal_number, handler)

    for signal_number in _SIGNALS:
        previous[signal_number] = signal.signal(signal_number, note)
    try:
        yield stop
    finally:
        for signal_number, handler in previous.items():
            signal.signal(signal_number, handler)
