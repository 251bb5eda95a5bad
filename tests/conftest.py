"""Fixtures for the tests of more than one room."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# Tests are many small jobs on few cores, where threads would only wait for each other.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
# A busy machine may be slow at times, which is not a failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
# No test contacts the Hub; the tests of fetching start a fake one.
os.environ["HF_HUB_OFFLINE"] = "1"
# Processes that a shell starts in the background ignore Ctrl-C, and so would those that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

BUCKET_NUMBERS = count()
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    """The frozen selection of the original's numbers that is part of the project."""
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
    """A text of 60 generated documents, one sentence per line."""
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
    from albert.commands.prepare import PrepareSettings, prepare

    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(
        PrepareSettings(
            input=(str(corpus_file),),
            tokenizer=tokenizer_folder,
            output=str(folder),
            workers=1,
            splitting="lines",
            held_out=0.2,
        )
    )
    return folder


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a model that trains very fast, for the vocabulary of `tokenizer_folder`."""
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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of a real S3 server on this machine, a separate process that ends with the tests."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty bucket; the environment points this process, and those it starts, to the server."""
    from s3fs import S3FileSystem

    environment = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    bucket = f"s3://bucket-{next(BUCKET_NUMBERS)}"
    S3FileSystem().mkdir(bucket)
    yield bucket
    S3FileSystem.clear_instance_cache()
