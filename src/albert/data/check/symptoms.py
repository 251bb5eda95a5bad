"""Checks of a sample of a corpus for common faults, each with what to do about it.

Each check looks for one fault that beginners meet, and returns a finding or nothing. The limits are far
from what good text shows and far from what a corpus with the fault shows: a slight fault is missed, but a
finding is worth reading.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from albert.data.batches import IntArray
from albert.data.examples.settings import SPECIALS_OF_PAIR
from albert.data.shards.folder import Shard
from albert.text.cleaning import LEAST_LOST_MARKS, lost_marks
from albert.text.tokenizer import AlbertTokenizer

Severity = Literal["problem", "advice"]

FEWEST_LINES = 3
"""A fault on fewer lines is not reported, however small the sample."""
SHOWN_CHARACTERS = 60
"""Length of an example."""

_FEWEST_SENTENCES = 200
_LONGEST_MEAN_DOCUMENT = 2000
_FEWEST_WRAPPED_LINES = 20
_TOKENS_PER_WORD = 2.5

_ENDS_OF_SENTENCES = ".!?…:;。！？：；।؟۔\"'”’»)」』）】]"
# Latin, Greek and Cyrillic sentences start with a capital; Chinese ones need no sign of a start.
_INNER_END = re.compile(
    r"[.!?…][\"'”’»)\]]*\s+[\"'“‘«(\[]*(?=[A-ZÀ-ÞΑ-ΩА-Я])|[।؟۔]\s+(?=\S)|[。！？][”’」』）]*(?=[^\s”’」』）。！？])"
)
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|&(?:[a-zA-Z]{2,8}|#\d{2,6}|#x[0-9a-fA-F]{2,6});")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _mojibake() -> re.Pattern[str]:
    """Return a pattern for UTF-8 that was read as Latin-1 or Windows-1252, or whose bytes were lost."""
    # Windows-1252 shows the bytes 0x80 to 0x9F as signs like € and ™.
    signs = "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0))
    follower = f"[\\x80-\\xbf{re.escape(signs)}]"
    # Other capitals may precede a quote or dash in good text, so a single pair proves nothing.
    pairs = f"[ÂÃ]{follower}|(?:[Ä-ß]{follower}){{2}}"
    spelled = f"{pairs}|[à-ï]{follower}{{2}}|[ð-ô]{follower}{{3}}"
    return re.compile(f"\ufffd|锟斤拷|{spelled}")


_MOJIBAKE = _mojibake()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with a corpus, or could be better."""

    severity: Severity
    """problem: a model trained on it learns the wrong thing; advice: worth a look."""
    what: str
    """What was found, with its share."""
    example: str
    """Text that shows it; may be empty."""
    remedy: str
    """What to do."""

    def line(self) -> str:
        """Return the finding as one line."""
        shown = f", such as {self.example}" if self.example else ""
        return f"{self.severity}: {self.what}{shown}; {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some documents of a corpus, as lines, as sentences and as tokens."""

    documents: list[list[str]]
    """Lines of each document, none empty."""
    sentences: list[list[str]]
    """Sentences of each document."""
    shard: Shard
    """Tokens of the sentences."""
    tokenizer: AlbertTokenizer
    """The tokenizer that made the tokens."""
    max_seq_length: int
    """Longest sequence of the training, in tokens."""

    @cached_property
    def lines(self) -> list[str]:
        """All lines."""
        return [line for document in self.documents for line in document]

    @cached_property
    def characters(self) -> Counter[str]:
        """How often each character occurs."""
        return Counter("".join(self.lines))

    @cached_property
    def sentence_lengths(self) -> IntArray:
        """Tokens of each sentence."""
        return np.diff(self.shard.sentence_ends, prepend=0)

    @cached_property
    def document_lengths(self) -> IntArray:
        """Sentences of each document."""
        return np.diff(self.shard.document_ends, prepend=0)

    @cached_property
    def unknown_share(self) -> float:
        """Share of the tokens that are unknown."""
        return float(np.mean(self.shard.tokens == self.tokenizer.unk_token_id))

    @cached_property
    def unknown_characters(self) -> dict[str, int]:
        """How often each character that the vocabulary cannot spell occurs, the most frequent first."""
        found = [x for x, _ in self.characters.most_common() if not x.isspace()]
        rows = self.tokenizer.encode_sentences(found)
        unknown = self.tokenizer.unk_token_id
        return {x: self.characters[x] for x, row in zip(found, rows, strict=True) if unknown in row}

    @cached_property
    def tokens_per_word(self) -> float:
        """Tokens per word between spaces."""
        return len(self.shard.tokens) / max(1, sum(len(line.split()) for line in self.lines))

    @cached_property
    def lone_share(self) -> float:
        """Share of the tokens in documents with a single sentence."""
        lone = self.sentence_lengths[self.shard.document_ends[self.document_lengths == 1] - 1]
        return float(lone.sum() / len(self.shard.tokens))

    @cached_property
    def repeated_share(self) -> float:
        """Share of the characters in lines that occurred before."""
        again = sum((count - 1) * len(line) for line, count in self.repeated_lines.items())
        return again / max(1, self.characters.total())

    @cached_property
    def repeated_lines(self) -> dict[str, int]:
        """How often each repeated line occurs, those with the most repeated text first."""
        counts = {line: count for line, count in Counter(self.lines).items() if count > 1}
        return dict(sorted(counts.items(), key=lambda pair: -len(pair[0]) * (pair[1] - 1)))


def find_symptoms(sample: Sample) -> Iterator[Finding]:
    """Yield the findings on a sample of at least one token, problems first."""
    findings = [found for check in _CHECKS if (found := check(sample))]
    yield from sorted(findings, key=lambda finding: finding.severity != "problem")


def shown(text: str) -> str:
    """Return a text as an example: in quotes, on one line, and short."""
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."
    return repr(cut)


def _no_breaks(sample: Sample) -> Finding | None:
    documents, sentences = len(sample.document_lengths), len(sample.sentence_lengths)
    one = documents == 1 and sentences >= _FEWEST_SENTENCES
    if not one and sentences < _LONGEST_MEAN_DOCUMENT * documents:
        return None
    return Finding(
        severity="problem",
        what=f"{sentences} sentences are in {documents} document{'s' if documents > 1 else ''}, "
        "so the ends of documents are probably not marked",
        example="",
        remedy="put a blank line after each document, or write .jsonl with one record per document",
    )


def _lone_sentences(sample: Sample) -> Finding | None:
    if sample.lone_share < 0.2 or len(sample.document_lengths) < FEWEST_LINES:
        return None
    alone = next(document[0] for document in sample.sentences if len(document) == 1)
    return Finding(
        severity="problem" if sample.lone_share > 0.5 else "advice",
        what=f"{sample.lone_share:.0%} of the tokens are in documents with a single sentence, "
        "which have no sentence order to learn",
        example=shown(alone),
        remedy="a blank line ends a document, so remove blank lines inside a text; of a table, name all "
        "columns with text (--column A,B); if lines are paragraphs, use --splitting sentences",
    )


def _several_sentences(sample: Sample) -> Finding | None:
    found = [x for document in sample.sentences for x in document if len(_INNER_END.findall(x)) > 1]
    share = sum(map(len, found)) / max(1, sample.characters.total())
    if len(found) < FEWEST_LINES or share < 0.3:
        return None
    return Finding(
        severity="problem",
        what=f"{share:.0%} of the text is in lines with several sentences, each read as one sentence",
        example=shown(found[0]),
        remedy="use --splitting sentences with the --language of the text",
    )


def _wrapped_lines(sample: Sample) -> Finding | None:
    """Find sentences that span lines: most lines are about as long as the longest, without an end."""
    inner = [line for document in sample.documents for line in document[:-1]]
    if len(inner) < _FEWEST_WRAPPED_LINES:
        return None
    width = float(np.quantile([len(line) for line in inner], 0.9))
    broken = [line for line in inner if 0.7 * width <= len(line) and line[-1] not in _ENDS_OF_SENTENCES]
    share = len(broken) / len(inner)
    if share < 0.4 or not 15 <= width <= 250:
        return None
    return Finding(
        severity="problem",
        what=f"{share:.0%} of the lines are about {width:.0f} characters long and end "
        "in the middle of a sentence",
        example=shown(broken[0]),
        remedy="join the lines of each paragraph into one line",
    )


def _repeated_lines(sample: Sample) -> Finding | None:
    many = max(10, len(sample.documents) // 5)
    often = any(count >= many and len(line) > 20 for line, count in sample.repeated_lines.items())
    lines = sum(count - 1 for count in sample.repeated_lines.values())
    if sample.repeated_share < 0.1 and not often and lines < 0.3 * len(sample.lines):
        return None
    worst = list(sample.repeated_lines.items())[:3]
    return Finding(
        severity="problem" if sample.repeated_share > 0.3 else "advice",
        what=f"{sample.repeated_share:.1%} of the text is in lines that occurred before",
        example=", ".join(f"{shown(line)} ({count} times)" for line, count in worst),
        remedy="remove headers, footers and copies of documents",
    )


def _wrong_encoding(sample: Sample) -> Finding | None:
    return _lines_with(
        sample,
        _MOJIBAKE,
        shares=(0.002, 0.02),
        what="look like text that was read in the wrong encoding",
        remedy="convert the original text to UTF-8 again",
    )


def _control_characters(sample: Sample) -> Finding | None:
    return _lines_with(
        sample,
        _CONTROL,
        shares=(0.002, 0.1),
        what="contain control characters",
        remedy="check that this is text at all; if so, remove them",
    )


def _markup(sample: Sample) -> Finding | None:
    return _lines_with(
        sample,
        _MARKUP,
        shares=(0.01, 0.1),
        what="contain HTML tags or entities",
        remedy="extract the text from the pages first",
    )


def _lines_with(
    sample: Sample, pattern: re.Pattern[str], *, shares: tuple[float, float], what: str, remedy: str
) -> Finding | None:
    """Return a finding if a pattern is on enough lines; `shares` are those for advice and for a problem."""
    found = [match for line in sample.lines if (match := pattern.search(line))]
    share = len(found) / len(sample.lines)
    if len(found) < FEWEST_LINES or share < shares[0]:
        return None
    start = max(0, found[0].start() - SHOWN_CHARACTERS // 2)
    return Finding(
        severity="problem" if share >= shares[1] else "advice",
        what=f"{share:.1%} of the lines {what}",
        example=shown(found[0].string[start : found[0].end() + SHOWN_CHARACTERS // 2]),
        remedy=remedy,
    )


def _unknown_tokens(sample: Sample) -> Finding | None:
    if sample.unknown_share < 0.01:
        return None
    worst = list(sample.unknown_characters.items())[:10]
    capitals = [x for x, _ in worst if x.lower() != x and x.lower() not in sample.unknown_characters]
    remedy = "choose a vocabulary for the language of the text, or make one with albert vocab"
    if len(capitals) > len(worst) / 2 and not sample.tokenizer.do_lower_case:
        remedy = "the vocabulary has no capitals: set do_lower_case to true in its tokenizer_config.json"
    return Finding(
        severity="problem" if sample.unknown_share > 0.05 else "advice",
        what=f"{sample.unknown_share:.1%} of the tokens are unknown",
        example=", ".join(f"{x!r} ({count} times)" for x, count in worst),
        remedy=remedy,
    )


def _lost_marks(sample: Sample) -> Finding | None:
    """Find a script whose signs the tokenizer's cleaning removes, so that different words become the same."""
    lost = {} if sample.tokenizer.keep_accents else lost_marks(sample.characters)
    share = sum(lost.values()) / max(1, sample.characters.total())
    if share < LEAST_LOST_MARKS:
        return None
    return Finding(
        severity="problem" if share > 0.05 else "advice",
        what=f"{share:.1%} of the characters lose an accent or another mark when the text is cleaned",
        example=", ".join(f"{x!r} ({count} times)" for x, count in list(lost.items())[:10]),
        remedy="if they tell words apart, make a vocabulary with albert vocab --keep-accents",
    )


def _cut_words(sample: Sample) -> Finding | None:
    """Find a vocabulary of another language with the same script; a text without spaces has no words."""
    words = sum(len(line.split()) for line in sample.lines)
    spaced = words * 12 > sample.characters.total()
    if not spaced or sample.tokens_per_word < _TOKENS_PER_WORD:
        return None
    line = max(sample.lines[:100], key=len)
    tokens = " ".join(sample.tokenizer.tokenize(line[:SHOWN_CHARACTERS]))
    return Finding(
        severity="advice",
        what=f"words are split into {sample.tokens_per_word:.1f} tokens on average",
        example=shown(tokens),
        remedy="choose a vocabulary for the language of the text, or make a larger one with albert vocab",
    )


def _long_sentences(sample: Sample) -> Finding | None:
    room = sample.max_seq_length - SPECIALS_OF_PAIR
    long = sample.sentence_lengths > room
    share = sample.sentence_lengths[long].sum() / len(sample.shard.tokens)
    if share < 0.05:
        return None
    end = int(sample.shard.sentence_ends[int(np.argmax(long))])
    start = end - int(sample.sentence_lengths[int(np.argmax(long))])
    example = sample.tokenizer.decode(sample.shard.tokens[start : start + 40].tolist())
    return Finding(
        severity="advice",
        what=f"{share:.0%} of the tokens are in sentences longer than {room} tokens, which are cut",
        example=shown(example),
        remedy="use --splitting sentences, or a larger --max-seq-length",
    )


_CHECKS: tuple[Callable[[Sample], Finding | None], ...] = (
    _no_breaks,
    _wrong_encoding,
    _several_sentences,
    _wrapped_lines,
    _lone_sentences,
    _unknown_tokens,
    _lost_marks,
    _markup,
    _repeated_lines,
    _control_characters,
    _cut_words,
    _long_sentences,
)
