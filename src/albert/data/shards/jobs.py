"""A corpus cut into jobs of a given size, each of which makes one token shard.

No tokenizer is needed, so the process that reads the corpus can do this as well. The name of a job has a
digest of everything its shard depends on, so a finished shard is recognised by its name.
"""

import hashlib
from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from albert.choices import SplitName, WordsName
from albert.data.corpus.documents import LineMeaning
from albert.data.shards.folder import FORMAT_VERSION, SHARD_SUFFIX, SPLITS

MIN_DOCUMENTS_TO_HOLD_OUT = 20
"""A corpus of as many documents has at least one held out, however small the share."""
ENOUGH_LINES = 300
"""Lines to hold out if the share has fewer: scores of a few sentences are noise."""
LARGEST_SHARE = 0.1
"""Share of the documents up to which more are held out to have enough lines."""


_Waiting = tuple[float, bytes, int]
"""Hash, text and number of lines of a document that may be held out."""


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

    A document whose hash is below the share `held_out` is held out. If these have fewer than `ENOUGH_LINES`
    lines, so are the documents with the next hashes, up to `LARGEST_SHARE`, and at least one of 20 or more
    documents, but none that the corpus has twice. To avoid a second pass, those that may be needed are kept
    until the end; they have at most twice as many lines, or are a single document.
    """
    if not held_out:
        yield from (("train", text) for text in texts)
        return
    waiting: list[_Waiting] = []
    repeated: set[bytes] = set()
    num_documents = num_held_out = num_lines = 0
    for text in texts:
        num_documents += 1
        share, lines = hash_share(text), text.count(b"\n") + 1
        if share < held_out:
            num_held_out += 1
            num_lines += lines
            yield "held-out", text
        elif share >= LARGEST_SHARE and (num_held_out or (waiting and waiting[0][0] < share)):
            yield "train", text
            continue
        elif (share, text, lines) in waiting:
            repeated.add(text)
            yield "train", text
            continue
        else:
            insort(waiting, (share, text, lines))
        waiting, spare = _choose(waiting, num_lines=num_lines, any_held_out=num_held_out > 0)
        yield from (("train", text) for _, text, _ in spare)
    for _, text, _ in waiting:
        is_held_out = num_documents >= MIN_DOCUMENTS_TO_HOLD_OUT and text not in repeated
        yield "held-out" if is_held_out else "train", text


def _choose(
    waiting: list[_Waiting], *, num_lines: int, any_held_out: bool
) -> tuple[list[_Waiting], list[_Waiting]]:
    """Return the documents to hold out in addition to those with `num_lines` lines, and the others.

    A document that is not needed once is never needed later, so that a second copy of it cannot be held out.
    Therefore long documents do not count, as one of them may be replaced by short ones, but repeated ones do.
    """
    needed: list[_Waiting] = []
    spare: list[_Waiting] = []
    for share, text, lines in waiting:
        is_first = not (any_held_out or needed)
        is_short = lines <= ENOUGH_LINES
        is_wanted = num_lines < ENOUGH_LINES and share < LARGEST_SHARE and is_short
        (needed if is_first or is_wanted else spare).append((share, text, lines))
        if is_short and (is_first or is_wanted):
            num_lines += lines
    return needed, spare


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
