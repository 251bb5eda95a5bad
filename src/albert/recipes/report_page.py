"""The report as one HTML page that stands alone: picture inside, no scripts, nothing fetched."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from albert.recipes.logged_runs import LoggedRun
from albert.recipes.panels import words

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
"""
_LONG = 40
"""Characters from which on a cell may break."""


def make_page(
    runs: Sequence[LoggedRun],
    rows: Sequence[dict[str, Any]],
    *,
    picture: bytes | None,
    differing: dict[str, list[Any]],
) -> str:
    """Returns the page.

    Args:
        runs: What is reported on.
        rows: State, speed and last scores of each run.
        picture: PNG of the curves; None where there were none.
        differing: Settings that differ, each with its value in every run; None where a run has none.
    """
    title = "Training of " + ", ".join(run.title for run in runs)
    parts = [f"<h1>{escape(title)}</h1>", _summaries(rows)]
    if picture is None:
        parts.append('<p class="quiet">No run has records yet, so there are no curves.</p>')
    else:
        data = base64.b64encode(picture).decode("ascii")
        parts.append(f'<img alt="Curves of all runs" src="data:image/png;base64,{data}">')
    parts += ["<h2>Events</h2>", _events(runs)]
    if len(runs) > 1:
        parts += ["<h2>Settings that differ</h2>", _differences(runs, differing)]
    parts += ["<h2>All settings</h2>", *(_all_settings(run) for run in runs)]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _summaries(rows: Sequence[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    return _table([words(name) for name in names], [[row.get(name) for name in names] for row in rows])


def _events(runs: Sequence[LoggedRun]) -> str:
    rows = [
        [run.title, event["step"], event["event"], event.get("text", "")]
        for run in runs
        for event in run.events
    ]
    return _table(["run", "step", "event", ""], rows) if rows else '<p class="quiet">None.</p>'


def _differences(runs: Sequence[LoggedRun], differing: dict[str, list[Any]]) -> str:
    if not differing:
        return '<p class="quiet">None.</p>'
    return _table(
        ["setting", *(run.title for run in runs)],
        [[f"--{name.replace('_', '-')}" if _is_flag(name, runs) else words(name), *values]
         for name, values in differing.items()],
    )  # fmt: skip


def _is_flag(name: str, runs: Sequence[LoggedRun]) -> bool:
    """Tells whether a setting was given on the command line, unlike a version or a fingerprint."""
    parts = (run.record.get(part) or {} for run in runs for part in ("inputs", "versions"))
    return not any(name in part for part in parts)


def _all_settings(run: LoggedRun) -> str:
    rows = [[name, value] for name, value in run.settings().items()]
    return f"<details><summary>{escape(run.title)}</summary>{_table(['setting', 'value'], rows)}</details>"


def _table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
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
