"""`albert prepare`: raw text becomes token shards, once; examples are made from them during training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from albert.console import changed_settings, command_line
from albert.data.check.inspection import check_corpus
from albert.data.corpus import storage
from albert.data.corpus.documents import choose_splitting
from albert.data.corpus.files import fewest_names
from albert.data.preparing import check_packages, prepare_shards
from albert.data.recognition import find_raw_files
from albert.data.settings import PrepareSettings, available_cores
from albert.data.tfrecord.preparing import SHARDS_FOLDER, check_output, train_files, write_tfrecords
from albert.text.tokenizer import AlbertTokenizer

__all__ = ["PrepareSettings", "prepare"]


def prepare(settings: PrepareSettings) -> dict[str, Any]:
    """Prepare a corpus, unless the output folder already has it, and return its counts.

    With `check`, return the report on a sample. `next` is the command to type next.

    Raises:
        ConfigError: A package that the settings need is not installed.
        DataError: The corpus cannot be read, or the output not written.
        TokenizerError: The tokenizer folder cannot be used.
        RunError: The output folder has something else in it.
    """
    if settings.check:
        return _check(settings)
    if settings.format == "tfrecord":
        return _prepare_tfrecords(settings)
    counts = prepare_shards(settings)
    if storage.is_url(settings.output):  # shards are trained on where they are on a local disk
        return counts
    run = Path(settings.output).with_name("run")
    return counts | {"next": command_line("pretrain", recipe="small", data=settings.output, output=run)}


def _prepare_tfrecords(settings: PrepareSettings) -> dict[str, Any]:
    """Prepare the text in a folder inside the output, and make examples from it."""
    check_output(settings.output)
    shards = storage.join(settings.output, SHARDS_FOLDER)
    counts = prepare_shards(replace(settings, format="shards", output=shards))
    workers = available_cores() if settings.workers == "ray" else settings.workers
    counts |= write_tfrecords(
        Path(settings.output),
        settings.examples,
        num_files=settings.tfrecord_files,
        seed=settings.seed,
        workers=workers,
    )
    first = train_files(Path(settings.output), settings.tfrecord_files)[0]
    length = settings.examples.filled().max_seq_length
    return counts | {"next": command_line("show", first, tokenizer=shards, max_seq_length=length)}


def _check(settings: PrepareSettings) -> dict[str, Any]:
    check_packages(settings)
    files = find_raw_files(settings.input)
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
    whole = replace(settings, check=False, output=settings.output or "data")
    flags = changed_settings(whole) | {"input": fewest_names(settings.input)}
    return {
        "report": "\n".join(report.lines()),
        **report.as_json(),
        "next": command_line("prepare", **flags),
    }
