"""Results on standard output: aligned columns for people, JSON for programs."""

import json
import sys
from typing import Any
from unicodedata import east_asian_width

from albert.console import say

Row = dict[str, Any]

LINE_COLUMNS = 100
LONG_TEXT = 80
"""Texts longer than this are not cells of a table but are wrapped below their row."""

SAID_BEFORE = ("next", "lengths")
"""What people read elsewhere: the next command on stderr, and how many texts were cut in the log, if any."""

LABELS = {"pieces": "tokens"}
"""What people read instead of a name in JSON, whose names do not change."""


def show(result: Row | list[Row], *, as_json: bool) -> None:
    """Print a record or a list of records; for people only the `report` of a record that has one.

    For people, the command that follows is a note on stderr. An empty record prints nothing: under torchrun,
    one rank has the result of all.
    """
    if result == {}:
        return
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False, default=str))
        return
    following = result.get("next") if isinstance(result, dict) else getattr(result, "next", None)
    if isinstance(result, dict):
        result = {name: value for name, value in result.items() if name not in SAID_BEFORE}
    _print_for_people(result)
    if following:
        sys.stdout.flush()  # so that the note is the last line of a terminal or a log
        say(f"next: {following}")


def _print_for_people(result: Row | list[Row]) -> None:
    if isinstance(result, dict) and "report" in result:
        print(result["report"])
    elif isinstance(result, dict):
        print(_columns([[_label(name), _text(value)] for name, value in _flat(result)]))
    elif result:
        names = list(dict.fromkeys(name for row in result for name in row))
        long = {name for row in result for name, value in row.items() if _is_long(value)}
        if long:
            print("\n\n".join(_block(row, long) for row in result))
            return
        header = [_label(name) for name in names]
        print(_columns([header, *([_text(row.get(name, "")) for name in names] for row in result)]))


def _flat(record: Row, prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested records as one list of names and values; names start with those of the outer records."""
    rows: list[tuple[str, Any]] = []
    for name, value in record.items():
        rows += _flat(value, f"{prefix}{name} ") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return rows


def _columns(rows: list[list[str]]) -> str:
    """Return rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _block(row: Row, long: set[str]) -> str:
    """Return a row as one line with its short values, and the long ones wrapped below it."""
    head = "   ".join(f"{_label(name)} {_text(row[name])}" for name in row if name not in long)
    texts = [line for name in row if name in long for line in _text(row[name]).split("\n")]
    return "\n".join([head, *("  " + part for text in texts for part in _wrap(text, LINE_COLUMNS - 2))])


def _wrap(text: str, columns: int) -> list[str]:
    """Return a text in lines of at most `columns` terminal columns; longer words stay whole."""
    lines, used = [""], 0
    for word in text.split(" "):
        width = sum(2 if east_asian_width(character) in "FW" else 1 for character in word)
        if lines[-1] and used + 1 + width > columns:
            lines.append(word)
            used = width
        else:
            lines[-1] += f" {word}" if lines[-1] else word
            used += width + 1
    return lines


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and (len(value) > LONG_TEXT or "\n" in value)


def _label(name: str) -> str:
    """Return the name of a value for people; of a nested one, all parts."""
    return " ".join(LABELS.get(part, part).replace("_", " ") for part in name.split(" "))


def _text(value: Any) -> str:
    """Return a value for people: fractions with four digits, thousands separated."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
