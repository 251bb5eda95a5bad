"""What the parser of flags complains of, as one line in our words; it draws boxes around paragraphs."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO

from albert.errors import UsageError

_ASCII_TOP = 2
"""Lines above the text of a message without a border: its title and a rule."""
_FLAG_INDENT = 4
"""Further spaces before a flag in a list of missing ones; its help is indented still further."""
_REWORDED = (
    (r"Missing value for argument '(.*)'\. Expected 1 values", r"\1 needs a value"),
    (r"Unrecognized options: (.*)", r"nothing is expected in the place of \1"),
)
"""Messages of tyro, and the same in our words."""


@contextmanager
def complaints_in_one_line(command: str) -> Iterator[None]:
    """Turn an exit with a message in a box into an error of one line.

    Raises:
        UsageError: The command line of `albert COMMAND` is wrong.
        SystemExit: The help was asked for.
    """
    complaint = StringIO()
    try:
        with redirect_stderr(complaint), _wide_lines():
            yield
    except SystemExit as leaving:
        if not leaving.code:
            raise
        raise UsageError(f"{in_one_line(complaint.getvalue())}; see albert {command} --help") from None


def in_one_line(box: str) -> str:
    """Return the first part of a message in a box, without the lines around it and the help of flags."""
    lines = box.splitlines()
    inside = [line.strip("│") for line in lines if line.startswith("│")]
    inside = inside or lines[_ASCII_TOP:]  # Without a border where the encoding of stdout has only ASCII.
    end = next((at for at, line in enumerate(inside) if set(line.strip()) in ({"─"}, {"-"})), len(inside))
    part = [line.rstrip() for line in inside[:end] if line.strip()]
    if part and part[0].strip().startswith("Missing from"):
        flags_at = _indent(part[0]) + _FLAG_INDENT
        return f"missing: {', '.join(line.strip() for line in part[1:] if _indent(line) == flags_at)}"
    text = " ".join(line.strip() for line in part).rstrip(".") or "the command line is wrong"
    for pattern, words in _REWORDED:
        text = re.sub(pattern, words, text)
    return text


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


@contextmanager
def _wide_lines() -> Iterator[None]:
    """Let messages in the block have long lines; help keeps the width of the terminal."""
    before = os.environ.get("COLUMNS")
    if not {"-h", "--help"} & set(sys.argv):
        os.environ["COLUMNS"] = "1000"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("COLUMNS", None)
        else:
            os.environ["COLUMNS"] = before
