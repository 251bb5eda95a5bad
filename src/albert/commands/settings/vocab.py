"""The settings of `albert vocab`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.choices import Decoding, Splitting
from albert.config import PUBLISHED_VOCAB_SIZE
from albert.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class VocabSettings:
    """Make a vocabulary from raw text."""

    input: tuple[str, ...]
    """Text: .txt (a blank line between documents), or .csv, .tsv, .jsonl with a document in each row, all
    also as .gz or .zst, .parquet; folders, globs or URLs (s3://...) of these; or data sets of the Hub,
    hub:NAME[:CONFIG][@SPLIT]."""
    output: Path
    """Folder for the tokenizer."""
    kind: Literal["sentencepiece", "wordpiece"] = "sentencepiece"
    """sentencepiece, as the published English models, or wordpiece, as the Chinese ones."""
    vocab_size: int = PUBLISHED_VOCAB_SIZE
    """Number of pieces, special ones included; the paper's is 30000."""
    lower_case: bool = True
    """Lower-case all text, now and whenever the tokenizer is used."""
    keep_accents: bool = False
    """Keep accents and other combining marks, now and whenever the tokenizer is used: umlauts, the signs of
    Indian scripts. The original removes them from SentencePiece's text, and from WordPiece's if it is
    lower-cased."""
    sample_sentences: int = 10_000_000
    """With sentencepiece: sentences drawn at random from a larger text; limits the memory."""
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
    seed: int = 0
    """Seed of the draw of sentences."""

    def __post_init__(self) -> None:
        if not self.input:
            raise ConfigError("no input given; name text files or folders with --input")
        if self.vocab_size < 1:
            raise ConfigError(f"vocab_size is {self.vocab_size}; expected a number of pieces, such as 30000")
        if self.sample_sentences < 1:
            raise ConfigError(
                f"sample_sentences is {self.sample_sentences}; expected at least 1, better some millions"
            )
