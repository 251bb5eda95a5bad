"""A corpus cut into jobs of a given size, each of which makes one token shard.

No tokenizer is needed, so the process that reads the corpus can do this as well. The name of a job has a
digest of everything its shard depends on, so a finished shard is recognised by its name.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from albert.choices import SplitName, WordsName
from albert.data.corpus.documents import LineMeaning
from albert.data.shards.folder import FORMAT_VERSION, SHARD_SUFFIX, SPLITS

MIN_DOCUMENTS_TO_HOLD_OUT = 20
"""A corpus of as many documents has at least one held out, however small the share."""


@dataclass(frozen=True, kw_only=True)
class EncodingRule:
    """How text becomes tokens; rule and text determine every byte of a shard."""

    tokenizer: str
    """Fingerprint of the tokenizer."""
    splitting: LineMeaning
    """What a line is."""
    language: str
    """ISO 639 code, for the splitting into sentences."""
    words: WordsName
    """What a word is: what the vocabulary says, or words by jieba."""


@dataclass(frozen=True, kw_only=True)
class ShardJob:
    """The documents of one shard."""

    name: str
    """File name of the shard."""
    split: SplitName
    """Split of the documents."""
    text: bytes
    """UTF-8 lines, with an empty one between documents."""


def cut_jobs(
    documents: Iterable[list[str]], rule: EncodingRule, *, held_out: float, shard_bytes: int
) -> Iterator[ShardJob]:
    """Gather the documents of each split, in corpus order, into jobs of at least `shard_bytes` of text.

    Args:
        documents: Lists of non-empty lines.
        rule: How they will be encoded.
        held_out: Share of the documents for the split of this name.
        shard_bytes: Size at which a job is complete; only the last of a split is smaller.
    """
    gathered: dict[SplitName, list[bytes]] = {split: [] for split in SPLITS}
    sizes, numbers = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)

    def close(split: SplitName) -> ShardJob:
        job = _make_job(rule, split, numbers[split], gathered[split])
        gathered[split], sizes[split] = [], 0
        numbers[split] += 1
        return job

    for split, text in split_documents(map(join_lines, documents), held_out):
        gathered[split].append(text)
        sizes[split] += len(text)
        if sizes[split] >= shard_bytes:
            yield close(split)
    for split in SPLITS:
        if gathered[split]:
            yield close(split)


def join_lines(lines: Iterable[str]) -> bytes:
    """Return the lines of a document as one text."""
    return "\n".join(lines).encode()


def split_documents(texts: Iterable[bytes], held_out: float) -> Iterator[tuple[SplitName, bytes]]:
    """Assign each document to a split by the hash of its text, so that equal texts stay together.

    If none of 20 or more documents has a hash below the share `held_out`, the one with the smallest hash is
    held out; to avoid a second pass, the document with the smallest hash so far is kept until the end.
    """
    if not held_out:
        yield from (("train", text) for text in texts)
        return
    smallest: bytes | None = None
    smallest_share = 1.0
    num_documents = num_held_out = 0
    for text in texts:
        num_documents += 1
        share = hash_share(text)
        if share < held_out:
            num_held_out += 1
            yield "held-out", text
        elif share < smallest_share:
            if smallest is not None:
                yield "train", smallest
            smallest, smallest_share = text, share
        else:
            yield "train", text
    if smallest is not None:
        lacking = not num_held_out and num_documents >= MIN_DOCUMENTS_TO_HOLD_OUT
        yield "held-out" if lacking else "train", smallest


def hash_share(text: bytes) -> float:
    """Return a number in [0, 1) that depends on the text only; it decides what is held out."""
    digest = hashlib.blake2b(text, digest_size=6).digest()
    return int.from_bytes(digest) / 2.0**48


def _make_job(rule: EncodingRule, split: SplitName, number: int, documents: list[bytes]) -> ShardJob:
    text = b"\n\n".join(documents)
    digest = hashlib.blake2b(digest_size=8)
    for part in (str(FORMAT_VERSION), split, rule.tokenizer, rule.splitting, rule.language, rule.words):
        digest.update(part.encode() + b"\0")
    digest.update(text)
    return ShardJob(name=f"{split}-{number:05}-{digest.hexdigest()}{SHARD_SUFFIX}", split=split, text=text)
