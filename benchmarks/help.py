"""Time `albert --help` and a bare `python -c pass`, interleaved.

usage: python benchmarks/help.py
"""

import json
import statistics
import subprocess
import sys
import time

ROUNDS = 15


def seconds(*arguments: str) -> float:
    """Return the wall-clock seconds of one Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print the medians and their difference as JSON."""
    pairs = [(seconds("-c", "pass"), seconds("-m", "albert", "--help")) for _ in range(ROUNDS)]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        json.dumps(
            {"python -c pass": bare, "albert --help": ours, "over bare": ours - bare, "rounds": ROUNDS}
        )
    )


if __name__ == "__main__":
    main()
