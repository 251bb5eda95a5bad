"""Measure what a command line costs before its work starts: the help of every command, lists, and errors.

Each is compared with a bare `python -c pass`, in turns, by CPU time: other jobs of the machine change it
less than the time on the clock.
usage: python benchmarks/help.py
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from albert.cli.main import SUMMARIES
from albert.config import AlbertConfig
from albert.model.language_models import AlbertForPreTraining

ROUNDS = 7
BARE = ("-c", "pass")


def seconds(arguments: tuple[str, ...], *, expected: int) -> float:
    """Return the CPU seconds of one Python process, which must end with the `expected` code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != expected:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def command_lines(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the command lines by what is shown of them: the line, and the code with which it ends."""
    model, rows = folder / "model", folder / "rows.tsv"
    config = AlbertConfig.of_size("base", vocab_size=30_000)
    AlbertForPreTraining(config).save_pretrained(model)
    rows.write_text("text\tlabel\none\ta\ntwo\tb\n", encoding="utf-8")
    finetune = f"finetune --task classification --model {model} --data {rows} --output {folder / 'run'}"
    return {
        "albert --help": ("--help", 0),
        **{f"albert {name} --help": (f"{name} --help", 0) for name in SUMMARIES},
        "albert tasks": ("tasks", 0),
        "albert info BASE": (f"info {model}", 0),
        "an unknown flag": (f"{finetune} --learnign-rate 1", 2),
        "a wrong number": (f"{finetune} --max-steps x", 2),
        "a missing flag": ("finetune", 2),
        "an unknown task": (finetune.replace("classification", "clasification"), 1),
        "a missing model": (finetune.replace(str(model), f"{model}/none"), 1),
        "a missing file": (finetune.replace("rows.tsv", "none.tsv"), 1),
        "a missing column": (f"{finetune} --text-column txt", 1),
        "data to pretrain on that are missing": (f"pretrain --data {rows}s --output {folder / 'run'}", 1),
    }


def main() -> None:
    """Print the median of each command line, over a bare Python, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        lines = command_lines(Path(folder))
        times: dict[str, list[float]] = {name: [] for name in ("python -c pass", *lines)}
        for _ in range(ROUNDS):
            times["python -c pass"].append(seconds(BARE, expected=0))
            for name, (line, code) in lines.items():
                times[name].append(seconds(("-m", "albert", *line.split()), expected=code))
    medians = {name: statistics.median(found) for name, found in times.items()}
    bare = medians.pop("python -c pass")
    over_bare = {name: round(median - bare, 4) for name, median in medians.items()}
    result = {"unit": "CPU seconds", "python -c pass": bare, "over bare": over_bare, "rounds": ROUNDS}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
