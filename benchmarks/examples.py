"""Measures how fast masked examples are made from shards, on one core.

    .venv/bin/python benchmarks/examples.py [TEXT]

Without TEXT, on generated token shards of the shape of English (sentences of about 22 pieces, two thirds of
the pieces opening a word); with it, on that corpus, for which a vocabulary of 8 000 pieces is
trained. Work is timed in CPU seconds after one warm-up batch; opening shards and segmentation are included.
"""

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from albert.data.example_settings import ExampleSettings
from albert.data.examples import Examples
from albert.data.masked_text import MaskedText
from albert.data.masking import Vocabulary, vocabulary_of
from albert.data.shards import PreparedData, Shard, TokenizerInfo, open_prepared, write_meta, write_shard
from albert.recipes.prepare import PrepareSettings, prepare
from albert.text.tokenizer import AlbertTokenizer

VOCAB_SIZE = 30_000
MAX_SEQ_LENGTHS = (512, 128, 64)
SHARD_PIECES = 1_000_000
TOKENS = 6_000_000
REPEATS = 5


@dataclass(frozen=True)
class Table:
    """A rule of words that is a table over the vocabulary."""

    opens_word: np.ndarray[tuple[int], np.dtype[np.bool_]]

    def opens(self, ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[Any, Any]:
        """Returns which of the pieces open a word."""
        return self.opens_word[ids]


def generate(folder: Path, *, pieces: int = 10_000_000) -> tuple[PreparedData, Vocabulary]:
    """Writes random documents and returns them with a vocabulary that fits."""
    random = np.random.default_rng(0)
    infos = []
    for number in range(pieces // SHARD_PIECES):
        ends = np.cumsum(2 + random.poisson(20, SHARD_PIECES // 22))
        documents = np.append(np.flatnonzero(random.random(len(ends) - 1) < 0.02) + 1, len(ends))
        ids = random.integers(5, VOCAB_SIZE, ends[-1], dtype=np.uint32)
        shard = Shard(pieces=ids, sentence_ends=ends, document_ends=documents)
        path = folder / f"train-{number:05}.arrow"
        infos.append(write_shard(path, shard, vocab_size=VOCAB_SIZE, unknown_id=1))
    tokenizer = TokenizerInfo(
        fingerprint="0", kind="sentencepiece", do_lower_case=True, vocab_size=VOCAB_SIZE
    )
    write_meta(folder, shards={"train": infos, "held-out": []}, tokenizer=tokenizer, counts={})
    vocabulary = Vocabulary(
        size=VOCAB_SIZE,
        cls_id=2,
        sep_id=3,
        mask_id=4,
        ordinary_ids=np.arange(5, VOCAB_SIZE),
        words=Table(random.random(VOCAB_SIZE) < 0.67),
    )
    return open_prepared(folder), vocabulary


def train_tokenizer(text: Path, folder: Path) -> None:
    """Trains a SentencePiece vocabulary on the beginning of a text."""
    folder.mkdir()
    sample = folder / "sample.txt"
    with text.open(encoding="utf-8", errors="replace") as file:
        sample.write_text(file.read(4_000_000).lower(), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(sample),
        model_prefix=str(folder / "spiece"),
        vocab_size=8000,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        max_sentence_length=16_384,
        minloglevel=2,
    )
    sample.unlink()


def prepare_text(text: Path, folder: Path) -> tuple[PreparedData, Vocabulary]:
    """Prepares a real corpus and returns it with its vocabulary."""
    train_tokenizer(text, folder / "tokenizer")
    prepare(PrepareSettings(input=(str(text),), tokenizer=folder / "tokenizer", output=str(folder / "data")))
    return open_prepared(folder / "data"), vocabulary_of(
        AlbertTokenizer.from_pretrained(folder / "tokenizer"), ExampleSettings()
    )


def measure(data: PreparedData, vocabulary: Vocabulary, max_seq_length: int) -> dict[str, float]:
    """Returns tokens made in a CPU second, the median of some repeats, and what the tokens were like."""
    settings = ExampleSettings(max_seq_length=max_seq_length)
    stream = Examples(MaskedText(data=data, vocabulary=vocabulary, settings=settings)).batches(64)
    next(stream)
    speeds = []
    tokens = masked = sequences = 0
    for _ in range(REPEATS):
        start, made = time.process_time(), 0
        while made < TOKENS / REPEATS:
            batch = next(stream)
            made += len(batch.input_ids)
            masked += len(batch.masked_labels)
            sequences += len(batch)
        speeds.append(made / (time.process_time() - start))
        tokens += made
    return {
        "max_seq_length": max_seq_length,
        "tokens_per_cpu_second": round(statistics.median(speeds)),
        "mean_length": round(tokens / sequences, 1),
        "masked_share": round(masked / tokens, 4),
    }


def main() -> None:
    text = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, vocabulary = prepare_text(Path(text), folder) if text else generate(folder)
        rows = [measure(data, vocabulary, length) for length in MAX_SEQ_LENGTHS]
    print(json.dumps({"benchmark": "examples", "text": text or "generated", "results": rows}, indent=1))


if __name__ == "__main__":
    main()
