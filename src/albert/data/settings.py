"""The settings of `albert prepare`, and those of every command that reads raw text."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from albert.choices import Decoding, Splitting, WordsName, Workers
from albert.data.corpus.files import Reading
from albert.data.examples.settings import ExampleSettings
from albert.errors import ConfigError


def available_cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """Which text a command reads, and how; the same in every command that reads raw text."""

    input: tuple[str, ...]
    """Text: .txt (a blank line between documents), or .csv, .tsv, .jsonl with a document in each row, all
    also as .gz or .zst, .parquet; folders, globs or URLs (s3://...) of these; or data sets of the Hub,
    hub:NAME[:CONFIG][@SPLIT]."""
    splitting: Splitting = "auto"
    """What a line is: a sentence (lines), or a paragraph to be split (sentences). auto looks at a sample."""
    language: str = "en"
    """ISO 639 code of the text, for the splitting into sentences."""
    column: str = "text"
    """Column of tables and Hub data sets, or field of .jsonl records, with the text. Several, separated by
    commas, are parts of one document: subject,body."""
    errors: Decoding = "strict"
    """What to do with bytes that are not UTF-8: stop, or replace them."""
    skip_bad: bool = False
    """Skip lines and records that cannot be used, and report at the end how many."""

    def __post_init__(self) -> None:
        if not self.input:
            raise ConfigError("no input given; name text files or folders with --input")

    @property
    def reading(self) -> Reading:
        """How the documents are read."""
        return Reading(column=self.column, errors=self.errors, skip_bad=self.skip_bad, is_chosen=True)


@dataclass(frozen=True, kw_only=True)
class PrepareSettings(TextSettings):
    """Turn raw text into token shards for pretraining."""

    tokenizer: Path
    """Folder of the tokenizer, written by `albert vocab`."""
    output: str = ""
    """Folder for the shards, or its URL; with --workers ray all machines must have access to it."""
    workers: Workers = field(default_factory=available_cores)
    """Processes, or ray: the cluster that RAY_ADDRESS names, or one on this machine. The result does not
    depend on it. A small corpus is prepared by fewer processes."""
    held_out: float = 0.01
    """Share of the documents kept for evaluation, chosen by a hash of their text; 0: none. A small corpus has
    more held out, up to a tenth, to have 300 lines; one of fewer than 20 documents may have none."""
    words: WordsName = "vocabulary"
    """What a word is when whole words are masked: what the vocabulary says, or Chinese words by jieba, whose
    starts are stored with the ids."""
    shard_megabytes: float = 4.0
    """Text per shard, in MB; examples are shuffled within six shards."""
    check: bool = False
    """Only check a sample of the text and report what is wrong with it; writes nothing."""
    pieces_per_second: float = 10_000
    """With --check: speed of the training in tokens per second, for the hours of an epoch; a few thousand
    for a small model on a few cores, a few hundred thousand on a GPU."""
    format: Literal["shards", "tfrecord"] = "shards"
    """shards: examples are made from them during training; or tfrecord: masked examples in the original's
    files. The settings below are for the latter; with shards, give them to `albert pretrain`."""
    tfrecord_files: int = 1
    """Number of TFRecord files; examples go to each in turn."""
    seed: int = 0
    """Seed of the masked examples."""
    examples: ExampleSettings = ExampleSettings()
    """How the examples are made."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.output or self.check):
            raise ConfigError(
                "no output given; name a folder with --output, or only check the text with --check"
            )
        if self.workers != "ray" and self.workers < 1:
            raise ConfigError(f"workers is {self.workers}; expected at least 1, or ray")
        if self.pieces_per_second <= 0:
            raise ConfigError(f"pieces_per_second is {self.pieces_per_second}; expected a speed above 0")
        if not 0 < self.shard_megabytes <= 1000:
            raise ConfigError(
                f"shard_megabytes is {self.shard_megabytes}; expected a size up to 1000 MB, such as 4"
            )
        if self.tfrecord_files < 1 or self.seed < 0:
            raise ConfigError(
                f"tfrecord_files is {self.tfrecord_files} and seed is {self.seed}; expected at least 1 and 0"
            )
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}; expected a share from 0 to below 1")

    @property
    def shard_bytes(self) -> int:
        """Text per shard, in bytes."""
        return max(1, int(self.shard_megabytes * 1e6))
