"""A corpus to token shards: the settings of `albert prepare`, and its work.

This process reads the documents, holds some out for evaluation, and cuts the rest of the work into jobs that
processes or a cluster do: one job, one shard. The folder depends on text, tokenizer and settings alone.
Stopped at any moment and started again, it does what is missing; the folder is that of an unbroken run.
"""

import json
import math
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from albert import console
from albert.data.check.forecast import check_room, forecast, peek
from albert.data.corpus import storage
from albert.data.corpus.documents import LineMeaning, Splitting, detect_splitting, read_documents
from albert.data.corpus.files import Decoding, Reading, Tally, find_files, report_skipped, total_bytes
from albert.data.examples.settings import ExampleSettings
from albert.data.shards.encoding import ShardMaker, make_shard, open_maker
from albert.data.shards.folder import (
    META_NAME,
    SPLITS,
    ShardInfo,
    SplitName,
    TokenizerInfo,
    WordsName,
    read_meta,
    remove_damaged,
    remove_other_shards,
    write_meta,
)
from albert.data.shards.jobs import EncodingRule, ShardJob, cut_jobs
from albert.data.workers import Workers, map_in_order
from albert.errors import ConfigError, DataError, RunError
from albert.text.tokenizer import AlbertTokenizer

JOB_NAME = "prepare.json"
"""Holds the settings; written first, so that an unfinished folder tells whose it is."""

BYTES_PER_WORKER = 1 << 22
"""Text that is worth the start of one more process."""


def available_cores() -> int:
    """Returns the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Turns raw text into token shards for pretraining."""

    input: tuple[str, ...]
    """Text: .txt (a blank line between documents), .jsonl, either also .gz or .zst, .parquet, folders and
    globs of these, local or by URL (s3://...), or hub:NAME, a data set of the Hugging Face Hub."""
    tokenizer: Path
    """Folder of the tokenizer, as `albert vocab` writes it."""
    output: str = ""
    """Folder for the shards, or its URL; with --workers ray it must lie where all machines see it."""
    workers: Workers = field(default_factory=available_cores)
    """Processes, or ray: the cluster that RAY_ADDRESS names, or one on this machine. The result does not
    depend on it. Little text is prepared by fewer processes."""
    splitting: Splitting = "auto"
    """What a line is: a sentence (lines), or a paragraph to be split (sentences). auto looks at a sample."""
    language: str = "en"
    """ISO 639 code of the text; guides the splitting into sentences."""
    column: str = "text"
    """Field or column that holds the text in .jsonl, .parquet and data sets of the Hub."""
    errors: Decoding = "strict"
    """What to do with bytes that are not UTF-8: stop, or replace them."""
    skip_bad: bool = False
    """Leave out lines and records that cannot be used, and say at the end how many."""
    held_out: float = 0.01
    """Share of the documents kept for evaluation, chosen by a hash of their text."""
    words: WordsName = "vocabulary"
    """What a word is when whole words are masked: what the vocabulary tells, or Chinese words by jieba,
    stored beside the ids."""
    shard_megabytes: float = 4.0
    """Text in a shard, in MB; examples are shuffled within six shards."""
    check: bool = False
    """Only look at a sample of the text and say what is wrong with it; writes nothing."""
    pieces_per_second: float = 10_000
    """With --check: speed at which a training would go, for the hours of an epoch; some thousands are
    a small model on few cores, some hundred thousands a GPU."""
    format: Literal["shards", "tfrecord"] = "shards"
    """shards, of which examples are made while training; or tfrecord: masked examples in the original's
    files. The settings below are for these; otherwise `albert pretrain` takes them."""
    tfrecord_files: int = 1
    """Files to which the examples are dealt in turn."""
    seed: int = 0
    """Of the masks in them."""
    examples: ExampleSettings = ExampleSettings()
    """How they are made."""

    def __post_init__(self) -> None:
        if not self.input:
            raise ConfigError("no input given; name text files or folders with --input")
        if not (self.output or self.check):
            raise ConfigError("no output given; name a folder with --output, or only look with --check")
        if self.workers != "ray" and self.workers < 1:
            raise ConfigError(f"workers is {self.workers}; expected at least 1, or ray")
        if self.pieces_per_second <= 0:
            raise ConfigError(f"pieces_per_second is {self.pieces_per_second}; expected a speed above 0")
        if not 0 < self.shard_megabytes <= 1000:
            raise ConfigError(f"shard_megabytes is {self.shard_megabytes}; expected some MB, such as 4")
        if self.tfrecord_files < 1 or self.seed < 0:
            raise ConfigError(
                f"tfrecord_files is {self.tfrecord_files}, seed {self.seed}; expected at least 1 and 0"
            )
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}; expected a share from 0 to below 1")

    @property
    def reading(self) -> Reading:
        """How the corpus is read."""
        return Reading(column=self.column, errors=self.errors, skip_bad=self.skip_bad)

    @property
    def shard_bytes(self) -> int:
        """Text in a shard, in bytes."""
        return max(1, int(self.shard_megabytes * 1e6))


def prepare_shards(settings: PrepareSettings) -> dict[str, Any]:
    """Prepares a corpus as shards, unless the output folder holds it already, and returns what was counted.

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
        finished = read_meta(settings.output)
        damaged = remove_damaged(finished)
        if not damaged:
            console.say(f"{settings.output}: finished before, nothing to do")
            return dict(finished.counts)
        console.say(f"{settings.output}: damaged or missing, made again: {', '.join(damaged)}")
        storage.remove(storage.join(settings.output, META_NAME))

    tally = Tally()
    counts = _write_folder(settings, files, tokenizer, job, tally)
    seconds = time.monotonic() - start
    megabytes = tally.bytes_read / 1e6
    console.say(
        f"{settings.output}: {counts['documents']} documents, "
        f"{console.human_count(counts['pieces'])} pieces, {megabytes:.1f} MB in "
        f"{console.human_seconds(seconds)} ({megabytes / seconds:.1f} MB/s)"
    )
    return counts | {"megabytes": round(megabytes, 3), "seconds": round(seconds, 2)}


def line_meaning(settings: PrepareSettings, files: list[str]) -> LineMeaning:
    """Returns what a line is: as set, or as a sample of the files shows."""
    if settings.splitting != "auto":
        return settings.splitting
    return detect_splitting(files, language=settings.language, reading=settings.reading)


def _describe_job(settings: PrepareSettings, files: list[str], tokenizer: AlbertTokenizer) -> dict[str, Any]:
    """Returns everything the shards depend on."""
    return {
        "input": list(settings.input),
        "input_files": len(files),
        "input_bytes": total_bytes(files),
        "tokenizer": tokenizer.fingerprint,
        "splitting": settings.splitting,
        "language": settings.language,
        "column": settings.column,
        "errors": settings.errors,
        "skip_bad": settings.skip_bad,
        "held_out": settings.held_out,
        "words": settings.words,
        "shard_megabytes": settings.shard_megabytes,
    }


def _is_finished(settings: PrepareSettings, job: dict[str, Any]) -> bool:
    """Returns whether the output folder holds this very job, finished; refuses a folder of anything else."""
    output = settings.output
    if not storage.is_url(output) and Path(output).is_file():
        raise RunError(f"{output}: is a file; choose a folder for --output")
    names = storage.list_names(output)
    if JOB_NAME not in names:
        if not names or Path(output).resolve() == settings.tokenizer.resolve():
            return False
        raise RunError(f"{output}: holds other files; choose a new or empty folder for --output")
    path = storage.join(output, JOB_NAME)
    try:
        earlier = dict(json.loads(storage.read_bytes(path)))
    except (ValueError, TypeError) as error:
        raise RunError(f"{path}: damaged ({error}); remove the folder") from error
    differing = [name for name in job if earlier.get(name) != job[name]]
    if differing:
        told = ", ".join(f"{name} ({earlier.get(name)} there, {job[name]} now)" for name in differing)
        raise RunError(
            f"{output}: holds text prepared with other settings: {told}; choose another --output or "
            "remove the folder"
        )
    return META_NAME in names


def _write_folder(
    settings: PrepareSettings,
    files: list[str],
    tokenizer: AlbertTokenizer,
    job: dict[str, Any],
    tally: Tally,
) -> dict[str, Any]:
    """Does the whole job; returns what was counted."""
    rule = EncodingRule(
        tokenizer=tokenizer.fingerprint,
        splitting=line_meaning(settings, files),
        language=settings.language,
        words=settings.words,
    )
    # Other machines and processes have working directories of their own.
    output = settings.output if storage.is_url(settings.output) else str(Path(settings.output).resolve())
    maker = ShardMaker(output, rule, tokenizer)
    documents = read_documents(files, reading=settings.reading, tally=tally)
    peeked = peek(documents)
    size = total_bytes(files)
    workers = _workers_for(settings, size)
    if size is not None:
        _foretell(settings, maker, peeked, workers, share_read=tally.bytes_read / max(1, size))

    tokenizer_files = _files_of(tokenizer)
    storage.make_folder(output)
    storage.write_whole(storage.join(output, JOB_NAME), json.dumps(job, indent=1).encode() + b"\n")
    for name, content in tokenizer_files.items():
        storage.write_whole(storage.join(output, name), content)
    make_maker = (lambda: maker) if workers == 1 else partial(open_maker, output, rule, tokenizer_files)
    jobs = cut_jobs(
        chain(peeked, documents), rule, held_out=settings.held_out, shard_bytes=settings.shard_bytes
    )
    shards = _make_shards(jobs, make_maker, tally, workers=workers, size=size)
    counts = _count(shards)
    _tell_of_corpus(counts, tally)
    remove_other_shards(output, (info.name for infos in shards.values() for info in infos))
    info = TokenizerInfo(
        fingerprint=tokenizer.fingerprint,
        kind=tokenizer.kind,
        do_lower_case=tokenizer.do_lower_case,
        vocab_size=tokenizer.vocab_size,
    )
    write_meta(output, shards=shards, tokenizer=info, words=settings.words, counts=counts)
    return counts


def _files_of(tokenizer: AlbertTokenizer) -> dict[str, bytes]:
    """Returns the files of a tokenizer folder."""
    with tempfile.TemporaryDirectory(prefix="albert-") as folder:
        tokenizer.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _workers_for(settings: PrepareSettings, size: int | None) -> Workers:
    if settings.workers == "ray" or size is None:
        return settings.workers
    return min(settings.workers, 1 + size // BYTES_PER_WORKER)


def _foretell(
    settings: PrepareSettings,
    maker: ShardMaker,
    peeked: list[list[str]],
    workers: Workers,
    *,
    share_read: float,
) -> None:
    """Says how much work it will be, as far as the beginning tells; refuses a disk without room."""
    expected = forecast(maker, peeked, share_read=share_read)
    splits = [share for share in (settings.held_out, 1 - settings.held_out) if share]
    shards = sum(math.ceil(share * expected.text_bytes / settings.shard_bytes) for share in splits)
    console.say(expected.line(shards=shards, processes=None if workers == "ray" else workers))
    check_room(settings.output, expected.disk_bytes)


def _make_shards(
    jobs: Iterator[ShardJob],
    make_maker: Callable[[], ShardMaker],
    tally: Tally,
    *,
    workers: Workers,
    size: int | None,
) -> dict[SplitName, list[ShardInfo]]:
    """Has all jobs done, showing how far they are; a shard without a piece is left out."""
    shards: dict[SplitName, list[ShardInfo]] = {split: [] for split in SPLITS}
    under_way: deque[tuple[SplitName, int]] = deque()
    shown = 0

    def noted() -> Iterator[ShardJob]:
        for job in jobs:
            under_way.append((job.split, tally.bytes_read))
            yield job

    with (
        console.progress("preparing", total=size, unit="B") as progress,
        closing(map_in_order(make_maker, make_shard, noted(), workers=workers)) as done,
    ):
        for info in done:
            split, read = under_way.popleft()
            progress.advance(read - shown)
            shown = read
            if info.pieces:
                shards[split].append(info)
    return shards


def _count(shards: dict[SplitName, list[ShardInfo]]) -> dict[str, Any]:
    """Returns what `meta.json` and the caller are told."""
    every = [info for infos in shards.values() for info in infos]
    pieces = sum(info.pieces for info in every)
    if not pieces:
        raise DataError("the text has no piece with this tokenizer; see that it is text, and not all spaces")
    return {
        "documents": sum(info.documents for info in every),
        "held_out_documents": sum(info.documents for info in shards["held-out"]),
        "sentences": sum(info.sentences for info in every),
        "pieces": pieces,
        "unknown_share": round(sum(info.unknown_pieces for info in every) / pieces, 6),
        "shards": len(every),
    }


def _tell_of_corpus(counts: dict[str, Any], tally: Tally) -> None:
    """Says what was left out, and warns where the order of sentences cannot be learnt as it should."""
    report_skipped(tally)
    if tally.cuts:
        console.say(f"documents too long to hold in memory were cut in {tally.cuts} places")
    if tally.documents - tally.cuts == 1:
        console.warn(
            "no blank line, so all text is one document: pairs of sentences will cross from one text to the "
            "next and nothing can be held out; put a blank line between documents"
        )
    elif counts["sentences"] < 1.1 * counts["documents"]:
        console.warn(
            "nearly every document is a single sentence: sentence order cannot be learnt; blank lines "
            "belong between documents, not between sentences"
        )
