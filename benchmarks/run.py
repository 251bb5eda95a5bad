"""Runs the benchmarks one after the other and writes benchmarks/results/NAME.json.

Each result carries what it depends on: commit, versions, processor, cores. Times on shared machines are
noisy: only ratios measured interleaved in one process are quoted.
usage: python benchmarks/run.py [NAME ...] [-- ARGUMENT ...]   (arguments go to each script)
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from albert.training.runs import versions

HERE = Path(__file__).parent
SCRIPTS = (
    "conversion",
    "examples",
    "help",
    "memory",
    "optimizer_step",
    "pretraining_step",
    "pretraining_trainer",
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


def machine() -> dict[str, Any]:
    """Returns what the numbers depend on beside the code."""
    return {"system": platform.platform(), "processor": processor(), "cores": os.cpu_count()}


def processor() -> str:
    """Returns the name of the processor, where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def all_versions() -> dict[str, str]:
    """Returns the versions of this package and of what it is compared with or built on."""
    packages = ("numpy", "pyarrow", "sentencepiece", "transformers")
    return {**versions(), **{name: importlib.metadata.version(name) for name in packages}}


if __name__ == "__main__":
    main()
