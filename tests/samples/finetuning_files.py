"""Files for the tests of fine-tuning: a pretrained model of the original's, data of GLUE, SQuAD and RACE."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from samples.original_files import SHAPE, random_model, write_tensorflow

LONG_SHAPE = {**SHAPE, "max_position_embeddings": 512}


@dataclass(frozen=True)
class Pretrained:
    """What a user of the original has."""

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
    """Writes a checkpoint of TensorFlow with its configuration; no vocabulary lies beside it."""
    checkpoint = write_tensorflow(
        folder / "albert" / "model.ckpt-best", random_model(max_position_embeddings=512)
    )
    config = folder / "albert_config.json"
    config.write_text(json.dumps(LONG_SHAPE))
    return Pretrained(config, checkpoint, golden / "tokenization" / "30k-clean.model")


def write_race(folder: Path, golden: Path) -> Path:
    """Writes RACE with the questions of its dev set in all splits; returns the data folder."""
    for split in ("train", "dev", "test"):
        shutil.copytree(golden / "race" / "data" / "RACE" / "dev", folder / "RACE" / split)
    return folder


def results_in(path: Path) -> list[dict[str, float]]:
    """Returns the numbers of each evaluation in a file of results."""
    blocks = re.split(r"^=+\n", path.read_text(), flags=re.M)
    return [
        {name: float(value) for name, value in re.findall(r"^(\w+) = (\S+)$", block, flags=re.M)}
        for block in blocks
        if block.strip()
    ]


def steps_kept(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())
