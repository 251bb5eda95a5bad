"""Results as rows, one for each candidate: for JSON, for the terminal, and for the tables in docs/speed.md.

A row holds `job`, `lengths`, `sequences`, `tokens`, `candidate`, `note`; the `seconds` of a run, with those
of all `rounds`; the `milliseconds` per `unit`; and where they apply `tokens_per_second`, `utilisation` (of
the matrix peak), `ratio` (our time over its time, round by round), `lower_bound_ratio` (the lower bound over
its time), `compile_seconds`, `memory`, and `distance` with `tolerance`. "Our time" is that of the first
candidate; further candidates of ours have a `ratio` too.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from albert.benchmarks.timing import Candidate, Job, Timing, ratio
from albert.console import human_count

Row = dict[str, Any]
Memory = Mapping[str, Mapping[str, float] | None]


def make_rows(job: Job, timings: Mapping[str, Timing], *, peak: float, memory: Memory) -> list[Row]:
    """Return a row for each candidate and each recorded speed.

    Args:
        job: The job that was measured.
        timings: By candidate.
        peak: Operations per second of large matrix products.
        memory: Peak memory by candidate, where it was measured.
    """
    rows = []
    for candidate in job.candidates:
        row = _row(job, candidate, timings)
        if job.flops and candidate.bounded:
            row["utilisation"] = job.flops / row["seconds"]["median"] / peak
        if memory.get(candidate.name):
            row["memory"] = memory[candidate.name]
        rows.append(row)
    ours = timings[job.candidates[0].name].median_seconds
    for recorded in job.recorded:
        found = {"median": ours * recorded.tokens_per_second / job.tokens}
        speed = {"tokens_per_second": round(recorded.tokens_per_second), "ratio": found}
        rows.append({**_head(job), "candidate": recorded.name, "note": recorded.note, **speed})
    return rows


def report(rows: list[Row]) -> str:
    """Return the rows as a table for a terminal, one block per job."""
    table: list[tuple[str, ...]] = []
    for (job, lengths, unit), block in groupby(
        rows, key=lambda row: (row["job"], row["lengths"], row["unit"])
    ):
        head = f"{job}, lengths {lengths}" if lengths else job
        table += [(head, f"ms per {unit}", *_COLUMNS), *map(_cells, block)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *others in table:
        text = "  ".join(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append(f"{first.ljust(widths[0])}  {text}".rstrip())
    return "\n".join(lines)


def spread(found: Mapping[str, float]) -> str:
    """Return a ratio as text: the median and, if it was measured in rounds, the minimum and the maximum."""
    if "min" not in found:
        return f"{found['median']:.2g}"
    return f"{found['median']:.2f} ({found['min']:.2f} to {found['max']:.2f})"


_COLUMNS = ("tokens/s", "of peak", "ours / this", "bound / this", "peak MB", "compile s", "equal to")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"  {row['candidate']}",
        f"{row['milliseconds']:.4g}" if "milliseconds" in row else "",
        human_count(row["tokens_per_second"]) if "tokens_per_second" in row else "",
        f"{row['utilisation']:.0%}" if "utilisation" in row else "",
        spread(row["ratio"]) if "ratio" in row else "",
        f"{row['lower_bound_ratio']['median']:.2f}" if "lower_bound_ratio" in row else "",
        f"{row['memory']['peak_mb']:,.0f}" if "memory" in row else "",
        f"{row['compile_seconds']:.0f}" if "compile_seconds" in row else "",
        f"{row['distance']:.0e}" if "distance" in row else "",
    )


def _row(job: Job, candidate: Candidate, timings: Mapping[str, Timing]) -> Row:
    """Return the row of one candidate."""
    timing, ours = timings[candidate.name], timings[job.candidates[0].name]
    seconds = timing.median_seconds
    row = _head(job) | {"candidate": candidate.name, "note": candidate.note}
    row["seconds"] = {"median": seconds, "min": min(timing.seconds), "max": max(timing.seconds)}
    row["seconds"]["rounds"] = timing.seconds
    row["milliseconds"] = 1000 * seconds / job.num_units
    if job.tokens:
        row["tokens_per_second"] = round(job.tokens / seconds, 1)
    if timing is not ours:
        row["ratio"] = ratio(ours.seconds, timing.seconds)
    if job.lower_bound and candidate.name != job.lower_bound and candidate.bounded:
        row["lower_bound_ratio"] = ratio(timings[job.lower_bound].seconds, timing.seconds)
    if candidate.compiled:
        row["compile_seconds"] = timing.compile_seconds
    if candidate.tolerance is not None and timing is not ours:
        row |= {"distance": timing.distance, "tolerance": candidate.tolerance}
    return row


def _head(job: Job) -> Row:
    fields = ("lengths", "sequences", "tokens", "unit")
    return {"job": job.name, **{name: getattr(job, name) for name in fields}}
