"""Recognises what is wrong with a corpus from a sample of it, and says what to do.

Stands above `encoding` and below `inspection`. Every check looks at one thing that beginners meet, and
returns a finding or nothing. The limits are shares far from what good text shows, and far from
what a corpus with the fault shows, so that a finding is worth reading.
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
from albert.text.tokenizer import AlbertTokenizer

Severity = Literal["problem", "advice"]

FEWEST_LINES = 3
"""A fault on fewer lines is no finding, however small the sample."""
SHOWN_CHARACTERS = 60
"""Length of an example."""

_FEWEST_SENTENCES = 200
_LONGEST_MEAN_DOCUMENT = 2000
_FEWEST_WRAPPED_LINES = 20
_PIECES_PER_WORD = 2.5

_ENDS_OF_SENTENCES = ".!?…:;。！？：；।؟۔\"'”’»)」』）】]"
# Capitals of Latin, Greek and Cyrillic, as a sentence begins with one; Chinese needs no sign of a beginning.
_INNER_END = re.compile(
    r"[.!?…][\"'”’»)\]]*\s+[\"'“‘«(\[]*(?=[A-ZÀ-ÞΑ-ΩА-Я])|[।؟۔]\s+(?=\S)|[。！？][”’」』）]*(?=[^\s”’」』）。！？])"
)
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|&(?:[a-zA-Z]{2,8}|#\d{2,6}|#x[0-9a-fA-F]{2,6});")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _mojibake() -> re.Pattern[str]:
    """Returns what finds UTF-8 that was read as Latin-1 or Windows-1252, or lost its bytes altogether."""
    # Windows-1252 shows the bytes 0x80 to 0x9F as signs like € and ™.
    signs = "".join(bytes([byte]).decode("cp1252", "ignore") for byte in range(0x80, 0xA0))
    follower = f"[\\x80-\\xbf{re.escape(signs)}]"
    # Other capitals do stand before a quote or dash: one pair alone is no sign.
    pairs = f"[ÂÃ]{follower}|(?:[Ä-ß]{follower}){{2}}"
    spelled = f"{pairs}|[à-ï]{follower}{{2}}|[ð-ô]{follower}{{3}}"
    return re.compile(f"\ufffd|锟斤拷|{spelled}")


_MOJIBAKE = _mojibake()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with a corpus, or could be better."""

    severity: Severity
    """problem: training on it would teach something else than meant. advice: worth a look."""
    what: str
    """What was found, with its share."""
    example: str
    """Text that shows it; empty where there is none to show."""
    remedy: str
    """What to do."""

    def line(self) -> str:
        """Returns the finding as one line."""
        shown = f", such as {self.example}" if self.example else ""
        return f"{self.severity}: {self.what}{shown}; {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some documents of a corpus, as lines, as sentences and as pieces."""

    documents: list[list[str]]
    """Lines of each document, none empty."""
    sentences: list[list[str]]
    """Sentences of each document."""
    shard: Shard
    """Their pieces."""
    tokenizer: AlbertTokenizer
    """Whose pieces they are."""
    max_seq_length: int
    """Pieces of the longest sequence to be trained on."""

    @cached_property
    def lines(self) -> list[str]:
        """All lines."""
        return [line for document in self.documents for line in document]

    @cached_property
    def characters(self) -> Counter[str]:
        """How often each character stands there."""
        return Counter("".join(self.lines))

    @cached_property
    def sentence_lengths(self) -> IntArray:
        """(S,) pieces of each sentence."""
        return np.diff(self.shard.sentence_ends, prepend=0)

    @cached_property
    def document_lengths(self) -> IntArray:
        """(D,) sentences of each document."""
        return np.diff(self.shard.document_ends, prepend=0)

    @cached_property
    def unknown_share(self) -> float:
        """Share of the pieces that are the unknown one."""
        return float(np.mean(self.shard.pieces == self.tokenizer.unk_token_id))

    @cached_property
    def unknown_characters(self) -> dict[str, int]:
        """How often each character that the vocabulary cannot spell stands there, the commonest first."""
        found = [x for x, _ in self.characters.most_common() if not x.isspace()]
        rows = self.tokenizer.encode_sentences(found)
        unknown = self.tokenizer.unk_token_id
        return {x: self.characters[x] for x, row in zip(found, rows, strict=True) if unknown in row}

    @cached_property
    def pieces_per_word(self) -> float:
        """Pieces to a word between spaces."""
        return len(self.shard.pieces) / max(1, sum(len(line.split()) for line in self.lines))

    @cached_property
    def lone_share(self) -> float:
        """Share of the pieces in documents of a single sentence."""
        lone = self.sentence_lengths[self.shard.document_ends[self.document_lengths == 1] - 1]
        return float(lone.sum() / len(self.shard.pieces))

    @cached_property
    def repeated_share(self) -> float:
        """Share of the characters in lines that stood there before."""
        again = sum((count - 1) * len(line) for line, count in self.repeated_lines.items())
        return again / max(1, self.characters.total())

    @cached_property
    def repeated_lines(self) -> dict[str, int]:
        """How often each line stands there that does so more than once, the longest stretches first."""
        counts = {line: count for line, count in Counter(self.lines).items() if count > 1}
        return dict(sorted(counts.items(), key=lambda pair: -len(pair[0]) * (pair[1] - 1)))


def find_symptoms(sample: Sample) -> Iterator[Finding]:
    """Yields what is wrong with a sample of at least one piece, problems first."""
    findings = [found for check in _CHECKS if (found := check(sample))]
    yield from sorted(findings, key=lambda finding: finding.severity != "problem")


def shown(text: str) -> str:
    """Returns a text as an example: in quotes, on one line, and short."""
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."
    return repr(cut)


def _no_breaks(sample: Sample) -> Finding | None:
    documents, sentences = len(sample.document_lengths), len(sample.sentence_lengths)
    one = documents == 1 and sentences >= _FEWEST_SENTENCES
    if not one and sentences < _LONGEST_MEAN_DOCUMENT * documents:
        return None
    return Finding(
        severity="problem",
        what=f"{sentences} sentences make up {documents} document{'s' if documents > 1 else ''}: "
        "the ends of documents are not marked",
        example="",
        remedy="put a blank line behind each document, or write a record of .jsonl for each",
    )


def _lone_sentences(sample: Sample) -> Finding | None:
    if sample.lone_share < 0.2 or len(sample.document_lengths) < FEWEST_LINES:
        return None
    alone = next(document[0] for document in sample.sentences if len(document) == 1)
    return Finding(
        severity="problem" if sample.lone_share > 0.5 else "advice",
        what=f"{sample.lone_share:.0%} of the pieces lie in documents of a single sentence, "
        "which teach no order of sentences",
        example=shown(alone),
        remedy="a blank line ends a document, so take out those inside one text; where lines are "
        "paragraphs, use --splitting sentences",
    )


def _several_sentences(sample: Sample) -> Finding | None:
    found = [x for document in sample.sentences for x in document if len(_INNER_END.findall(x)) > 1]
    share = sum(map(len, found)) / max(1, sample.characters.total())
    if len(found) < FEWEST_LINES or share < 0.3:
        return None
    return Finding(
        severity="problem",
        what=f"{share:.0%} of the text lies in lines of several sentences, each taken as one sentence",
        example=shown(found[0]),
        remedy="use --splitting sentences, with the text's --language",
    )


def _wrapped_lines(sample: Sample) -> Finding | None:
    """Finds sentences broken over lines: most lines are nearly as long as the longest and do not end."""
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
        what=f"{sample.repeated_share:.1%} of the text are lines that stood there before",
        example=", ".join(f"{shown(line)} ({count} times)" for line, count in worst),
        remedy="take out headers, footers and copies of documents",
    )


def _wrong_encoding(sample: Sample) -> Finding | None:
    return _lines_with(
        sample,
        _MOJIBAKE,
        shares=(0.002, 0.02),
        what="hold the signs of a text read in the wrong encoding",
        remedy="convert the original text to UTF-8 anew",
    )


def _control_characters(sample: Sample) -> Finding | None:
    return _lines_with(
        sample,
        _CONTROL,
        shares=(0.002, 0.1),
        what="hold control characters",
        remedy="see whether it is text at all; if so, take them out",
    )


def _markup(sample: Sample) -> Finding | None:
    return _lines_with(
        sample,
        _MARKUP,
        shares=(0.01, 0.1),
        what="hold tags or entities of HTML",
        remedy="extract the text from the pages first",
    )


def _lines_with(
    sample: Sample, pattern: re.Pattern[str], *, shares: tuple[float, float], what: str, remedy: str
) -> Finding | None:
    """Returns a finding where a pattern is on that share of the lines; of two, the second is a problem's."""
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


def _unknown_pieces(sample: Sample) -> Finding | None:
    if sample.unknown_share < 0.01:
        return None
    worst = list(sample.unknown_characters.items())[:10]
    capitals = [x for x, _ in worst if x.lower() != x and x.lower() not in sample.unknown_characters]
    remedy = "choose a vocabulary of the text's language, or make one with albert vocab"
    if len(capitals) > len(worst) / 2 and not sample.tokenizer.do_lower_case:
        remedy = "the vocabulary has no capitals: set do_lower_case to true in its tokenizer_config.json"
    return Finding(
        severity="problem" if sample.unknown_share > 0.05 else "advice",
        what=f"{sample.unknown_share:.1%} of the pieces are unknown to the vocabulary",
        example=", ".join(f"{x!r} ({count} times)" for x, count in worst),
        remedy=remedy,
    )


def _cut_words(sample: Sample) -> Finding | None:
    """Finds a vocabulary of another language of the same script; without spaces there is nothing to count."""
    words = sum(len(line.split()) for line in sample.lines)
    spaced = words * 12 > sample.characters.total()
    if not spaced or sample.pieces_per_word < _PIECES_PER_WORD:
        return None
    line = max(sample.lines[:100], key=len)
    pieces = " ".join(sample.tokenizer.tokenize(line[:SHOWN_CHARACTERS]))
    return Finding(
        severity="advice",
        what=f"words are cut into {sample.pieces_per_word:.1f} pieces on average",
        example=shown(pieces),
        remedy="choose a vocabulary of the text's language, or make a larger one with albert vocab",
    )


def _long_sentences(sample: Sample) -> Finding | None:
    room = sample.max_seq_length - SPECIALS_OF_PAIR
    long = sample.sentence_lengths > room
    share = sample.sentence_lengths[long].sum() / len(sample.shard.pieces)
    if share < 0.05:
        return None
    end = int(sample.shard.sentence_ends[int(np.argmax(long))])
    start = end - int(sample.sentence_lengths[int(np.argmax(long))])
    example = sample.tokenizer.decode(sample.shard.pieces[start : start + 40].tolist())
    return Finding(
        severity="advice",
        what=f"{share:.0%} of the pieces lie in sentences longer than {room} pieces, which are cut",
        example=shown(example),
        remedy="use --splitting sentences, or a larger --max-seq-length",
    )


_CHECKS: tuple[Callable[[Sample], Finding | None], ...] = (
    _no_breaks,
    _wrong_encoding,
    _several_sentences,
    _wrapped_lines,
    _lone_sentences,
    _unknown_pieces,
    _markup,
    _repeated_lines,
    _control_characters,
    _cut_words,
    _long_sentences,
)
