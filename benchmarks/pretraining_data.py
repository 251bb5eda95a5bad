"""Measure the whole way from raw text to masked examples, and where the time goes.

    .venv/bin/python benchmarks/pretraining_data.py TEXT TOKENIZER

The work is the original's default: 5 MB of text, sequences of 512 tokens, 40 passes, at most 20 masked
tokens. create_pretraining_data.py took 725 CPU seconds and 1.8 GB for it (51.7 M tokens, 180 119 records;
Python 3.7, TensorFlow 1.15, on the same kind of machine). TEXT should have blank lines between documents; its
first 5 MB are used. Each job runs in its own process on one core and reports its CPU seconds, without those
of imports, and its peak memory (VmHWM). The lower bound is SentencePiece alone on the same lines.
"""

import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sentencepiece

from albert.commands.prepare import PrepareSettings, prepare
from albert.data.examples.masked_text import MaskedText
from albert.data.examples.masking import vocabulary_of
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import Examples
from albert.data.shards.folder import open_prepared
from albert.text.cleaning import preprocess_text
from albert.text.files import find_vocabulary
from albert.text.tokenizer import AlbertTokenizer

MEGABYTES = 5
PASSES = 40
ORIGINAL = {"cpu_seconds": 725.0, "peak_mb": 1790, "records": 180_119, "tokens": 51_700_000}


def main() -> None:
    if sys.argv[1] == "--job":
        job, folder, tokenizer = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
        print(json.dumps(JOBS[job](folder, tokenizer)))
        return
    text, tokenizer = Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with text.open("rb") as file:
            (folder / "text.txt").write_bytes(file.read(MEGABYTES * 1_000_000).rpartition(b"\n")[0] + b"\n")
        results = {job: run(job, folder, tokenizer) for job in JOBS}
    ours = results["prepare"]["cpu_seconds"] + results["examples"]["cpu_seconds"]
    summary = {
        "cpu_seconds": round(ours, 2),
        "peak_mb": max(results[job]["peak_mb"] for job in ("prepare", "examples")),
        "times_less_cpu_than_the_original_per_token": round(
            ORIGINAL["cpu_seconds"] / ORIGINAL["tokens"] / (ours / results["examples"]["tokens"]), 1
        ),
        "prepare_over_sentencepiece_alone": round(
            results["prepare"]["cpu_seconds"] / results["sentencepiece_alone"]["cpu_seconds"], 2
        ),
    }
    print(
        json.dumps(
            {"benchmark": "pretraining_data", "original": ORIGINAL, **summary, "jobs": results}, indent=1
        )
    )


def run(job: str, folder: Path, tokenizer: str) -> dict[str, Any]:
    """Run a job in its own process, on one core."""
    command = [sys.executable, __file__, "--job", job, str(folder), tokenizer]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "ARROW_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}
    )
    return dict(json.loads(done.stdout))


def sentencepiece_alone(folder: Path, tokenizer: Path) -> dict[str, Any]:
    """Encode every line with the library alone; cleaning is not counted."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(find_vocabulary(tokenizer)))
    lines = (folder / "text.txt").read_text(encoding="utf-8", errors="ignore").split("\n")
    clean = [preprocess_text(line, lower_case=True) for line in lines]
    start = time.process_time()
    pieces = sum(map(len, processor.encode(clean, out_type=int, num_threads=1)))
    return finish(start, pieces=pieces)


def prepare_text(folder: Path, tokenizer: Path) -> dict[str, Any]:
    """Make token shards as `albert prepare` does with one worker."""
    settings = PrepareSettings(
        input=(str(folder / "text.txt"),),
        tokenizer=tokenizer,
        output=str(folder / "data"),
        workers=1,
        splitting="lines",
        held_out=0,
    )
    start = time.process_time()
    counts = prepare(settings)
    return finish(start, pieces=counts["pieces"], documents=counts["documents"])


def prepare_on_two_cores(folder: Path, tokenizer: Path) -> dict[str, Any]:
    """Make token shards of ten times the text with two processes, their start included."""
    (folder / "text10.txt").write_bytes((folder / "text.txt").read_bytes() * 10)
    settings = PrepareSettings(
        input=(str(folder / "text10.txt"),),
        tokenizer=tokenizer,
        output=str(folder / "data10"),
        workers=2,
        splitting="lines",
        held_out=0,
    )
    start, wall = time.process_time(), time.monotonic()
    prepare(settings)
    megabytes = (folder / "text10.txt").stat().st_size / 1e6
    seconds = time.monotonic() - wall
    return finish(start) | {"megabytes_per_second": round(megabytes / seconds, 1)}


def make_examples(folder: Path, tokenizer: Path) -> dict[str, Any]:
    """Make all examples of all passes, in batches of 256."""
    settings = ExampleSettings(style="original")
    start = time.process_time()
    vocabulary = vocabulary_of(AlbertTokenizer.from_pretrained(tokenizer), settings)
    source = MaskedText(data=open_prepared(folder / "data"), vocabulary=vocabulary, settings=settings)
    examples = Examples(source)
    records = tokens = masked = 0
    for epoch in range(PASSES):
        for batch in examples.one_pass(256, epoch=epoch):
            records += len(batch)
            tokens += len(batch.input_ids)
            masked += len(batch.masked_labels)
    return finish(start, records=records, tokens=tokens, masked=masked)


def profile_prepare(folder: Path, tokenizer: Path) -> dict[str, Any]:
    """Return the functions that take most of `albert prepare`; profiling itself distorts the shares."""
    settings = PrepareSettings(
        input=(str(folder / "text10.txt"),),
        tokenizer=tokenizer,
        output=str(folder / "profiled"),
        workers=1,
        splitting="lines",
        held_out=0,
    )
    profiler = cProfile.Profile()
    start = time.process_time()
    profiler.runcall(prepare, settings)
    rows = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # typeshed leaves it out
    total = sum(row[2] for row in rows.values())
    largest = sorted(rows.items(), key=lambda item: -item[1][2])[:8]
    shares = {f"{Path(file).name}:{name}": round(row[2] / total, 3) for (file, _, name), row in largest}
    return finish(start) | {"shares": shares}


def finish(start: float, **counts: int) -> dict[str, Any]:
    """Return the CPU seconds since `start` and the peak resident set size of this process."""
    seconds = time.process_time() - start
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return {
        "cpu_seconds": round(seconds, 2),
        "peak_mb": round(int(fields["VmHWM"].split()[0]) / 1024),
        **counts,
    }


JOBS = {
    "sentencepiece_alone": sentencepiece_alone,
    "prepare": prepare_text,
    "examples": make_examples,
    "prepare_on_two_cores": prepare_on_two_cores,
    "profile": profile_prepare,
}

if __name__ == "__main__":
    main()
