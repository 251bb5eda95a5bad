"""Time the installation of `make demo` and of `make test`, interleaved, each in a new environment.

Before `make demo` had an installation of its own it did that of `make test`. Files of packages come from
pip's cache or from the machine's disk: one round that is not counted fills the cache. Needs a package index.
usage: python benchmarks/install.py
"""

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("Makefile", "constraints.txt", "pyproject.toml", "README.md", "LICENSE")
STAMPS = {"make demo": ".venv/package", "make test": ".venv/dev"}
ROUNDS = 2


def install(stamp: str) -> dict[str, float]:
    """Install what a stamp stands for in a copy of the source tree; return time and size."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary)
        for name in FILES:
            shutil.copy(ROOT / name, tree)
        shutil.copytree(
            ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        start, processor_start = time.perf_counter(), os.times()
        subprocess.run(["make", stamp], cwd=tree, env=environment, check=True, capture_output=True)
        seconds, processor_end = time.perf_counter() - start, os.times()
        return {
            "wall_seconds": seconds,
            "processor_seconds": sum(processor_end[2:4]) - sum(processor_start[2:4]),
            "megabytes": sum(path.lstat().st_size for path in tree.joinpath(".venv").rglob("*")) / 1e6,
            "packages": len(list(tree.glob(".venv/lib/python*/site-packages/*.dist-info"))),
        }


def main() -> None:
    """Print the medians, and the times of every round, as JSON."""
    rounds = [{name: install(stamp) for name, stamp in STAMPS.items()} for _ in range(ROUNDS + 1)][1:]
    result = {
        name: {key: round(statistics.median(row[name][key] for row in rounds), 1) for key in rounds[0][name]}
        for name in STAMPS
    }
    ratios = [row["make demo"]["wall_seconds"] / row["make test"]["wall_seconds"] for row in rounds]
    times = [{name: round(row[name]["wall_seconds"], 1) for name in STAMPS} for row in rounds]
    print(
        json.dumps({**result, "ratio": round(statistics.median(ratios), 3), "wall_seconds_of_rounds": times})
    )


if __name__ == "__main__":
    main()
