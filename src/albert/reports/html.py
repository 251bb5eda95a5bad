"""Self-contained HTML pages: one style, tables, embedded pictures, no scripts, nothing to fetch."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 72rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
img { width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #e6e6e6;
         vertical-align: top; white-space: nowrap; }
td.number, th.number { text-align: right; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; }
th { font-weight: 600; color: #555; }
p.quiet { color: #777; }
p.headline { font-size: 1.3rem; }
p.caution { background: #fff4d6; padding: .5rem .8rem; }
details { margin-top: 2.2rem; } summary { font-size: 1.15rem; font-weight: 600; cursor: pointer; }
"""
_LONG = 40
"""Length in characters above which a cell may wrap."""


def page(title: str, parts: Sequence[str]) -> str:
    """Return a page with a title and parts that are HTML already."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def picture(png: bytes, *, alt: str) -> str:
    """Return an HTML image with the PNG embedded."""
    data = base64.b64encode(png).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def quiet(text: str) -> str:
    """Return a remark in grey."""
    return f'<p class="quiet">{escape(text)}</p>'


def headline(text: str) -> str:
    """Return the sentence that matters most."""
    return f'<p class="headline">{escape(text)}</p>'


def caution(text: str) -> str:
    """Return a remark that should not be missed."""
    return f'<p class="caution">{escape(text)}</p>'


def folded(title: str, part: str) -> str:
    """Return a part of a page that opens at a click on its title."""
    return f"<details><summary>{escape(title)}</summary>{part}</details>"


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table; columns of numbers are right-aligned."""
    numeric = [
        any(isinstance(row[column], int | float) for row in rows)
        and all(row[column] is None or isinstance(row[column], int | float) for row in rows)
        for column in range(len(headers))
    ]
    head = "".join(
        f"<th{' class=number' if is_number else ''}>{escape(header)}</th>"
        for header, is_number in zip(headers, numeric, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(_cell(value, n) for value, n in zip(row, numeric, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _cell(value: Any, is_number: bool) -> str:
    text = _text(value)
    kind = " class=number" if is_number else " class=long" if len(text) > _LONG else ""
    return f"<td{kind}>{escape(text)}</td>"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)
