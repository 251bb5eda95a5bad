"""A toy task whose label depends on one word, and a tiny encoder, for several tests of fine-tuning."""

import random
from pathlib import Path
from typing import Any

import torch

from albert.commands.finetune import FinetuneSettings
from albert.config import AlbertConfig
from albert.model.language_models import AlbertForPreTraining
from albert.text.tokenizer import AlbertTokenizer

WORDS = ["the", "value", "of", "this", "type", "is", "a", "reference", "to", "it"]


def write_encoder(folder: Path, golden: Path, *, seed: int = 0) -> Path:
    """Write a tiny pretrained model with a vocabulary of 2,000 pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes((golden / "tokenization" / "30k-clean.model").read_bytes())
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    config = AlbertConfig(
        vocab_size=tokenizer.vocab_size,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    torch.manual_seed(seed)
    AlbertForPreTraining(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_table(path: Path, rows: list[tuple[str, ...]], *header: str) -> None:
    """Write rows below a header, separated by tabs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n", encoding="utf-8")


def sentences(count: int, *, seed: int) -> list[tuple[str, str]]:
    """Return sentences with their labels; one word of a sentence determines its label."""
    draw = random.Random(seed)
    rows = []
    for index in range(count):
        words = draw.choices(WORDS, k=draw.randint(2, 7))
        words.insert(draw.randint(0, len(words)), "error" if index % 2 else "true")
        rows.append((" ".join(words), "bad" if index % 2 else "good"))
    return rows


def write_toy(folder: Path) -> Path:
    """Write train.tsv and dev.tsv of the toy task."""
    write_table(folder / "train.tsv", sentences(96, seed=1), "text", "label")
    write_table(folder / "dev.tsv", sentences(40, seed=2), "text", "label")
    return folder


def settings(encoder: Path, data: Path, output: Path, **changes: Any) -> FinetuneSettings:
    """Return the settings of a run of a few steps."""
    values: dict[str, Any] = {
        "task": "classification",
        "max_steps": 6,
        "batch_size": 8,
        "eval_steps": 3,
        "learning_rate": 1e-3,
        "adam_beta2": 0.999,
        "precision": "float32",
        "device": "cpu",
    }
    return FinetuneSettings(model=str(encoder), data=data, output=output, **{**values, **changes})
