"""`albert prepare`: raw text to token shards, once; examples are then made from them while training.

Reads documents, encodes them (in several processes), holds some out for evaluation, and writes shards in
corpus order. The folder depends on text, tokenizer and settings alone, never on the number of processes.
Stopped at any moment it leaves no half shard under a final name; the same command then begins anew.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from albert import console
from albert.data.corpus import Splitting, read_documents
from albert.data.encoding import EncodedDocument, encode_documents
from albert.data.files import Decoding, Tally, find_files, total_bytes
from albert.data.shards import (
    DEFAULT_SHARD_PIECES,
    META_NAME,
    SPLITS,
    ShardWriter,
    SplitName,
    TokenizerInfo,
    open_prepared,
    remove_shards,
    write_meta,
    write_whole,
)
from albert.errors import ConfigError, RunError
from albert.text.tokenizer import AlbertTokenizer

JOB_NAME = "prepare.json"
"""Holds the settings; written first, so that an unfinished folder tells whose it is."""

BYTES_PER_WORKER = 1 << 22
"""Text that is worth the start of one more process."""
MIN_DOCUMENTS_TO_HOLD_OUT = 20
"""From here on at least one document is held out, however small the share."""


def available_cores() -> int:
    """Returns the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Turns raw text into token shards for pretraining."""

    input: tuple[str, ...]
    """Text: .txt, .txt.gz, .txt.zst (a blank line between documents), .jsonl (field "text"), or folders
    and globs of these."""
    tokenizer: Path
    """Folder of the tokenizer, as `albert vocab` writes it."""
    output: Path
    """Folder for the shards."""
    workers: int = field(default_factory=available_cores)
    """Processes; the result does not depend on it. Little text is prepared by fewer."""
    splitting: Splitting = "auto"
    """What a line is: a sentence (lines), or a paragraph to be split (sentences). auto looks at a sample."""
    language: str = "en"
    """ISO 639 code of the text; guides the splitting into sentences."""
    errors: Decoding = "strict"
    """What to do with bytes that are not UTF-8: stop, or replace them."""
    held_out: float = 0.01
    """Share of the documents kept for evaluation, chosen by a hash of their text."""
    shard_pieces: int = DEFAULT_SHARD_PIECES
    """Pieces in a shard; examples are shuffled within four shards."""

    def __post_init__(self) -> None:
        if not self.input:
            raise ConfigError("no input given; name text files or folders with --input")
        if self.workers < 1 or self.shard_pieces < 1:
            raise ConfigError(
                f"workers is {self.workers}, shard_pieces {self.shard_pieces}; expected at least 1 of each"
            )
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}; expected a share from 0 to below 1")


def prepare(settings: PrepareSettings) -> dict[str, Any]:
    """Prepares a corpus, unless the output folder holds it already, and returns what was counted.

    Raises:
        DataError: The corpus cannot be read, or the output not written.
        TokenizerError: The tokenizer folder cannot be used.
        RunError: The output folder holds something else.
    """
    start = time.monotonic()
    files = find_files(settings.input)
    tokenizer = AlbertTokenizer.from_pretrained(settings.tokenizer)
    job = _describe_job(settings, files, tokenizer)
    if _is_finished(settings, job):
        data = open_prepared(settings.output)
        console.say(f"{settings.output}: finished before, nothing to do")
        return dict(data.counts)

    settings.output.mkdir(parents=True, exist_ok=True)
    remove_shards(settings.output)
    write_whole(settings.output / JOB_NAME, json.dumps(job, indent=1).encode() + b"\n")
    tokenizer.save_pretrained(settings.output)

    counts = _write_shards(settings, files, tokenizer)
    seconds = time.monotonic() - start
    megabytes = total_bytes(files) / 1e6
    console.say(
        f"{settings.output}: {counts['documents']} documents, "
        f"{console.human_count(counts['pieces'])} pieces, {megabytes:.1f} MB in "
        f"{console.human_seconds(seconds)} ({megabytes / seconds:.1f} MB/s)"
    )
    return counts | {"megabytes": round(megabytes, 3), "seconds": round(seconds, 2)}


def split_documents(
    documents: Iterable[EncodedDocument], held_out: float
) -> Iterator[tuple[SplitName, EncodedDocument]]:
    """Assigns each document to a split by the hash of its text, so that equal texts stay together.

    Where none of 20 or more documents falls below the share `held_out`, the one of the smallest hash is
    held out; to know it without a second pass, the smallest so far is kept back.
    """
    if not held_out:
        yield from (("train", document) for document in documents)
        return
    smallest: EncodedDocument | None = None
    num_documents = num_held_out = 0
    for document in documents:
        num_documents += 1
        if document.hash_share < held_out:
            num_held_out += 1
            yield "held-out", document
        elif smallest is None or document.hash_share < smallest.hash_share:
            if smallest:
                yield "train", smallest
            smallest = document
        else:
            yield "train", document
    if smallest:
        lacking = not num_held_out and num_documents >= MIN_DOCUMENTS_TO_HOLD_OUT
        yield "held-out" if lacking else "train", smallest


def _describe_job(settings: PrepareSettings, files: list[Path], tokenizer: AlbertTokenizer) -> dict[str, Any]:
    """Returns everything the shards depend on."""
    return {
        "input": list(settings.input),
        "input_files": len(files),
        "input_bytes": total_bytes(files),
        "tokenizer": tokenizer.fingerprint,
        "splitting": settings.splitting,
        "language": settings.language,
        "errors": settings.errors,
        "held_out": settings.held_out,
        "shard_pieces": settings.shard_pieces,
    }


def _is_finished(settings: PrepareSettings, job: dict[str, Any]) -> bool:
    """Returns whether the output folder holds this very job, finished; refuses a folder of anything else."""
    output = settings.output
    if output.exists() and not output.is_dir():
        raise RunError(f"{output}: is a file; choose a folder for --output")
    if not output.exists() or not any(output.iterdir()):
        return False
    try:
        earlier = json.loads((output / JOB_NAME).read_bytes())
    except FileNotFoundError:
        if output.resolve() == settings.tokenizer.resolve():
            return False
        raise RunError(f"{output}: holds other files; choose a new or empty folder for --output") from None
    except ValueError as error:
        raise RunError(f"{output / JOB_NAME}: damaged ({error}); remove the folder") from error
    differing = [name for name in job if earlier.get(name) != job[name]]
    if differing:
        told = ", ".join(f"{name} ({earlier.get(name)} there, {job[name]} now)" for name in differing)
        raise RunError(
            f"{output}: holds text prepared with other settings: {told}; choose another --output or "
            "remove the folder"
        )
    return (output / META_NAME).exists()


def _write_shards(settings: PrepareSettings, files: list[Path], tokenizer: AlbertTokenizer) -> dict[str, Any]:
    """Reads, encodes and writes the whole corpus, then its meta file; returns what was counted."""
    writers = {
        split: ShardWriter(
            settings.output, split, vocab_size=tokenizer.vocab_size, shard_pieces=settings.shard_pieces
        )
        for split in SPLITS
    }
    tally = Tally()
    counter: Counter[str] = Counter()
    for split, document in split_documents(_encode(settings, files, tally), settings.held_out):
        writers[split].add(document)
        counter["documents"] += 1
        counter["held_out_documents"] += split == "held-out"
        counter["sentences"] += len(document.sentence_ends)
        counter["pieces"] += len(document.pieces)
        counter["unknown_pieces"] += document.unknown_pieces
    for writer in writers.values():
        writer.finish()
    _warn_of_structure(counter, tally)
    counts: dict[str, Any] = {
        name: counter[name] for name in ("documents", "held_out_documents", "sentences", "pieces")
    }
    counts["unknown_share"] = round(counter["unknown_pieces"] / max(1, counter["pieces"]), 6)
    counts["shards"] = sum(len(writer.shards) for writer in writers.values())
    write_meta(
        settings.output,
        shards={split: writer.shards for split, writer in writers.items()},
        tokenizer=TokenizerInfo(
            fingerprint=tokenizer.fingerprint,
            kind=tokenizer.kind,
            do_lower_case=tokenizer.do_lower_case,
            vocab_size=tokenizer.vocab_size,
        ),
        counts=counts,
    )
    return counts


def _encode(settings: PrepareSettings, files: list[Path], tally: Tally) -> Iterator[EncodedDocument]:
    """Reads and encodes the documents, showing how far the reading is."""
    documents = read_documents(
        files, splitting=settings.splitting, language=settings.language, errors=settings.errors, tally=tally
    )
    size = total_bytes(files)
    workers = min(settings.workers, 1 + size // BYTES_PER_WORKER)
    shown = 0
    with console.progress("preparing", total=size, unit="B") as progress:
        for document in encode_documents(documents, str(settings.tokenizer), workers=workers):
            if tally.bytes_read > shown:
                progress.advance(tally.bytes_read - shown)
                shown = tally.bytes_read
            yield document


def _warn_of_structure(counter: Counter[str], tally: Tally) -> None:
    """Warns of a corpus from which the order of sentences cannot be learnt as it should."""
    if tally.cuts:
        console.say(f"documents too long to hold in memory were cut in {tally.cuts} places")
    if tally.documents - tally.cuts == 1:
        console.warn(
            "no blank line, so all text is one document: pairs of sentences will cross from one text to the "
            "next and nothing can be held out; put a blank line between documents"
        )
    elif counter["sentences"] < 1.1 * counter["documents"]:
        console.warn(
            "nearly every document is a single sentence: sentence order cannot be learnt; blank lines "
            "belong between documents, not between sentences"
        )
