"""What a person watching a command sees, on stderr: messages, warnings, progress with speed and ETA.

Standard output belongs to the result. On a terminal progress is one live bar; elsewhere (a log file, a
pipe) it is a plain line every few seconds, so that a log stays readable.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

PLAIN_LINE_SECONDS = 10.0

_mute = False


def mute() -> None:
    """Make this process say nothing from now on but warnings; of several that do one work, one speaks."""
    global _mute  # noqa: PLW0603 -- stderr is one for the whole process, too
    _mute = True


def say(message: str) -> None:
    """Write one line to stderr."""
    if not _mute:
        print(message, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Write one line to stderr, marked as a warning."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


class Progress(Protocol):
    """A piece of long work that reports how far it is."""

    def advance(self, amount: float, note: str = "") -> None:
        """Add `amount` units of done work; `note` replaces the text behind the bar."""


class _PlainProgress:
    """Progress as lines of text: the first after a moment, then one every `PLAIN_LINE_SECONDS`."""

    def __init__(self, description: str, total: float | None, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = 0.0
        self._start = time.monotonic()
        self._next_line = self._start + PLAIN_LINE_SECONDS / 5

    def advance(self, amount: float, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if now < self._next_line:
            return
        self._next_line = now + PLAIN_LINE_SECONDS
        speed = self._done / (now - self._start)
        line = f"{self._description}: {human_count(self._done)}"
        if self._total:
            remaining = max(0.0, self._total - self._done) / speed if speed else 0.0
            line += f" of {human_count(self._total)}{self._unit} ({self._done / self._total:.0%})"
            line += f", ETA {human_seconds(remaining)}"
        else:
            line += self._unit
        line += f", {human_count(speed)}{self._unit}/s"
        say(f"{line}  {note}" if note else line)


class _RichProgress:
    """Progress as one live bar of the rich library."""

    def __init__(self, bar: Any, description: str, total: float | None) -> None:
        self._bar = bar
        self._task = bar.add_task(description, total=total, note="")

    def advance(self, amount: float, note: str = "") -> None:
        if note:
            self._bar.update(self._task, advance=amount, note=note)
        else:
            self._bar.update(self._task, advance=amount)


@contextmanager
def progress(
    description: str, *, total: float | None = None, done: float = 0, unit: str = ""
) -> Iterator[Progress]:
    """Show the progress of a `with` block on stderr.

    Args:
        description: What is being done, as a participle: "preparing".
        total: Units of work in all, where known; gives the share done and the ETA.
        done: Units that an earlier run did already.
        unit: Written behind counts: "B" for bytes, " steps".
    """
    remaining = None if total is None else total - done
    if _mute or not sys.stderr.isatty():
        yield _PlainProgress(description, remaining, unit)
        return
    from rich import progress as rich_progress
    from rich.console import Console

    with rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=24),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("ETA"),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    ) as bar:
        yield _RichProgress(bar, description, remaining)


def human_count(number: float) -> str:
    """Return a count with three digits and a decimal prefix: 28.3k, 1.29M."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g}{prefix}"
    return f"{number:.3g}"


def human_seconds(seconds: float) -> str:
    """Return a duration as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
