"""How training examples are made: as we recommend, as the original did, or anything between the two."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from albert.choices import WordRuleName
from albert.errors import ConfigError

Style = Literal["recommended", "original"]
SentenceLoss = Literal["auto", "sop", "sop-random", "nsp", "none"]
MaskUnit = Literal["token", "span"]

SPECIALS_OF_PAIR = 3
"""[CLS] A [SEP] B [SEP]"""
SPECIALS_OF_SINGLE = 2
"""[CLS] A [SEP]"""


@dataclass(frozen=True, kw_only=True)
class ExampleSettings:
    """How examples are made; the defaults are the paper's, without a cap on masked tokens."""

    style: Style = "recommended"
    """recommended, or original: the defaults and quirks of create_pretraining_data.py (words and n-grams
    reach across a [SEP], special tokens occur as random replacements, at most 20 masked tokens, random
    second segments for lone sentences, 40 passes)."""
    max_seq_length: int = 512
    """Longest sequence, in tokens, special ones included."""
    short_seq_prob: float = 0.1
    """Share of the documents that are packed into shorter sequences; drawn again in each pass."""
    sentence_loss: SentenceLoss = "auto"
    """What the second head learns. sop: the order of two segments, where a lone sentence has no label;
    sop-random: the same, but a lone sentence gets a random second segment and the label swapped; nsp:
    whether the second segment follows the first, as BERT; none: a single segment and no label. auto: sop,
    with --style original sop-random."""
    masked_lm_prob: float = 0.15
    """Share of the tokens of a sequence to mask."""
    max_predictions_per_seq: int | None = None
    """Most masked tokens in a sequence; 0: no cap. Default: 0, with --style original 20."""
    max_ngram: int = 3
    """Longest n-gram that is masked as one, in words."""
    favor_shorter_ngram: bool = True
    """Draw n-grams of n words with probability ~ 1/n; otherwise with the same numbers in reverse."""
    whole_words: bool = True
    """Mask whole words; otherwise an n-gram is n tokens."""
    word_rule: WordRuleName | Literal["auto"] = "auto"
    """Where words start in a SentencePiece vocabulary. unicode: as in each script; english: only English
    words have several tokens, a token with anything but English letters is a word. Words stored by
    albert prepare --words take precedence. auto: unicode, with --style original english."""
    mask_unit: MaskUnit = "token"
    """Unit of the 80/10/10 decision ([MASK], the token itself, or another one): token or n-gram (span)."""
    permutation: bool = False
    """Also shuffle as many other tokens among themselves, and predict them as well."""
    dupe_factor: int | None = None
    """Passes over the text before the masks repeat. Default: they never do, with --style original 40."""

    def __post_init__(self) -> None:
        if self.max_seq_length < SPECIALS_OF_PAIR + 2:
            raise ConfigError(
                f"max_seq_length is {self.max_seq_length}; expected at least {SPECIALS_OF_PAIR + 2}: "
                "three special tokens and one in each segment"
            )
        for name in ("short_seq_prob", "masked_lm_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1")
        for name, least in (("max_ngram", 1), ("max_predictions_per_seq", 0), ("dupe_factor", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}; expected at least {least}")

    def filled(self) -> "ExampleSettings":
        """Return the settings with the values that were not given, as `style` has them.

        The functions that make examples expect settings in this form.
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
        """Special tokens in a full sequence."""
        return SPECIALS_OF_SINGLE if self.sentence_loss == "none" else SPECIALS_OF_PAIR
