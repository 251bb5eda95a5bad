"""Data to pretrain on: a folder of token shards with its tokenizer, or TFRecord files of examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from albert.choices import SplitName
from albert.console import command_line, human_count
from albert.data.examples.masked_text import MaskedText
from albert.data.examples.masking import vocabulary_of
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import ExampleSource
from albert.data.recognition import recognise
from albert.data.shards.folder import PreparedData, open_prepared
from albert.data.tfrecord.examples import TfrecordExamples, find_record_files
from albert.errors import ConfigError, DataError
from albert.text.tokenizer import AlbertTokenizer


class PretrainingData(Protocol):
    """Where examples to pretrain on come from."""

    @property
    def tokenizer(self) -> AlbertTokenizer | None:
        """The tokenizer of the data, which becomes the model's; None if none was given."""

    @property
    def vocab_size(self) -> int:
        """Size of the vocabulary of the ids."""

    @property
    def fingerprint(self) -> str:
        """Digest of the data; a resumed run compares it."""

    @property
    def summary(self) -> str:
        """Size of the data, for messages."""

    @property
    def advice_on_evaluation(self) -> str:
        """What to do if nothing is held out for evaluation."""

    def train(self, settings: ExampleSettings, *, seed: int) -> ExampleSource:
        """Return the examples to train on."""

    def held_out(self, settings: ExampleSettings) -> ExampleSource | None:
        """Return the examples to evaluate on, always the same; None if there are none."""


def open_pretraining_data(
    paths: Sequence[Path],
    *,
    tokenizer: Path | None = None,
    eval_data: Sequence[Path] = (),
    vocab_size: int | None = None,
) -> PretrainingData:
    """Open a folder of token shards, or TFRecord files.

    Args:
        paths: The folder, or files.
        tokenizer: Folder of the tokenizer that made the files; prepared folders contain theirs.
        eval_data: Files to evaluate on.
        vocab_size: Size of the vocabulary, for TFRecord files without a tokenizer.

    Raises:
        DataError: Data is missing, damaged or unfinished.
        TokenizerError: The tokenizer cannot be used, or is not the one that made the shards.
        ConfigError: No data is given, or the arguments contradict each other.
    """
    if not paths:
        raise ConfigError("--data is empty; give a folder that albert prepare wrote, or TFRecord files")
    if vocab_size is None:  # the original's scripts read files of any name
        for path in paths:
            _check_content(path, tokenizer, alone=len(paths) == 1)
    is_prepared = tokenizer is None and vocab_size is None
    may_be_shards = len(paths) == 1 and not paths[0].is_file() and recognise(paths[0]) != "records"
    if is_prepared and may_be_shards:
        if eval_data:
            raise ConfigError(
                f"--eval-data is for TFRecord files; {paths[0]} contains its own held-out documents"
            )
        return _Shards.open(paths[0])
    if is_prepared:
        raise ConfigError(
            f"{paths[0]}: TFRecord files contain only ids; give the tokenizer that made them with --tokenizer"
        )
    opened = None if tokenizer is None else AlbertTokenizer.from_pretrained(tokenizer)
    return _Records(
        tokenizer=opened,
        vocab_size=opened.vocab_size if opened else vocab_size or 0,
        files=find_record_files(paths),
        eval_files=find_record_files(eval_data),
    )


def _check_content(path: Path, tokenizer: Path | None, *, alone: bool) -> None:
    """Refuse what is no data to pretrain on, and say what to type instead.

    Raises:
        DataError: The path holds raw text, a model or a tokenizer.
        ConfigError: It holds shards, but a tokenizer or other paths are given with it.
    """
    content = recognise(path)
    expected = "expected a folder that albert prepare wrote, or TFRecord files"
    if content == "text":
        prepare = command_line("prepare", input=path, tokenizer=tokenizer or "TOKENIZER", output="data")
        raise DataError(f"{path}: raw text; {expected}; prepare it first: {prepare}")
    if content == "tokenizer":
        prepare = command_line("prepare", input="TEXT", tokenizer=path, output="data")
        raise DataError(f"{path}: a tokenizer; {expected}; prepare text with it: {prepare}")
    if content == "model":
        start = command_line("pretrain", data="DATA", init_from=path, output="RUN")
        raise DataError(f"{path}: a model; {expected}; to start from this model: {start}")
    if content != "shards":
        return
    if path.is_file():
        raise ConfigError(
            f"{path}: one of the shards that albert prepare wrote; give its folder: {path.parent}"
        )
    if tokenizer is not None:
        raise ConfigError(
            f"{path}: shards that albert prepare wrote, which have their tokenizer in them; leave out "
            f"--tokenizer {tokenizer}"
        )
    if not alone:
        raise ConfigError(
            f"{path}: shards that albert prepare wrote, and other paths next to it; expected one such folder "
            "alone; prepare all text into one"
        )


@dataclass(kw_only=True)
class _Shards:
    """A folder that `albert prepare` wrote."""

    tokenizer: AlbertTokenizer
    data: PreparedData

    @classmethod
    def open(cls, folder: Path) -> "_Shards":
        data = open_prepared(folder)
        tokenizer = AlbertTokenizer.from_pretrained(folder)
        data.check_tokenizer(tokenizer.fingerprint, str(folder))
        return cls(tokenizer=tokenizer, data=data)

    @property
    def vocab_size(self) -> int:
        return len(self.tokenizer)

    @property
    def fingerprint(self) -> str:
        return self.data.fingerprint

    @property
    def summary(self) -> str:
        return f"{self.data.tokens('train'):,} tokens of text"

    @property
    def advice_on_evaluation(self) -> str:
        return "albert prepare holds documents out if there are 20 or more, unless --held-out is 0"

    def train(self, settings: ExampleSettings, *, seed: int) -> ExampleSource:
        return self._source(settings, seed, "train")

    def held_out(self, settings: ExampleSettings) -> ExampleSource | None:
        return self._source(settings, 0, "held-out") if self.data.tokens("held-out") else None

    def _source(self, settings: ExampleSettings, seed: int, split: SplitName) -> MaskedText:
        if not settings.masked_lm_prob:
            raise ConfigError("--masked-lm-prob is 0, so no token would be masked; give a share such as 0.15")
        vocabulary = vocabulary_of(self.tokenizer, settings)
        return MaskedText(data=self.data, vocabulary=vocabulary, settings=settings, seed=seed, split=split)


@dataclass(kw_only=True)
class _Records:
    """TFRecord files, whose examples are already masked."""

    tokenizer: AlbertTokenizer | None
    vocab_size: int
    files: list[Path]
    eval_files: list[Path]

    @property
    def fingerprint(self) -> str:
        return self._source(self.files, ExampleSettings(), 0).fingerprint

    @property
    def summary(self) -> str:
        size = human_count(sum(file.stat().st_size for file in self.files))
        return f"{size}B of masked examples in {len(self.files)} TFRecord files"

    @property
    def advice_on_evaluation(self) -> str:
        return "give TFRecord files of other documents with --eval-data"

    def train(self, settings: ExampleSettings, *, seed: int) -> ExampleSource:
        return self._source(self.files, settings, seed)

    def held_out(self, settings: ExampleSettings) -> ExampleSource | None:
        return self._source(self.eval_files, settings, 0) if self.eval_files else None

    def _source(self, files: list[Path], settings: ExampleSettings, seed: int) -> TfrecordExamples:
        return TfrecordExamples(
            paths=files,
            vocab_size=self.vocab_size,
            max_seq_length=settings.max_seq_length,
            seed=seed,
        )
