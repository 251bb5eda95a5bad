"""What `albert pretrain --data` names: token shards with their tokenizer, or TFRecord files of examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from albert.console import human_count
from albert.data.examples.masked_text import MaskedText
from albert.data.examples.masking import vocabulary_of
from albert.data.examples.settings import ExampleSettings
from albert.data.examples.stream import ExampleSource
from albert.data.shards.folder import PreparedData, SplitName, open_prepared
from albert.data.tfrecord.examples import TfrecordExamples, find_record_files
from albert.errors import ConfigError
from albert.text.tokenizer import AlbertTokenizer


class PretrainingData(Protocol):
    """Data to pretrain on."""

    @property
    def tokenizer(self) -> AlbertTokenizer | None:
        """Becomes the model's; None where nobody named one."""

    @property
    def vocab_size(self) -> int:
        """Pieces of the vocabulary that the ids are of."""

    @property
    def fingerprint(self) -> str:
        """Digest by which a resumed run notices other data."""

    @property
    def summary(self) -> str:
        """How much it is, for people."""

    def train(self, settings: ExampleSettings, *, seed: int) -> ExampleSource:
        """Return the examples to train on."""

    def held_out(self, settings: ExampleSettings) -> ExampleSource | None:
        """Return the examples to evaluate on, always the same; None where there are none."""


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
        tokenizer: Folder of the tokenizer that made the files; shards bring their own.
        eval_data: Files to evaluate on.
        vocab_size: Pieces of its vocabulary, for who has TFRecord files but no tokenizer.

    Raises:
        DataError: Something is missing, damaged or unfinished.
        TokenizerError: The tokenizer cannot be used, or is not the shards' own.
        ConfigError: No data is named, or what is named does not go together.
    """
    if not paths:
        raise ConfigError("--data names nothing; give a folder that albert prepare wrote, or TFRecord files")
    alone = tokenizer is None and vocab_size is None
    if len(paths) == 1 and (paths[0].is_dir() or not paths[0].exists()) and alone:
        if eval_data:
            raise ConfigError(
                f"--eval-data is for TFRecord files; {paths[0]} has held-out documents of its own"
            )
        return _Shards.open(paths[0])
    if alone:
        raise ConfigError(
            f"{paths[0]}: TFRecord files hold ids only; name the tokenizer that made them with --tokenizer"
        )
    pieces = None if tokenizer is None else AlbertTokenizer.from_pretrained(tokenizer)
    return _Records(
        tokenizer=pieces,
        vocab_size=pieces.vocab_size if pieces else vocab_size or 0,
        files=find_record_files(paths),
        eval_files=find_record_files(eval_data),
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
        return self.tokenizer.vocab_size

    @property
    def fingerprint(self) -> str:
        return self.data.fingerprint

    @property
    def summary(self) -> str:
        return f"{self.data.pieces('train'):,} pieces of text"

    def train(self, settings: ExampleSettings, *, seed: int) -> ExampleSource:
        return self._source(settings, seed, "train")

    def held_out(self, settings: ExampleSettings) -> ExampleSource | None:
        return self._source(settings, 0, "held-out") if self.data.pieces("held-out") else None

    def _source(self, settings: ExampleSettings, seed: int, split: SplitName) -> MaskedText:
        if not settings.masked_lm_prob:
            raise ConfigError("--masked-lm-prob is 0: nothing would be hidden and nothing learnt from it")
        vocabulary = vocabulary_of(self.tokenizer, settings)
        return MaskedText(data=self.data, vocabulary=vocabulary, settings=settings, seed=seed, split=split)


@dataclass(kw_only=True)
class _Records:
    """TFRecord files; how their examples were made was settled when they were."""

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
