"""A corpus as documents, each a list of lines, and the splitting of lines into sentences.

In text files a blank line or the end of a file ends a document (the original overlooked the latter); in
other files each record is a document. A line is a sentence, or a paragraph that sentencex splits. Memory is
bounded by one document; the price is that a document of more than a million characters is cut.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Literal

import sentencex

from albert import console
from albert.choices import Splitting
from albert.data.corpus.files import (
    DEFAULT_READING,
    HUB_PREFIX,
    TEXT_SUFFIXES,
    Reading,
    Tally,
    has_suffix,
    read_runs,
)
from albert.data.corpus.hub_corpora import read_hub_records
from albert.data.corpus.records import lines_of_records, read_file_records
from albert.errors import DataError

LineMeaning = Literal["lines", "sentences"]

MAX_DOCUMENT_CHARACTERS = 1 << 20
SAMPLE_LINES = 1000
SAMPLE_CHARACTERS = 200_000


def read_documents(
    files: Sequence[str], *, reading: Reading = DEFAULT_READING, tally: Tally | None = None
) -> Iterator[list[str]]:
    """Read the documents of a corpus, in order; each is a non-empty list of non-empty stripped lines.

    Args:
        files: Names from `find_files`.
        reading: Which field or column has the text, and what to do with anything that is not text.
        tally: Counts what is read and skipped.

    Raises:
        DataError: A file is damaged, changes while it is read, or has something that cannot be used and is
            not to be skipped; or the corpus has no text at all.
    """
    tally = tally or Tally()
    for file in files:
        for document in _group(_lines(file, reading, tally), tally):
            tally.documents += 1
            yield document
    if not tally.documents:
        names = ", ".join(files[:3]) + (", ..." if len(files) > 3 else "")
        raise DataError(
            f"{names}: the corpus is empty: expected text, found nothing but blank lines"
            + "".join(f"; skipped {kind}" for kind in tally.skipped_kinds())
        )


def choose_splitting(
    splitting: Splitting, files: Sequence[str], *, language: str, reading: Reading
) -> LineMeaning:
    """Return what the lines of a corpus are: `splitting` itself, or for "auto" what a sample shows."""
    if splitting != "auto":
        return splitting
    return detect_splitting(files, language=language, reading=reading)


def detect_splitting(
    files: Sequence[str], *, language: str = "en", reading: Reading = DEFAULT_READING
) -> LineMeaning:
    """Return what the lines of a corpus are: "lines" (a sentence each) or "sentences" (to be split).

    sentencex splits the first 1,000 lines (at most 200,000 characters). If lines of two or more sentences
    have more than half of these characters, lines are paragraphs. Characters are counted, not lines, so
    that headings and short lines of dialogue do not outvote the text.
    """
    characters = several = 0
    documents = read_documents(files, reading=reading)
    for seen, line in enumerate(chain.from_iterable(documents), start=1):
        characters += len(line)
        several += len(line) if len(sentencex.segment(language, line)) > 1 else 0
        if seen >= SAMPLE_LINES or characters >= SAMPLE_CHARACTERS:
            break
    share = several / max(1, characters)
    found: LineMeaning = "sentences" if share > 0.5 else "lines"
    meaning = "paragraphs, split into sentences" if found == "sentences" else "sentences"
    console.say(
        f"lines are read as {meaning} ({share:.0%} of a sample is in lines of several sentences); "
        f"--splitting {'lines' if found == 'sentences' else 'sentences'} overrides"
    )
    return found


def sentence_splitter(splitting: LineMeaning, language: str) -> Callable[[list[str]], list[str]]:
    """Return a function from the lines of a document to stripped, non-empty sentences; it can be pickled.

    Args:
        splitting: "lines": a line is a sentence. "sentences": a line is a paragraph, for sentencex.
        language: ISO 639 code of the text, for sentencex.
    """
    return list if splitting == "lines" else partial(_split_paragraphs, language)


def _split_paragraphs(language: str, lines: list[str]) -> list[str]:
    return [
        stripped for line in lines for part in sentencex.segment(language, line) if (stripped := part.strip())
    ]


def _lines(file: str, reading: Reading, tally: Tally) -> Iterator[list[str]]:
    """Read the stripped lines of a file, many at a time; an empty one ends a document."""
    if file.startswith(HUB_PREFIX):
        yield from lines_of_records(read_hub_records(file, reading, tally), reading, tally)
    elif not has_suffix(file, TEXT_SUFFIXES):
        yield from lines_of_records(read_file_records(file, reading, tally), reading, tally)
    else:
        for _, lines in read_runs(file, reading=reading, tally=tally):
            yield [line.strip() for line in lines]


def _group(runs: Iterable[list[str]], tally: Tally) -> Iterator[list[str]]:
    """Gather the lines between empty ones into documents, and cut documents that are too long.

    Takes all lines up to the next empty one at once, and single lines only around a cut.
    """
    document: list[str] = []
    characters = 0
    for lines in runs:
        start = 0
        while start < len(lines):
            end = _find_empty(lines, start)
            stretch = lines[start:end]
            added = sum(map(len, stretch))
            if characters + added <= MAX_DOCUMENT_CHARACTERS:
                document += stretch
                characters += added
            else:
                for line in stretch:
                    if characters > MAX_DOCUMENT_CHARACTERS:
                        yield document
                        tally.cuts += 1
                        document, characters = [], 0
                    document.append(line)
                    characters += len(line)
            if end < len(lines) and document:
                yield document
                document, characters = [], 0
            start = end + 1
    if document:
        yield document


def _find_empty(lines: list[str], start: int) -> int:
    """Return the index of the next empty line, or the end."""
    try:
        return lines.index("", start)
    except ValueError:
        return len(lines)
