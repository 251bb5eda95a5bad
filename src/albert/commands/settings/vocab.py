"""The settings of `albert vocab`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.config import PUBLISHED_VOCAB_SIZE
from albert.data.settings import TextSettings
from albert.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class VocabSettings(TextSettings):
    """Make a vocabulary from raw text."""

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
    seed: int = 0
    """Seed of the draw of sentences."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocab_size < 1:
            raise ConfigError(f"vocab_size is {self.vocab_size}; expected a number of pieces, such as 30000")
        if self.sample_sentences < 1:
            raise ConfigError(
                f"sample_sentences is {self.sample_sentences}; expected at least 1, better some millions"
            )
