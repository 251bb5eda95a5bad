"""Turns the documents of a corpus into piece ids, in this process or in several, always in corpus order.

Stands between `corpus` (sentences) and `shards` (files). Documents travel in batches of a fixed size, so
the result does not depend on the number of processes, and only a few batches are under way at a time.
"""

import hashlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context, parent_process

import numpy as np
import numpy.typing as npt

from albert.errors import DataError
from albert.text.tokenizer import AlbertTokenizer

BATCH_CHARACTERS = 1 << 18
BATCHES_UNDER_WAY = 3
"""Batches waiting or in work for each process; enough that none idles."""


@dataclass(frozen=True, kw_only=True)
class EncodedDocument:
    """One document as pieces."""

    pieces: npt.NDArray[np.uint32]
    """(P,) ids of all sentences, end to end; P is at least 1."""
    sentence_ends: npt.NDArray[np.uint32]
    """(S,) where each sentence ends in `pieces`; ascending, the last is P."""
    hash_share: float
    """A number in [0, 1) that depends on the text alone; decides what is held out."""
    unknown_pieces: int
    """How many of the pieces are the unknown one."""


def encode_documents(
    documents: Iterable[list[str]], tokenizer_folder: str, *, workers: int
) -> Iterator[EncodedDocument]:
    """Encodes documents in order; those without a single piece are left out.

    Args:
        documents: Lists of sentences.
        tokenizer_folder: Where each process loads its `AlbertTokenizer`.
        workers: Processes to start; with 1 all is done in this one.

    Raises:
        DataError: A worker process died.
    """
    batches = _batches(documents)
    if workers == 1:
        tokenizer = AlbertTokenizer.from_pretrained(tokenizer_folder)
        for batch in batches:
            yield from encode_batch(batch, tokenizer)
        return
    executor = ProcessPoolExecutor(
        workers,
        # Forking a process that runs threads (Arrow's, the tokenizer's) can deadlock.
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(tokenizer_folder,),
    )
    try:
        yield from _encode_in_order(executor, batches, limit=workers * BATCHES_UNDER_WAY)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died, probably for lack of memory; run again with fewer --workers"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def encode_batch(documents: list[list[str]], tokenizer: AlbertTokenizer) -> list[EncodedDocument]:
    """Encodes the sentences of all documents in one call; drops sentences and documents of no piece."""
    encoded = tokenizer.encode_sentences([s for document in documents for s in document])
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    pieces = np.fromiter(chain.from_iterable(encoded), np.uint32, lengths.sum())
    sentence_starts = np.cumsum([0, *map(len, documents)])
    piece_starts = np.concatenate([[0], np.cumsum(lengths)])[sentence_starts]
    found = []
    for index, document in enumerate(documents):
        own_pieces = pieces[piece_starts[index] : piece_starts[index + 1]]
        own_lengths = lengths[sentence_starts[index] : sentence_starts[index + 1]]
        if not len(own_pieces):
            continue
        found.append(
            EncodedDocument(
                pieces=own_pieces,
                sentence_ends=np.cumsum(own_lengths[own_lengths > 0]).astype(np.uint32),
                hash_share=_hash_share(document),
                unknown_pieces=int(np.count_nonzero(own_pieces == tokenizer.unk_token_id)),
            )
        )
    return found


def _hash_share(document: list[str]) -> float:
    digest = hashlib.blake2b("\n".join(document).encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2.0**48


def _batches(documents: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += sum(map(len, document))
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _encode_in_order(
    executor: ProcessPoolExecutor, batches: Iterable[list[list[str]]], *, limit: int
) -> Iterator[EncodedDocument]:
    """Keeps at most `limit` batches under way and yields their documents in order."""
    waiting: deque[Future[list[EncodedDocument]]] = deque()
    for batch in batches:
        waiting.append(executor.submit(_encode_in_worker, batch))
        if len(waiting) >= limit:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


_worker_tokenizer: AlbertTokenizer | None = None


def _start_worker(tokenizer_folder: str) -> None:
    """Loads the tokenizer once a process; an interrupt is the parent's to handle."""
    global _worker_tokenizer  # noqa: PLW0603 -- a pool's initializer has no other place for its state
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker_tokenizer = AlbertTokenizer.from_pretrained(tokenizer_folder)


def _end_with_parent() -> None:
    """Ends this process when its parent is gone: a killed parent cannot, and the pool would wait for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _encode_in_worker(documents: list[list[str]]) -> list[EncodedDocument]:
    assert _worker_tokenizer is not None
    return encode_batch(documents, _worker_tokenizer)
