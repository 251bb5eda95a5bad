"""`albert prepare`: raw text becomes token shards, once; examples are made from them during training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from albert.data.check.inspection import check_corpus
from albert.data.corpus import storage
from albert.data.corpus.documents import choose_splitting
from albert.data.corpus.files import find_files
from albert.data.preparing import PrepareSettings, available_cores, prepare_shards
from albert.data.tfrecord.preparing import SHARDS_FOLDER, check_output, write_tfrecords
from albert.text.tokenizer import AlbertTokenizer

__all__ = ["PrepareSettings", "prepare"]


def prepare(settings: PrepareSettings) -> dict[str, Any]:
    """Prepare a corpus, unless the output folder already has it, and return its counts.

    With `check`, return the report on a sample.

    Raises:
        DataError: The corpus cannot be read, or the output not written.
        TokenizerError: The tokenizer folder cannot be used.
        RunError: The output folder has something else in it.
    """
    if settings.check:
        return _check(settings)
    return _prepare_tfrecords(settings) if settings.format == "tfrecord" else prepare_shards(settings)


def _prepare_tfrecords(settings: PrepareSettings) -> dict[str, Any]:
    """Prepare the text in a folder inside the output, and make examples from it."""
    check_output(settings.output)
    shards = storage.join(settings.output, SHARDS_FOLDER)
    counts = prepare_shards(replace(settings, format="shards", output=shards))
    workers = available_cores() if settings.workers == "ray" else settings.workers
    return counts | write_tfrecords(
        Path(settings.output),
        settings.examples,
        num_files=settings.tfrecord_files,
        seed=settings.seed,
        workers=workers,
    )


def _check(settings: PrepareSettings) -> dict[str, Any]:
    files = find_files(settings.input)
    tokenizer = AlbertTokenizer.from_pretrained(settings.tokenizer)
    report = check_corpus(
        files,
        tokenizer,
        reading=settings.reading,
        splitting=choose_splitting(
            settings.splitting, files, language=settings.language, reading=settings.reading
        ),
        language=settings.language,
        max_seq_length=settings.examples.max_seq_length,
        pieces_per_second=settings.pieces_per_second,
    )
    return {"report": "\n".join(report.lines()), **report.as_json()}
