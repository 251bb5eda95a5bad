"""Ending a training between two steps when it is asked to stop, so that it can save first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from albert.console import say

REQUEUE_EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: whoever started this may start it again (RequeueExit of SLURM and the like)."""

_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGUSR1"):
    _SIGNALS.append(signal.SIGUSR1)  # what schedulers send ahead of the end


class Stop:
    """Whether, and by which signal, the training was asked to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def leave(self) -> None:
        """End the program the way the signal asks for; call it when all that is worth it was saved.

        Ctrl-C ends it as ever. Any other signal, which a scheduler or another process got, means that the
        place is needed: the exit code says that the work is to be taken up again.
        """
        say("stopped; the same command continues")
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(REQUEUE_EXIT_CODE)


@contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGUSR1 in the block into a flag; the second one acts at once."""
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
