"""Files for the tests of fine-tuning: a pretrained model of the original, and data of RACE and albert_zh."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from samples.original_files import SHAPE, WRITER, random_model, write_tensorflow

LONG_SHAPE = {**SHAPE, "max_position_embeddings": 512}


@dataclass(frozen=True)
class Pretrained:
    """The files that a user of the original has."""

    config: Path
    checkpoint: Path
    spm_model: Path

    def flags(self) -> list[str]:
        return [
            f"--albert_config_file={self.config}",
            f"--init_checkpoint={self.checkpoint}",
            f"--spm_model_file={self.spm_model}",
        ]


def write_pretrained(folder: Path, golden: Path) -> Pretrained:
    """Write a TensorFlow checkpoint with its configuration, but without a vocabulary next to it."""
    checkpoint = write_tensorflow(
        folder / "albert" / "model.ckpt-best", random_model(max_position_embeddings=512)
    )
    config = folder / "albert_config.json"
    config.write_text(json.dumps(LONG_SHAPE))
    return Pretrained(config, checkpoint, golden / "tokenization" / "30k-clean.model")


def write_race(folder: Path, golden: Path) -> Path:
    """Write RACE with the questions of its dev set in all splits; return the data folder."""
    for split in ("train", "dev", "test"):
        shutil.copytree(golden / "race" / "data" / "RACE" / "dev", folder / "RACE" / split)
    return folder


def results_in(path: Path) -> list[dict[str, float]]:
    """Return the numbers of each evaluation in a file of results."""
    blocks = re.split(r"^=+\n", path.read_text(), flags=re.M)
    return [
        {name: float(value) for name, value in re.findall(r"^(\w+) = (\S+)$", block, flags=re.M)}
        for block in blocks
        if block.strip()
    ]


def steps_kept(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def write_albert_zh(folder: Path, *, hidden: int = 8, width: int = 12) -> Path:
    """Write the files of albert_zh's download: checkpoint, configuration and vocabulary."""
    folder.mkdir(parents=True)
    characters = [chr(0x4E00 + number) for number in range(60)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    shape = {**SHAPE, "vocab_size": len(pieces), "hidden_size": hidden, "intermediate_size": width}
    (folder / "albert_config_tiny.json").write_text(json.dumps({**shape, "ln_type": "postln"}))
    layer, width_of = (
        "encoder/layer_shared",
        {"intermediate/dense": (hidden, width), "output/dense": (width, hidden)},
    )
    square = ("attention/self/query", "attention/self/key", "attention/self/value", "attention/output/dense")
    kernels = {f"{layer}/{name}": width_of.get(name, (hidden, hidden)) for name in (*square, *width_of)}
    kernels["pooler/dense"] = (hidden, hidden)
    sizes: dict[str, tuple[int, ...]] = {
        "embeddings/word_embeddings": (len(pieces), 6),
        "embeddings/word_embeddings_2": (6, hidden),
        "embeddings/position_embeddings": (128, hidden),
        "embeddings/token_type_embeddings": (2, hidden),
        **{f"{name}/kernel": size for name, size in kernels.items()},
        **{f"{name}/bias": (size[1],) for name, size in kernels.items()},
    }
    for place in ("embeddings", f"{layer}/attention/output", f"{layer}/output"):
        sizes |= {f"{place}/LayerNorm/{part}": (hidden,) for part in ("gamma", "beta")}
    draw = torch.Generator().manual_seed(0)
    variables = {f"bert/{name}": torch.randn(size, generator=draw) for name, size in sizes.items()}
    WRITER.write_bundle(folder / "albert_model.ckpt", variables)
    return folder
