"""`albert prepare`: raw text to token shards, once; examples are then made from them while training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from albert.data.check.inspection import check_corpus
from albert.data.corpus import storage
from albert.data.corpus.files import find_files
from albert.data.preparing import PrepareSettings, available_cores, line_meaning, prepare_shards
from albert.data.tfrecord.preparing import SHARDS_FOLDER, check_output, write_tfrecords
from albert.text.tokenizer import AlbertTokenizer

__all__ = ["PrepareSettings", "prepare"]


def prepare(settings: PrepareSettings) -> dict[str, Any]:
    """Prepares a corpus, unless the output folder holds it already, and returns what was counted.

    With `check` it returns the report on a sample.

    Raises:
        DataError: The corpus cannot be read, or the output not written.
        TokenizerError: The tokenizer folder cannot be used.
        RunError: The output folder holds something else.
    """
    if settings.check:
        return _check(settings)
    return _prepare_tfrecords(settings) if settings.format == "tfrecord" else prepare_shards(settings)


def _prepare_tfrecords(settings: PrepareSettings) -> dict[str, Any]:
    """Prepares the text in a folder inside, and makes the examples of it."""
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
        splitting=line_meaning(settings, files),
        language=settings.language,
        max_seq_length=settings.examples.max_seq_length,
        pieces_per_second=settings.pieces_per_second,
    )
    return {"report": "\n".join(report.lines()), **report.as_json()}
