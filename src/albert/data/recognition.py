"""What a path holds, judging by the names of its files: for messages that say what to type instead."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from albert.console import command_line
from albert.data.corpus.files import SUFFIXES, find_files, has_suffix
from albert.data.shards.folder import META_NAME, SHARD_SUFFIX
from albert.data.tfrecord.examples import RECORD_SUFFIXES
from albert.data.tfrecord.files import is_record_file
from albert.errors import DataError

Content = Literal["shards", "records", "model", "tokenizer", "text", "other"]

JOB_NAME = "prepare.json"
"""File of a folder of shards with the settings; written first, so that an unfinished one is recognised."""

_TOKENIZER_NAMES = {"spiece.model", "vocab.txt", "tokenizer.json"}


def recognise(path: Path) -> Content:
    """Return what a file or a folder holds; "other" if it is something else, or missing."""
    if path.is_file():
        return _recognise_file(path)
    names = {file.name for file in path.iterdir()} if path.is_dir() else set()
    # Shards and models have a tokenizer of their own, and some tokenizers a .txt file.
    signs: list[tuple[Content, bool]] = [
        ("shards", bool(names & {META_NAME, JOB_NAME})),
        ("records", any(name.endswith(RECORD_SUFFIXES) for name in names)),
        ("model", "config.json" in names),
        ("tokenizer", bool(names & _TOKENIZER_NAMES)),
        ("text", any(has_suffix(name, SUFFIXES) for name in names)),
    ]
    return next((content for content, is_there in signs if is_there), "other")


def _recognise_file(path: Path) -> Content:
    if path.name.endswith(SHARD_SUFFIX):
        return "shards"
    if is_record_file(path):
        return "records"
    return "text" if has_suffix(path, SUFFIXES) else "other"


def find_raw_files(paths: Sequence[str]) -> list[str]:
    """Return the corpus files that `paths` name.

    Raises:
        DataError: One of them holds prepared data; or as `find_files`.
    """
    for path in map(Path, paths):
        content = recognise(path)
        if content == "shards":
            folder = path.parent if path.is_file() else path
            train = command_line("pretrain", recipe="small", data=folder, output="run")
            raise DataError(
                f"{path}: shards that albert prepare wrote, expected raw text; they are ready: {train}"
            )
        if content == "records":
            train = command_line("pretrain", recipe="small", data=path, tokenizer="TOKENIZER", output="run")
            raise DataError(f"{path}: TFRecord files of examples, expected raw text; they are ready: {train}")
    return find_files(paths)
