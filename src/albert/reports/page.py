"""The report on runs as one HTML page."""

from collections.abc import Sequence
from typing import Any

from albert.reports.html import folded, page, picture, quiet, table
from albert.reports.runs import LoggedRun, words


def make_page(
    runs: Sequence[LoggedRun],
    rows: Sequence[dict[str, Any]],
    *,
    curves: bytes | None,
    differing: dict[str, list[Any]],
) -> str:
    """Return the page.

    Args:
        runs: The runs.
        rows: State, speed and last scores of each run.
        curves: PNG of the curves; None if there are none.
        differing: Settings that differ, each with its value in every run; None if a run lacks it.
    """
    title = "Training of " + ", ".join(run.title for run in runs)
    parts = [_summaries(rows)]
    if curves is None:
        parts.append(quiet("No run has records yet, so there are no curves."))
    else:
        parts.append(picture(curves, alt="Curves of all runs"))
    parts += ["<h2>Events</h2>", _events(runs)]
    if len(runs) > 1:
        parts += ["<h2>Settings that differ</h2>", _differences(runs, differing)]
    parts += ["<h2>All settings</h2>", *(_all_settings(run) for run in runs)]
    return page(title, parts)


def _summaries(rows: Sequence[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    return table([words(name) for name in names], [[row.get(name) for name in names] for row in rows])


def _events(runs: Sequence[LoggedRun]) -> str:
    rows = [
        [run.title, event["step"], event["event"], event.get("text", "")]
        for run in runs
        for event in run.events
    ]
    return table(["run", "step", "event", ""], rows) if rows else quiet("None.")


def _differences(runs: Sequence[LoggedRun], differing: dict[str, list[Any]]) -> str:
    if not differing:
        return quiet("None.")
    return table(
        ["setting", *(run.title for run in runs)],
        [[f"--{name.replace('_', '-')}" if _is_flag(name, runs) else words(name), *values]
         for name, values in differing.items()],
    )  # fmt: skip


def _is_flag(name: str, runs: Sequence[LoggedRun]) -> bool:
    """Return whether a setting is a flag of the command, unlike a version or a fingerprint."""
    parts = (run.record.get(part) or {} for run in runs for part in ("inputs", "versions"))
    return not any(name in part for part in parts)


def _all_settings(run: LoggedRun) -> str:
    rows = [[name, value] for name, value in run.settings().items()]
    return folded(run.title, table(["setting", "value"], rows))
