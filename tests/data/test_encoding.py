"""Encoding keeps the order and the sentences of a corpus, with any number of processes."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from albert.data import encoding
from albert.data.encoding import encode_batch, encode_documents
from albert.text.tokenizer import AlbertTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{x}" for x in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return str(folder)


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: str) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(tokenizer_folder)


def make_documents(count: int) -> list[list[str]]:
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list(LETTERS), 4)) for _ in range(50)]
    return [
        [" ".join(random.choice(words, random.integers(1, 8))) for _ in range(random.integers(1, 6))]
        for _ in range(count)
    ]


def test_sentences_end_where_the_tokenizer_ends_them(tokenizer: AlbertTokenizer) -> None:
    documents = make_documents(20)
    for document, encoded in zip(documents, encode_batch(documents, tokenizer), strict=True):
        parts = np.split(encoded.pieces, encoded.sentence_ends)
        assert [part.tolist() for part in parts[:-1]] == tokenizer.encode_sentences(document)
        assert not len(parts[-1])


def test_sentences_and_documents_without_a_piece_are_left_out(tokenizer: AlbertTokenizer) -> None:
    encoded = encode_batch([["ab", "\u200b", "c"], ["\u200b"], ["d 5"]], tokenizer)
    assert [document.sentence_ends.tolist() for document in encoded] == [[2, 3], [2]]
    assert [document.unknown_pieces for document in encoded] == [0, 1]


def test_hash_depends_on_the_text_alone_and_is_spread_evenly(tokenizer: AlbertTokenizer) -> None:
    documents = make_documents(3000)
    shares = [document.hash_share for document in encode_batch(documents, tokenizer)]
    assert shares[::-1] == [document.hash_share for document in encode_batch(documents[::-1], tokenizer)]
    counts, _ = np.histogram(shares, bins=10, range=(0, 1))
    assert np.all(np.abs(counts - 300) < 4 * np.sqrt(300))


def test_processes_give_the_documents_of_one_process_in_order(
    tokenizer_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 200)
    documents = make_documents(100)
    alone, together = (
        [
            (document.pieces.tolist(), document.sentence_ends.tolist(), document.hash_share)
            for document in encode_documents(documents, tokenizer_folder, workers=workers)
        ]
        for workers in (1, 2)
    )
    assert len(alone) == 100
    assert alone == together


def test_only_a_few_batches_are_read_ahead(tokenizer_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 1)
    documents = iter(make_documents(100))
    stream = encode_documents(documents, tokenizer_folder, workers=2)
    next(stream)
    stream.close()
    assert len(list(documents)) >= 100 - 2 * encoding.BATCHES_UNDER_WAY - 1


ENDLESS_JOB = """
import itertools, multiprocessing, sys
from albert.data.encoding import encode_documents
stream = encode_documents(itertools.repeat(["ab cd " * 50_000]), sys.argv[1], workers=2)
next(stream)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
for _ in stream:
    pass
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_processes_end_when_the_job_is_killed(tokenizer_folder: str) -> None:
    job = subprocess.Popen([sys.executable, "-c", ENDLESS_JOB, tokenizer_folder], stdout=subprocess.PIPE)
    with job:
        assert job.stdout is not None
        workers = [int(pid) for pid in job.stdout.readline().split()]
        job.kill()
        job.wait()
        deadline = time.monotonic() + 20
        while any(map(is_running, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert len(workers) == 2
    assert not any(map(is_running, workers))
