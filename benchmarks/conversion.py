"""Convert a synthetic xxlarge checkpoint of the original: seconds and peak memory.

The 223 million parameters are random, written in TensorFlow's layout. The conversion runs in its own process,
which reports its peak resident set size (VmHWM of Linux).
usage: python benchmarks/conversion.py
"""

import json
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from albert import AlbertConfig, AlbertForPreTraining
from albert.checkpoint.names import to_original
from albert.text.vocabulary import train_wordpiece

ROOT = Path(__file__).parents[1]
PROGRAM = """
import sys, time
from albert.conversion.conversion import convert
from pathlib import Path
start = time.perf_counter()
model = convert(sys.argv[1], Path(sys.argv[2]))
seconds = time.perf_counter() - start
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(seconds, int(peak) / 1e6, model.account, sep=chr(9))
"""


def write_checkpoint(folder: Path, *, size: str, vocab_size: int) -> int:
    """Write a checkpoint of a published size with a vocabulary; return its size in bytes."""
    writer = runpy.run_path(str(ROOT / "tests" / "checkpoint" / "bundle_writer.py"))
    config = AlbertConfig.of_size(size, vocab_size=vocab_size)
    torch.manual_seed(0)
    model = AlbertForPreTraining(config)
    variables = to_original({name: parameter.detach() for name, parameter in model.named_parameters()})
    writer["write_bundle"](folder / "model.ckpt-best", variables)
    words = (f"{number:05}" for number in range(100_000))
    vocabulary = train_wordpiece(words, vocab_size=vocab_size)
    (folder / "vocab.txt").write_text("\n".join(vocabulary.vocabulary) + "\n", encoding="utf-8")
    fields = (
        "vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size",
    )  # fmt: skip
    shape = {field: getattr(config, field) for field in fields}
    (folder / "albert_config.json").write_text(json.dumps({**shape, "hidden_act": "gelu"}))
    return sum(path.stat().st_size for path in folder.glob("model.ckpt-best.*"))


def main() -> None:
    """Print the measurement as JSON."""
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name) / "source", Path(name) / "output"
        source.mkdir()
        size = write_checkpoint(source, size="xxlarge", vocab_size=30_000)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(source), str(output)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, peak_gigabytes, account = done.stdout.strip().split("\t")
    result = {
        "job": "convert a synthetic xxlarge checkpoint of the original",
        "bytes": size,
        "seconds": float(seconds),
        "peak_gigabytes": float(peak_gigabytes),
        "tensors": account,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
