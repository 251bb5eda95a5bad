"""Write the tables of docs/speed.md from the results of `albert bench` in benchmarks/results/.

usage: python benchmarks/table.py
"""

import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from albert.benchmarks.rows import spread
from albert.benchmarks.timing import ratio
from albert.console import human_count

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- made by benchmarks/table.py from benchmarks/results/bench-*.json -->", "<!-- end -->"
HEADER = (
    "| | ours | our time over that of | bound over ours | bound over theirs | memory over theirs |\n"
    "|---|---|---|---|---|---|"
)
PEER = "transformers, sdpa"


def main() -> None:
    path = ROOT / "docs" / "speed.md"
    path.write_text(with_tables(path.read_text(encoding="utf-8"), read_results()), encoding="utf-8")


def read_results() -> list[dict[str, Any]]:
    """Return the results of `albert bench`, in the order of their names."""
    paths = sorted((ROOT / "benchmarks" / "results").glob("bench-*.json"), key=lambda path: path.stem)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def with_tables(page: str, results: Sequence[dict[str, Any]]) -> str:
    """Return the page with the tables of `results` between the two marks."""
    if page.count(BEGIN) != 1 or END not in page.partition(BEGIN)[2]:
        sys.exit(f"expected one {BEGIN} and an {END} after it")
    before, _, rest = page.partition(BEGIN)
    tables = "".join(f"\n{make_table(result)}\n" for result in results)
    return f"{before}{BEGIN}\n{tables}{END}{rest.partition(END)[2]}"


def make_table(result: dict[str, Any]) -> str:
    """Return the table of one result: a line for each job, and one for each further candidate of ours."""
    settings, machine, versions = result["settings"], result["machine"], result["versions"]
    place = machine.get("gpu") or f"{machine['threads']} threads of {machine['processor']}"
    title = (
        f"`{settings['size']}`, {settings['precision']}, {place} ({result['matrix_peak'] / 1e9:,.0f} GFLOP/s "
        f"in large products), torch {versions['torch']}, commit {versions['commit']}; "
        f"median of {settings['rounds']} rounds, in brackets the lowest and the highest:"
    )
    jobs = groupby(result["rows"], key=lambda row: (row["job"], row["lengths"]))
    lines = [line for (job, lengths), rows in jobs for line in _lines(job, lengths, list(rows))]
    return "\n".join([title, "", HEADER, *lines])


def _lines(job: str, lengths: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the line of our first candidate and one for each further one of ours, with their ratios."""
    ours, head = rows[0], f"{job}, {lengths}" if lengths else job
    prefix = f"{ours['candidate']}, "
    further = [row for row in rows if row["candidate"].startswith(prefix)]
    others = [row for row in rows[1:] if row not in further]
    if ours.get("lower_bound_ratio"):
        others = [row for row in others if "lower_bound_ratio" in row]
    peer = next((row for row in rows if row["candidate"] == PEER), {})
    lines = [_line(head, ours, peer, [(row["candidate"], row["ratio"]) for row in others])]
    for row in further:
        ratios = [
            (other["candidate"], ratio(row["seconds"]["rounds"], other["seconds"]["rounds"]))
            for other in (ours, *others)
        ]
        lines.append(_line(f"{head}: {row['candidate'].removeprefix(prefix)}", row, peer, ratios))
    return lines


def _line(
    head: str, ours: dict[str, Any], peer: dict[str, Any], ratios: Sequence[tuple[str, dict[str, float]]]
) -> str:
    speed = f"{_three_digits(ours['milliseconds'])} ms per {ours['unit']}"
    if "tokens_per_second" in ours:
        speed += f", {human_count(ours['tokens_per_second'])} tokens/s"
    if "utilisation" in ours:
        speed += f", {ours['utilisation']:.0%} of peak"
    memory = ""
    if "memory" in ours and "memory" in peer:
        memory = f"{ours['memory']['peak_mb'] / peer['memory']['peak_mb']:.2f}"
    bounds = ["", ""]
    if "lower_bound_ratio" in ours:
        bounds = [
            f"{row['lower_bound_ratio']['median']:.2f}" if "lower_bound_ratio" in row else ""
            for row in (ours, peer)
        ]
    cells = (
        head,
        speed,
        "; ".join(f"{name} {spread(found)}" for name, found in ratios),
        *bounds,
        memory,
    )
    return f"| {' | '.join(cells)} |"


def _three_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


if __name__ == "__main__":
    main()
