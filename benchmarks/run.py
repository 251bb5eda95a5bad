"""Run the benchmarks that `albert bench` does not cover, and write benchmarks/results/NAME.json.

Each result records commit, versions, processor and cores. Times on shared machines are noisy: quote only
ratios that were measured interleaved in one process.
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
    """Run the benchmarks named on the command line; by default all that need no argument."""
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
