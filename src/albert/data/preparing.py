"""The work of `albert prepare`: a corpus becomes token shards.

One process reads the documents, holds some out for evaluation, and cuts the rest into jobs, one per shard,
for processes or a cluster. The folder depends on text, tokenizer and settings only. Work that was stopped
at any moment continues where it was, and the result is that of an uninterrupted run; the price is that a
shard is a job, so a corpus of a few megabytes keeps only a few cores busy.
"""

import json
import math
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from albert import console
from albert.choices import SplitName, Workers
from albert.data.check.forecast import check_room, forecast, peek
from albert.data.corpus import storage
from albert.data.corpus.documents import choose_splitting, read_documents
from albert.data.corpus.files import Tally, report_skipped, total_bytes
from albert.data.recognition import JOB_NAME, find_raw_files
from albert.data.settings import PrepareSettings
from albert.data.shards.encoding import ShardMaker, make_shard, open_maker
from albert.data.shards.folder import (
    META_NAME,
    SPLITS,
    ShardInfo,
    TokenizerInfo,
    read_meta,
    remove_damaged,
    remove_other_shards,
    write_meta,
)
from albert.data.shards.jobs import MIN_DOCUMENTS_TO_HOLD_OUT, EncodingRule, ShardJob, cut_jobs
from albert.data.workers import import_ray, map_in_order
from albert.errors import DataError, RunError
from albert.text.chinese import segment
from albert.text.tokenizer import AlbertTokenizer

BYTES_PER_WORKER = 1 << 22
"""Amount of text for which it pays to start one more process."""


def check_packages(settings: PrepareSettings) -> None:
    """Raise ConfigError if an optional package that the whole job needs is not installed."""
    if settings.words == "jieba":
        segment([])
    if settings.workers == "ray":
        import_ray()
    if storage.is_url(settings.output):
        storage.filesystem_of(settings.output)


def prepare_shards(settings: PrepareSettings) -> dict[str, Any]:
    """Prepare a corpus as shards, unless the output folder already has them, and return its counts.

    Raises:
        DataError: The corpus cannot be read, or the output not written.
        TokenizerError: The tokenizer folder cannot be used.
        RunError: The output folder has something else in it.
    """
    start = time.monotonic()
    check_packages(settings)
    files = find_raw_files(settings.input)
    tokenizer = AlbertTokenizer.from_pretrained(settings.tokenizer)
    job = _describe_job(settings, files, tokenizer)
    if _is_finished(settings.output, job, tokenizer_folder=settings.tokenizer):
        finished = read_meta(settings.output)
        damaged = remove_damaged(finished)
        if not damaged:
            console.say(f"{settings.output}: already finished, nothing to do")
            return dict(finished.counts)
        console.say(f"{settings.output}: damaged or missing, making them again: {', '.join(damaged)}")
        storage.remove(storage.join(settings.output, META_NAME))

    tally = Tally()
    counts = _write_folder(settings, files, tokenizer, job, tally)
    seconds = time.monotonic() - start
    megabytes = tally.bytes_read / 1e6
    console.say(
        f"{settings.output}: {counts['documents']} documents, "
        f"{console.human_count(counts['pieces'])} tokens, {megabytes:.1f} MB in "
        f"{console.human_seconds(seconds)} ({megabytes / seconds:.1f} MB/s)"
    )
    return counts | {"megabytes": round(megabytes, 3), "seconds": round(seconds, 2)}


def _describe_job(settings: PrepareSettings, files: list[str], tokenizer: AlbertTokenizer) -> dict[str, Any]:
    """Return everything that the shards depend on."""
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


def _is_finished(output: str, job: dict[str, Any], *, tokenizer_folder: Path) -> bool:
    """Whether the output folder has this very job, finished; refuse a folder with anything else."""
    if not storage.is_url(output) and Path(output).is_file():
        raise RunError(f"{output}: is a file; choose a folder for --output")
    names = storage.list_names(output)
    if JOB_NAME not in names:
        if not names or Path(output).resolve() == tokenizer_folder.resolve():
            return False
        raise RunError(f"{output}: has other files in it; choose a new or empty folder for --output")
    path = storage.join(output, JOB_NAME)
    try:
        earlier = dict(json.loads(storage.read_bytes(path)))
    except (ValueError, TypeError) as error:
        raise RunError(f"{path}: damaged ({error}); remove the folder") from error
    differing = [name for name in job if earlier.get(name) != job[name]]
    if differing:
        changes = ", ".join(f"{name} was {earlier.get(name)}, now {job[name]}" for name in differing)
        raise RunError(
            f"{output}: has text prepared with other settings ({changes}); choose another --output or "
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
    """Do the whole job and return its counts."""
    rule = EncodingRule(
        tokenizer=tokenizer.fingerprint,
        splitting=choose_splitting(
            settings.splitting, files, language=settings.language, reading=settings.reading
        ),
        language=settings.language,
        words=settings.words,
    )
    # Other processes and machines may have other working directories.
    output = settings.output if storage.is_url(settings.output) else str(Path(settings.output).resolve())
    maker = ShardMaker(output, rule, tokenizer)
    documents = read_documents(files, reading=settings.reading, tally=tally)
    peeked = peek(documents)
    size = total_bytes(files)
    workers = _workers_for(settings.workers, size)
    if size is not None:
        expected = forecast(maker, peeked, share_read=tally.bytes_read / max(1, size))
        shards_expected = _expected_shards(expected.text_bytes, settings.held_out, settings.shard_bytes)
        processes = None if workers == "ray" else workers
        console.say(expected.line(shards=shards_expected, processes=processes))
        check_room(settings.output, expected.disk_bytes)

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
    _report_corpus(counts, tally)
    if settings.held_out and not counts["held_out_documents"]:
        console.note(
            "no document is held out, so albert pretrain will have nothing to evaluate on: the text has "
            f"{counts['documents']} documents, and {MIN_DOCUMENTS_TO_HOLD_OUT} different ones are needed; "
            "add text, or put blank lines between documents"
        )
    remove_other_shards(output, (info.name for infos in shards.values() for info in infos))
    info = TokenizerInfo(
        fingerprint=tokenizer.fingerprint,
        kind=tokenizer.kind,
        do_lower_case=tokenizer.do_lower_case,
        vocab_size=len(tokenizer),
    )
    write_meta(output, shards=shards, tokenizer=info, words=settings.words, counts=counts)
    return counts


def _files_of(tokenizer: AlbertTokenizer) -> dict[str, bytes]:
    """Return the files that a tokenizer folder has, by name."""
    with tempfile.TemporaryDirectory(prefix="albert-") as folder:
        tokenizer.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _workers_for(workers: Workers, size: int | None) -> Workers:
    """Return the number of workers that a corpus of `size` bytes is worth."""
    if workers == "ray" or size is None:
        return workers
    return min(workers, 1 + size // BYTES_PER_WORKER)


def _expected_shards(text_bytes: float, held_out: float, shard_bytes: int) -> int:
    splits = [share for share in (held_out, 1 - held_out) if share]
    return sum(math.ceil(share * text_bytes / shard_bytes) for share in splits)


def _make_shards(
    jobs: Iterator[ShardJob],
    make_maker: Callable[[], ShardMaker],
    tally: Tally,
    *,
    workers: Workers,
    size: int | None,
) -> dict[SplitName, list[ShardInfo]]:
    """Do all jobs, with progress; a shard without a token is dropped."""
    shards: dict[SplitName, list[ShardInfo]] = {split: [] for split in SPLITS}
    in_progress: deque[tuple[SplitName, int]] = deque()
    shown = 0

    def read_jobs() -> Iterator[ShardJob]:
        for job in jobs:
            in_progress.append((job.split, tally.bytes_read))
            yield job

    with (
        console.progress("preparing", total=size, unit="B") as progress,
        closing(map_in_order(make_maker, make_shard, read_jobs(), workers=workers)) as done,
    ):
        for info in done:
            split, read = in_progress.popleft()
            progress.advance(read - shown)
            shown = read
            if info.pieces:
                shards[split].append(info)
    return shards


def _count(shards: dict[SplitName, list[ShardInfo]]) -> dict[str, Any]:
    """Return the counts for `meta.json` and the caller."""
    every = [info for infos in shards.values() for info in infos]
    tokens = sum(info.pieces for info in every)
    if not tokens:
        raise DataError(
            "the text has no token with this tokenizer; check that it is text, and not only spaces"
        )
    return {
        "documents": sum(info.documents for info in every),
        "held_out_documents": sum(info.documents for info in shards["held-out"]),
        "sentences": sum(info.sentences for info in every),
        "pieces": tokens,
        "unknown_share": round(sum(info.unknown_pieces for info in every) / tokens, 6),
        "shards": len(every),
    }


def _report_corpus(counts: dict[str, Any], tally: Tally) -> None:
    """Report what was skipped, and warn if the order of sentences cannot be learnt properly."""
    report_skipped(tally)
    if tally.cuts:
        console.say(f"cut documents that are too long to hold in memory, in {tally.cuts} places")
    if tally.documents - tally.cuts == 1:
        console.warn(
            "there is no blank line, so all text is one document: pairs of segments will cross from one text "
            "to the next, and nothing can be held out; put a blank line between documents"
        )
    elif counts["sentences"] < 1.1 * counts["documents"]:
        console.warn(
            "nearly every document is a single sentence, so sentence order cannot be learnt; put blank lines "
            "between documents, not between sentences, and name all columns of a table that have text "
            "(--column A,B); or pretrain with --sentence-loss none"
        )
