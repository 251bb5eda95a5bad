"""Runs what `albert bench` does not measure, one after the other, and writes benchmarks/results/NAME.json.

Each result carries what it depends on: commit, versions, processor, cores. Times on shared machines are
noisy: only ratios measured interleaved in one process are quoted.
usage: python benchmarks/run.py [NAME ...] [-- ARGUMENT ...]   (arguments go to each script)
"""

import json
import subprocess
import sys
from pathlib import Path

from albert.benchmarks.machine import all_versions, machine

HERE = Path(__file__).parent
SCRIPTS = (
    "conversion",
    "growth",
    "help",
    "memory",
)


def main() -> None:
    """Runs the benchmarks named on the command line; without one, all that need no argument."""
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    for name in sys.argv[1:cut] or SCRIPTS:
        command = [sys.executable, str(HERE / f"{name}.py"), *sys.argv[cut + 1 :]]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result = {"machine": machine(), "versions": all_versions(), "result": json.loads(done.stdout)}
        path = HERE / "results" / f"{name}.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
