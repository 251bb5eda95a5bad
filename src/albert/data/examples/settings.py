"""How training examples are made: our recommendation, or what the original did, and every choice between.

Stands at the bottom of the data layer, beside `batches`.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from albert.errors import ConfigError
from albert.text.words import WordRuleName

Style = Literal["recommended", "original"]
SentenceLoss = Literal["auto", "sop", "sop-random", "nsp", "none"]
MaskUnit = Literal["token", "span"]

SPECIALS_OF_PAIR = 3
"""[CLS] A [SEP] B [SEP]"""
SPECIALS_OF_SINGLE = 2
"""[CLS] A [SEP]"""


@dataclass(frozen=True, kw_only=True)
class ExampleSettings:
    """How examples are made; the defaults are the paper's, with no cap on hidden pieces."""

    style: Style = "recommended"
    """recommended, or original: the defaults and quirks of create_pretraining_data.py (n-grams and words
    reach across a [SEP], special pieces as random replacements, 20 hidden pieces at most, random second
    segments for lone sentences, 40 passes)."""
    max_seq_length: int = 512
    """Pieces of the longest sequence, special ones included."""
    short_seq_prob: float = 0.1
    """Share of documents that are packed into shorter sequences, drawn anew in each pass."""
    sentence_loss: SentenceLoss = "auto"
    """What the second head learns. sop: order of two segments, lone sentences without a label; original: the
    same, but a lone sentence gets a random second segment and the label swapped; nsp: whether the second
    segment follows, as BERT; none: one segment, no label. auto: sop; with --style original, original."""
    masked_lm_prob: float = 0.15
    """Share of the pieces of a sequence to hide."""
    max_predictions_per_seq: int | None = None
    """Pieces hidden in a sequence at most; 0: no cap. Default 0; with --style original, 20."""
    max_ngram: int = 3
    """Words of the longest n-gram hidden as one."""
    favor_shorter_ngram: bool = True
    """Whether n words are drawn with probability ~ 1/n; else the same shares the other way round."""
    whole_words: bool = True
    """Whether words are hidden whole; else an n-gram is n pieces."""
    word_rule: WordRuleName | Literal["auto"] = "auto"
    """Where words of a SentencePiece vocabulary begin. unicode: in every script; original: pieces
    with anything but English letters are words. Words stored by albert prepare --words come first.
    auto: unicode; with --style original, original."""
    mask_unit: MaskUnit = "token"
    """What shares a lot of [MASK] (80%), itself (10%) or another (10%): a token, or an n-gram (span)."""
    permutation: bool = False
    """Whether as many pieces again change places among themselves and are to be told as well."""
    dupe_factor: int | None = None
    """Passes over the text before their masks repeat. Default: never; with --style original, 40."""

    def __post_init__(self) -> None:
        if self.max_seq_length < SPECIALS_OF_PAIR + 2:
            raise ConfigError(
                f"max_seq_length is {self.max_seq_length}; expected at least {SPECIALS_OF_PAIR + 2}: "
                "three special pieces and one in each segment"
            )
        for name in ("short_seq_prob", "masked_lm_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1")
        for name, least in (("max_ngram", 1), ("max_predictions_per_seq", 0), ("dupe_factor", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}; expected at least {least}")

    def filled(self) -> "ExampleSettings":
        """Returns the settings with what is not given filled in as `style` says.

        Everything below the command line takes settings in this form.
        """
        original = self.style == "original"
        defaults: dict[str, Any] = {
            "sentence_loss": "sop-random" if original else "sop",
            "max_predictions_per_seq": 20 if original else 0,
            "word_rule": "english" if original else "unicode",
            "dupe_factor": 40 if original else None,
        }
        missing = {name: value for name, value in defaults.items() if getattr(self, name) in (None, "auto")}
        return replace(self, **missing)

    @property
    def specials(self) -> int:
        """Special pieces in a sequence that is full."""
        return SPECIALS_OF_SINGLE if self.sentence_loss == "none" else SPECIALS_OF_PAIR
