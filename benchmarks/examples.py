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
from pathlib import Path

import numpy as np
import sentencepiece

from albert.data.encoding import EncodedDocument
from albert.data.examples import Examples, ExampleSettings
from albert.data.masking import Vocabulary, vocabulary_of
from albert.data.shards import PreparedData, ShardWriter, TokenizerInfo, open_prepared, write_meta
from albert.recipes.prepare import PrepareSettings, prepare
from albert.text.tokenizer import AlbertTokenizer

VOCAB_SIZE = 30_000
MAX_SEQ_LENGTHS = (512, 128, 64)
TOKENS = 6_000_000
REPEATS = 5


def generate(folder: Path, *, pieces: int = 10_000_000) -> tuple[PreparedData, Vocabulary]:
    """Writes random documents and returns them with a vocabulary that fits."""
    random = np.random.default_rng(0)
    writer = ShardWriter(folder, "train", vocab_size=VOCAB_SIZE, shard_pieces=2_000_000)
    written = 0
    while written < pieces:
        ends = np.cumsum(2 + random.poisson(20, 1 + random.geometric(0.02))).astype(np.uint32)
        ids = random.integers(5, VOCAB_SIZE, ends[-1], dtype=np.uint32)
        writer.add(EncodedDocument(pieces=ids, sentence_ends=ends, hash_share=0.5, unknown_pieces=0))
        written += len(ids)
    writer.finish()
    tokenizer = TokenizerInfo(
        fingerprint="0", kind="sentencepiece", do_lower_case=True, vocab_size=VOCAB_SIZE
    )
    write_meta(folder, shards={"train": writer.shards, "held-out": []}, tokenizer=tokenizer, counts={})
    vocabulary = Vocabulary(
        cls_id=2,
        sep_id=3,
        mask_id=4,
        ordinary_ids=np.arange(5, VOCAB_SIZE),
        opens_word=random.random(VOCAB_SIZE) < 0.67,
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
    prepare(PrepareSettings(input=(str(text),), tokenizer=folder / "tokenizer", output=folder / "data"))
    return open_prepared(folder / "data"), vocabulary_of(
        AlbertTokenizer.from_pretrained(folder / "tokenizer")
    )


def measure(data: PreparedData, vocabulary: Vocabulary, max_seq_length: int) -> dict[str, float]:
    """Returns tokens made in a CPU second, the median of some repeats, and what the tokens were like."""
    examples = Examples(data, vocabulary, ExampleSettings(max_seq_length=max_seq_length))
    stream = examples.batches(64)
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
