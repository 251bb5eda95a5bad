"""Messages, warnings, and progress with speed and ETA, all on stderr: stdout is for the result.

On a terminal, progress is one live bar; elsewhere (a log file, a pipe) it is a plain line every ten
seconds, so that a log stays readable.
"""

import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Protocol

PLAIN_LINE_SECONDS = 10.0
UNWRITABLE = "backslashreplace"
"""How characters are written that a file or a terminal cannot hold: as \\ud83d, so writing never fails."""

_mute = False
_unnoted = 0
_collecting: list[list[str]] = []


def mute() -> None:
    """Silence everything but warnings; called on ranks other than 0."""
    global _mute  # noqa: PLW0603 -- stderr is global as well
    _mute = True


def say(message: str) -> None:
    """Write one line to stderr."""
    if not _mute:
        print(message, file=sys.stderr, flush=True)


@cache
def say_once(message: str) -> None:
    """Write a line to stderr, unless this process has written it before."""
    say(message)


def warn(message: str) -> None:
    """Write one line to stderr, marked as a warning."""
    print(f"warning: {message}", file=sys.stderr, flush=True)


def note(message: str, *, is_warning: bool = False) -> None:
    """Write what happened to the input, such as what was skipped, and collect it for the result."""
    if _unnoted:
        return
    (warn if is_warning else say)(message)
    for notes in _collecting:
        if message not in notes:
            notes.append(message)


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Collect the messages of `note` that are written in the block, by any thread, each once."""
    notes: list[str] = []
    _collecting.append(notes)
    try:
        yield notes
    finally:
        _collecting.remove(notes)


@contextmanager
def without_notes() -> Iterator[None]:
    """Drop the messages of `note` in the block, because the input is read again after it."""
    global _unnoted  # noqa: PLW0603 -- stderr is global as well
    _unnoted += 1
    try:
        yield
    finally:
        _unnoted -= 1


class Progress(Protocol):
    """A long job that reports its progress."""

    def advance(self, amount: float, note: str = "") -> None:
        """Add `amount` units of finished work; `note` replaces the text after the bar."""


class _PlainProgress:
    """Progress as lines of text: the first after two seconds, then one every `PLAIN_LINE_SECONDS`."""

    def __init__(self, description: str, total: float | None, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = 0.0
        self._start = time.monotonic()
        self._first: tuple[float, float] | None = None
        self._next_line = self._start + PLAIN_LINE_SECONDS / 5

    def advance(self, amount: float, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if self._first is None:
            self._first = (now, self._done)
        if now < self._next_line:
            return
        self._next_line = now + PLAIN_LINE_SECONDS
        speed = self._speed(now)
        line = f"{self._description}: {human_count(self._done)}"
        if self._total:
            remaining = max(0.0, self._total - self._done) / speed if speed else 0.0
            line += f" of {human_count(self._total)}{self._unit} ({self._done / self._total:.0%})"
            line += f", ETA {human_seconds(remaining)}"
        else:
            line += self._unit
        line += f", {human_count(speed)}{self._unit}/s"
        say(f"{line}  {note}" if note else line)

    def _speed(self, now: float) -> float:
        """Return the units a second since the first report, before which much is done only once."""
        assert self._first is not None
        then, before = self._first
        if self._done == before:
            return self._done / (now - self._start)
        return (self._done - before) / (now - then)


class _RichProgress:
    """Progress as a live bar of the rich library."""

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
        description: What is done, as a participle: "preparing".
        total: Units of work in all, if known, for percentage and ETA.
        done: Units that an earlier run has finished.
        unit: Text after counts: "B" for bytes, " steps".
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


class Rows(list[dict[str, Any]]):
    """A result that is a table, with the command that follows it."""

    def __init__(self, rows: Iterable[dict[str, Any]], *, next: str | None) -> None:
        super().__init__(rows)
        self.next = next


def command_line(command: str, *arguments: object, **flags: object) -> str:
    """Return a command to type, such as `albert prepare --input tickets.csv --skip-bad`.

    A command puts the one that follows it into its result as `next` (`Rows` for a table); it is printed last,
    on stderr.

    Args:
        command: Name of the command.
        arguments: Arguments without a flag.
        flags: Values by name. True and False become `--name` and `--no-name`, a list or tuple several values;
            None is left out.
    """
    words = ["albert", command, *map(str, arguments)]
    for name, value in flags.items():
        if value is not None:
            words.append(f"--{'no-' if value is False else ''}{name.replace('_', '-')}")
        if isinstance(value, list | tuple):
            words += map(str, value)
        elif not (value is None or isinstance(value, bool)):
            words.append(str(value))
    return shlex.join(words)


def changed_settings(settings: Any) -> dict[str, Any]:
    """Return the values of a settings dataclass that are not its defaults, by name; nested ones are flat."""
    found: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if value == default:
            continue
        if is_dataclass(value):
            found |= changed_settings(value)
        else:
            found[field.name] = value
    return found


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
