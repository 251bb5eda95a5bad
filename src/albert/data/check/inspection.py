"""A report on a sample of a corpus, before hours are spent on it: what it is, and what is wrong with it.

The sample is the start of up to 20 files, 20 million characters in all, which takes seconds and may miss a
fault of the other files. `symptoms` has the faults.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from albert import console
from albert.data.batches import IntArray
from albert.data.check.symptoms import Finding, Sample, find_symptoms
from albert.data.corpus.documents import LineMeaning, read_documents, sentence_splitter
from albert.data.corpus.files import Reading, Tally, report_skipped, total_bytes
from albert.data.examples.segments import draw_targets, pack_sentences
from albert.data.examples.settings import ExampleSettings
from albert.data.shards.encoding import encode_documents
from albert.errors import DataError
from albert.text.tokenizer import AlbertTokenizer

BAR_CHARACTERS = 40
"""Length of a bar of 100% in a histogram."""
SHOWN_SCRIPTS = 4
SHOWN_UNKNOWN = 8


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of lengths, in classes of powers of two."""

    starts: tuple[int, ...]
    """Smallest length of each class: 1, 2, 4, ..."""
    counts: tuple[int, ...]
    """Number of lengths in each class."""

    def lines(self) -> list[str]:
        """Return one line with a bar per class."""
        total = sum(self.counts)
        rows = []
        for start, count in zip(self.starts, self.counts, strict=True):
            name = f"{start}-{2 * start - 1}" if start > 1 else "1"
            bar = "#" * round(BAR_CHARACTERS * count / total)
            rows.append(f"{name:>13}  {bar:<{BAR_CHARACTERS}}  {count / total:6.1%}")
        return rows


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a sample shows of a corpus."""

    documents: int
    """Documents with at least one token."""
    text_lines: int
    """Lines that are not blank."""
    sentences: int
    """Sentences with at least one token."""
    pieces: int
    """Tokens of all sentences."""
    sampled_bytes: int
    """Bytes of the corpus that were read."""
    total_bytes: int | None
    """Bytes of the whole corpus; None if unknown."""
    scripts: dict[str, float]
    """Share of the letters in each script, the largest first."""
    unknown_share: float
    """Share of the tokens that are unknown."""
    unknown_characters: dict[str, int]
    """The most frequent characters that the vocabulary cannot spell, with their counts."""
    pieces_per_word: float
    """Tokens per word between spaces."""
    lone_sentence_share: float
    """Share of the documents with a single sentence, which have no order to learn."""
    repeated_line_share: float
    """Share of the characters in lines that occurred before."""
    sentence_pieces: Histogram
    """Lengths of sentences, in tokens."""
    document_sentences: Histogram
    """Lengths of documents, in sentences."""
    max_seq_length: int
    """Tokens of the longest example."""
    corpus_pieces: int
    """Tokens of the whole corpus, if the rest is like the sample; of the sample if its share is unknown."""
    corpus_examples: int
    """Examples of the whole corpus in one epoch, likewise."""
    epoch_hours: float | None
    """Hours of one epoch at the given speed."""
    findings: tuple[Finding, ...]
    """What is wrong, problems first."""

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the lines of the report for a terminal."""
        unknown = list(self.unknown_characters.items())[:SHOWN_UNKNOWN]
        characters = ", ".join(f"{x!r} {console.human_count(count)}" for x, count in unknown)
        scripts = list(self.scripts.items())[:SHOWN_SCRIPTS]
        rows = [
            f"sample: {self.documents} documents, {self.sentences} sentences, "
            f"{console.human_count(self.pieces)} tokens, {self.sampled_bytes / 1e6:.3g} MB",
            "scripts: " + (", ".join(f"{name} {share:.1%}" for name, share in scripts) or "no letters"),
            f"unknown tokens: {self.unknown_share:.2%}" + (f" ({characters})" if characters else ""),
            f"documents with a single sentence: {self.lone_sentence_share:.1%}",
            f"text in repeated lines: {self.repeated_line_share:.1%}",
            "sentences by number of tokens:",
            *self.sentence_pieces.lines(),
            "documents by number of sentences:",
            *self.document_sentences.lines(),
            self._outlook(),
        ]
        rows += [finding.line() for finding in self.findings] or ["no problems found"]
        return rows

    def _outlook(self) -> str:
        whole = "the sample" if self.total_bytes is None else f"all {self.total_bytes / 1e6:.3g} MB"
        hours = ""
        if self.epoch_hours is not None:
            speed = console.human_count(self.corpus_pieces / self.epoch_hours / 3600)
            hours = f", {console.human_seconds(3600 * self.epoch_hours)} at {speed} tokens/s"
        return (
            f"one epoch of {whole}: about {console.human_count(self.corpus_pieces)} tokens, "
            f"{console.human_count(self.corpus_examples)} examples of at most {self.max_seq_length}{hours}"
        )


def inspect(
    documents: Iterable[list[str]],
    split: Callable[[list[str]], list[str]],
    tokenizer: AlbertTokenizer,
    *,
    sampled_bytes: Callable[[], int],
    total_bytes: int | None,
    max_seq_length: int,
    pieces_per_second: float | None = None,
) -> Report:
    """Return the report on a sample of the documents of a corpus.

    Args:
        documents: Lists of lines that are not blank; all are held in memory.
        split: Makes sentences from the lines of a document.
        tokenizer: Tokenizer for the text.
        sampled_bytes: Returns how many bytes of the corpus were read for `documents`; called at the end.
        total_bytes: Bytes of the whole corpus, if known; numbers are scaled up to them.
        max_seq_length: Tokens of the longest example.
        pieces_per_second: Speed of the training, if known, for the hours of an epoch.

    Raises:
        DataError: The sample has no text.
    """
    lines = list(documents)
    sentences = [split(document) for document in lines]
    shard = encode_documents(sentences, tokenizer, words="vocabulary")
    if not len(shard.tokens):
        raise DataError("the sample of the corpus is empty: expected text, found only blank lines")
    sample = Sample(
        documents=lines,
        sentences=sentences,
        shard=shard,
        tokenizer=tokenizer,
        max_seq_length=max_seq_length,
    )
    read = sampled_bytes()
    scale = max(1.0, total_bytes / max(1, read)) if total_bytes else 1.0
    corpus_pieces = round(scale * len(shard.tokens))
    return Report(
        documents=len(sample.document_lengths),
        text_lines=len(sample.lines),
        sentences=len(sample.sentence_lengths),
        pieces=len(shard.tokens),
        sampled_bytes=read,
        total_bytes=total_bytes,
        scripts=_scripts(sample.characters),
        unknown_share=sample.unknown_share,
        unknown_characters=dict(list(sample.unknown_characters.items())[:SHOWN_UNKNOWN]),
        pieces_per_word=sample.tokens_per_word,
        lone_sentence_share=float(np.mean(sample.document_lengths == 1)),
        repeated_line_share=sample.repeated_share,
        sentence_pieces=_histogram(sample.sentence_lengths),
        document_sentences=_histogram(sample.document_lengths),
        max_seq_length=max_seq_length,
        corpus_pieces=corpus_pieces,
        corpus_examples=round(scale * _count_examples(sample)),
        epoch_hours=corpus_pieces / pieces_per_second / 3600 if pieces_per_second else None,
        findings=tuple(find_symptoms(sample)),
    )


def _scripts(characters: Counter[str]) -> dict[str, float]:
    """Return the share of the letters in each script, with which Unicode names start."""
    counts: Counter[str] = Counter()
    for character, count in characters.items():
        if character.isalpha():
            words = unicodedata.name(character, "UNKNOWN").split()
            wide = words[0] in {"FULLWIDTH", "HALFWIDTH"} and len(words) > 1
            name = words[wide].capitalize()
            counts["Han" if name == "Cjk" else name] += count
    return {name: count / counts.total() for name, count in counts.most_common()}


def _histogram(lengths: IntArray) -> Histogram:
    counts = np.bincount(np.log2(lengths).astype(np.int64)).tolist()
    return Histogram(starts=tuple(1 << power for power in range(len(counts))), counts=tuple(counts))


def _count_examples(sample: Sample) -> int:
    """Return the number of examples in one epoch of the sample, by making its chunks."""
    settings = ExampleSettings(max_seq_length=sample.max_seq_length)
    random = np.random.default_rng(0)
    targets = draw_targets(
        len(sample.document_lengths),
        max_tokens=settings.max_seq_length - settings.specials,
        short_seq_prob=settings.short_seq_prob,
        random=random,
    )
    return len(pack_sentences(sample.shard, targets, "sop", random).first)


SAMPLE_CHARACTERS = 20_000_000
SAMPLE_FILES = 20
"""Number of files whose start is in the sample, spread evenly over the corpus."""


def check_corpus(
    files: Sequence[str],
    tokenizer: AlbertTokenizer,
    *,
    reading: Reading,
    splitting: LineMeaning,
    language: str,
    max_seq_length: int,
    pieces_per_second: float,
) -> Report:
    """Inspect a sample of a corpus; nothing is written.

    Raises:
        DataError: The sample cannot be read, or has no text.
    """
    tally = Tally()
    report = inspect(
        _sample(files, reading, tally),
        sentence_splitter(splitting, language),
        tokenizer,
        sampled_bytes=lambda: tally.bytes_read,
        total_bytes=total_bytes(files),
        max_seq_length=max_seq_length,
        pieces_per_second=pieces_per_second,
    )
    report_skipped(tally)
    return report


def _sample(files: Sequence[str], reading: Reading, tally: Tally) -> Iterator[list[str]]:
    chosen = files[:: -(-len(files) // SAMPLE_FILES)]
    for file in chosen:
        room = SAMPLE_CHARACTERS // len(chosen)
        for document in read_documents([file], reading=reading, tally=tally):
            yield document
            room -= sum(map(len, document))
            if room <= 0:
                break
