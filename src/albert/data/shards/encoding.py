"""Text encoded as token shards, by jobs that do not depend on each other: one job, one file.

Runs in worker processes. A job whose file exists and is complete is not done again.
"""

import tempfile
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert.choices import WordsName
from albert.data.corpus import storage
from albert.data.corpus.documents import sentence_splitter
from albert.data.shards.folder import Shard, ShardInfo, find_shard, write_shard
from albert.data.shards.jobs import EncodingRule, ShardJob
from albert.text.tokenizer import AlbertTokenizer

BATCH_CHARACTERS = 1 << 18
"""Characters encoded in one call."""

_Encoded = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Token ids, number of tokens of each sentence, and word starts, which may be empty."""


class ShardMaker:
    """Everything a process needs to do jobs."""

    def __init__(self, output: str, rule: EncodingRule, tokenizer: AlbertTokenizer) -> None:
        self.output, self.tokenizer = output, tokenizer
        self._words = rule.words
        self._split = sentence_splitter(rule.splitting, rule.language)

    def encode(self, text: bytes) -> Shard:
        """Return the tokens of a text of lines, with an empty line between documents."""
        documents = [self._split(document.split("\n")) for document in text.decode().split("\n\n")]
        return encode_documents(documents, self.tokenizer, words=self._words)


def open_maker(output: str, rule: EncodingRule, tokenizer_files: Mapping[str, bytes]) -> ShardMaker:
    """Make a maker in another process, which may have no access to the tokenizer's folder.

    Args:
        output: Folder of the shards, or its URL.
        rule: How text becomes tokens.
        tokenizer_files: Names and contents of the files that `save_pretrained` writes.
    """
    with tempfile.TemporaryDirectory(prefix="albert-") as folder:
        for name, content in tokenizer_files.items():
            (Path(folder) / name).write_bytes(content)
        tokenizer = AlbertTokenizer.from_pretrained(folder)
    return ShardMaker(output, rule, tokenizer)


def make_shard(maker: ShardMaker, job: ShardJob) -> ShardInfo:
    """Do a job, unless its file exists and is complete.

    Raises:
        DataError: The shard cannot be written.
    """
    path = storage.join(maker.output, job.name)
    found = find_shard(path)
    if found:
        return found
    tokenizer = maker.tokenizer
    shard = maker.encode(job.text)
    return write_shard(path, shard, vocab_size=len(tokenizer), unknown_id=tokenizer.unk_token_id)


def encode_documents(documents: list[list[str]], tokenizer: AlbertTokenizer, *, words: WordsName) -> Shard:
    """Encode lists of sentences; sentences and documents without a token are dropped."""
    encode = _with_words if words == "jieba" else _without_words
    sentences = [sentence for document in documents for sentence in document]
    batches = [encode(batch, tokenizer) for batch in _batches(sentences)] or [encode([], tokenizer)]
    tokens, lengths, word_starts = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    kept = np.concatenate([[0], np.cumsum(lengths > 0)])
    num_sentences = np.diff(kept[np.cumsum([0, *map(len, documents)])])
    return Shard(
        tokens=tokens,
        sentence_ends=np.cumsum(lengths[lengths > 0]),
        document_ends=np.cumsum(num_sentences[num_sentences > 0]),
        word_starts=word_starts if words == "jieba" else None,
    )


def _batches(sentences: list[str]) -> Iterator[list[str]]:
    start = characters = 0
    for end, sentence in enumerate(sentences, start=1):
        characters += len(sentence)
        if characters >= BATCH_CHARACTERS or end == len(sentences):
            yield sentences[start:end]
            start, characters = end, 0


def _without_words(sentences: list[str], tokenizer: AlbertTokenizer) -> _Encoded:
    return (*tokenizer.encode_flat(sentences), np.empty(0, np.bool_))


def _with_words(sentences: list[str], tokenizer: AlbertTokenizer) -> _Encoded:
    rows, starts = tokenizer.encode_sentences_with_words(sentences)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    tokens = np.fromiter(chain.from_iterable(rows), np.int32, lengths.sum())
    return tokens, lengths, np.fromiter(chain.from_iterable(starts), np.bool_, lengths.sum())
