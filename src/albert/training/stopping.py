"""Ending a training between two steps when it is asked to stop, so that it can save first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from albert.console import say


class Stop:
    """Whether, and by which signal, the training was asked to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def leave(self) -> None:
        """Ends the program the way the signal asks for; call it after saving."""
        say("saved; the same command continues")
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        assert self.signal is not None
        raise SystemExit(128 + self.signal)


@contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Turns the first Ctrl-C or SIGTERM inside the block into a flag; the second one acts at once."""
    stop = Stop()
    previous: dict[signal.Signals, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        say(f"{stop.signal.name}: saving after this step")
        for signal_number, handler in previous.items():
            signal.signal(signal_number, handler)

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        previous[signal_number] = signal.signal(signal_number, note)
    try:
        yield stop
    finally:
        for signal_number, handler in previous.items():
            signal.signal(signal_number, handler)
