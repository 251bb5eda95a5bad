"""Measure the peak memory of `albert prepare` and of making examples, for little and for much text.

    .venv/bin/python benchmarks/memory.py [TEXT]

Without TEXT the text is generated; otherwise it is the beginning of that file. Each measurement runs in its
own process, which reports its peak resident set size (VmHWM of Linux; a child inherits ru_maxrss from its
parent). `growth` is the largest peak over the smallest, minus one.
"""

import json
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np

from albert.commands.prepare import PrepareSettings, prepare
from albert.data.examples.masked_text import MaskedText
from albert.data.examples.masking import vocabulary_of
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.data.shards.folder import open_prepared
from albert.text.tokenizer import AlbertTokenizer

MEGABYTES = (5, 60)
NUM_EXAMPLES = 30_000


def write_text(path: Path, megabytes: int, source: str | None) -> None:
    """Write `megabytes` of a real text or of random words."""
    size = megabytes * 1_000_000
    with path.open("wb") as file:
        if source:
            with Path(source).open("rb") as text:
                file.write(text.read(size).decode(errors="ignore").encode())
            return
        random = np.random.default_rng(0)
        words = ["".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), n)) for n in range(2, 10)] * 40
        while file.tell() < size:
            for _ in range(random.geometric(0.03)):
                file.write(" ".join(random.choice(words, 18)).encode() + b".\n")
            file.write(b"\n")


def write_tokenizer(folder: Path) -> None:
    """Write a WordPiece vocabulary of letters and pairs of letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = [a + b for a in letters for b in letters]
    pieces = [x + y for x in ("", "##") for y in (*letters, *pairs, ".", ",", "'", '"', "-")]
    folder.mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *pieces]) + "\n")


def run_job(job: str, folder: Path) -> None:
    """Run one job in this process and print its peak resident set size in MB."""
    if job == "prepare":
        prepare(
            PrepareSettings(
                input=(str(folder / "text.txt"),),
                tokenizer=folder.parent / "tokenizer",
                output=str(folder / "data"),
                workers=1,
            )
        )
    else:
        data = open_prepared(folder / "data")
        vocabulary = vocabulary_of(AlbertTokenizer.from_pretrained(folder / "data"), ExampleSettings())
        examples = Examples(MaskedText(data=data, vocabulary=vocabulary))
        for _ in islice(examples.batches(32), NUM_EXAMPLES // 32):
            pass
    print(peak_megabytes())


def peak_megabytes() -> float:
    """Return the peak resident set size of this process since its start, in MB of 2^20 bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def measure(job: str, folder: Path) -> float:
    """Return the peak resident set size, in MB, of a job run in its own process."""
    command = [sys.executable, __file__, "--job", job, str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return round(float(output), 1)


def main() -> None:
    if sys.argv[1:2] == ["--job"]:
        run_job(sys.argv[2], Path(sys.argv[3]))
        return
    source = sys.argv[1] if len(sys.argv) > 1 else None
    results = {}
    with tempfile.TemporaryDirectory() as name:
        write_tokenizer(Path(name) / "tokenizer")
        folders = [Path(name) / str(megabytes) for megabytes in MEGABYTES]
        for folder, megabytes in zip(folders, MEGABYTES, strict=True):
            folder.mkdir()
            write_text(folder / "text.txt", megabytes, source)
        for job in ("prepare", "examples"):
            peaks = [measure(job, folder) for folder in folders]
            results[job] = {
                **{f"peak_mb_of_{size}_mb": peak for size, peak in zip(MEGABYTES, peaks, strict=True)},
                "growth": round(max(peaks) / min(peaks) - 1, 4),
            }
    print(json.dumps({"benchmark": "memory", "text": source or "generated", "results": results}, indent=1))


if __name__ == "__main__":
    main()
