"""Results on standard output: aligned columns for people, JSON for programs."""

import json
from typing import Any

Row = dict[str, Any]


def show(result: Row | list[Row], *, as_json: bool) -> None:
    """Prints a record or a list of records."""
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False, default=str))
    elif isinstance(result, dict):
        print(_columns([[name.replace("_", " "), _text(value)] for name, value in _flat(result)]))
    elif result:
        names = list(dict.fromkeys(name for row in result for name in row))
        header = [name.replace("_", " ") for name in names]
        print(_columns([header, *([_text(row.get(name, "")) for name in names] for row in result)]))


def _flat(record: Row, prefix: str = "") -> list[tuple[str, Any]]:
    """Returns nested records as one list of names and values."""
    rows: list[tuple[str, Any]] = []
    for name, value in record.items():
        rows += _flat(value, f"{prefix}{name} ") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return rows


def _columns(rows: list[list[str]]) -> str:
    """Returns rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _text(value: Any) -> str:
    """Returns a value for people: four digits of a fraction, thousands set apart."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
