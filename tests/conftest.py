"""Fixtures that more than one layer's tests use."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# Many small jobs on few cores: threads would only wait for each other.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
# A machine that does other work is slow now and then; that is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
# No test asks the Hub; those of fetching bring a Hub of their own.
os.environ["HF_HUB_OFFLINE"] = "1"

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    """The frozen selection of the original's numbers that travels with the project."""
    return GOLDEN


@pytest.fixture(scope="session")
def reference() -> Path:
    """The whole collection of the original's numbers; tests that use it are marked `reference`."""
    folder = os.environ.get("ALBERT_REFERENCE")
    if not folder:
        pytest.skip("ALBERT_REFERENCE names no folder of reference numbers")
    return Path(folder)


@pytest.fixture(scope="session")
def tokenizer_folder(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer folder with the original's small SentencePiece model (2 000 pieces)."""
    from albert.text.tokenizer import AlbertTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    AlbertTokenizer.from_pretrained(golden / "tokenization").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 60 generated documents, one sentence a line."""
    import random

    draw = random.Random(0)
    words = ["the", "a", "one", "two", "stack", "value", "module", "type", "error", "takes", "is", "not"]
    documents = []
    for _ in range(60):
        sentences = [" ".join(draw.choices(words, k=draw.randint(4, 12))) for _ in range(draw.randint(2, 9))]
        documents.append("".join(f"{sentence}.\n" for sentence in sentences))
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n".join(documents), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def prepared_data(
    corpus_file: Path, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The corpus as token shards, a fifth of the documents held out."""
    from albert.recipes.prepare import PrepareSettings, prepare

    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(
        PrepareSettings(
            input=(str(corpus_file),),
            tokenizer=tokenizer_folder,
            output=folder,
            workers=1,
            splitting="lines",
            held_out=0.2,
        )
    )
    return folder


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a model that trains in no time, for the vocabulary of `tokenizer_folder`."""
    import json

    path = tmp_path_factory.mktemp("config") / "config.json"
    shape = {
        "model_type": "albert",
        "vocab_size": 2000,
        "embedding_size": 6,
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "max_position_embeddings": 32,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    }
    path.write_text(json.dumps(shape))
    return path
