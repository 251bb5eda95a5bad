"""Reads a corpus as documents, each a list of sentences.

Stands above `files` (lines of text) and below `encoding` (pieces). In text a blank line, or the end of a
file, ends a document (the original forgot the latter); in .jsonl each record is a document. A line is a
sentence, or a paragraph that sentencex splits. Memory is bounded by one document, and a document
that is too long for that is cut.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import sentencex

from albert import console
from albert.data.files import (
    MAX_LINE_BYTES,
    MAX_RECORD_BYTES,
    RECORD_SUFFIXES,
    Decoding,
    Tally,
    find_files,
    has_suffix,
    read_lines,
)
from albert.errors import DataError

Splitting = Literal["auto", "lines", "sentences"]

MAX_DOCUMENT_CHARACTERS = 1 << 20
SAMPLE_LINES = 1000
SAMPLE_CHARACTERS = 200_000
RECORD_FIELD = "text"


def read_documents(
    paths: Iterable[str | Path],
    *,
    splitting: Splitting = "auto",
    language: str = "en",
    errors: Decoding = "strict",
    tally: Tally | None = None,
) -> Iterator[list[str]]:
    """Reads the documents of a corpus, in order; each is a non-empty list of stripped sentences.

    Args:
        paths: Files, folders and globs, as `find_files` takes them.
        splitting: "lines": a line is a sentence. "sentences": a line is a paragraph, to be split by
            sentencex. "auto": `detect_splitting` decides, and the decision is told.
        language: ISO 639 code of the text, for sentencex.
        errors: What to do with bytes that are not UTF-8: stop, or replace them by U+FFFD.
        tally: Counts what is read, for progress.

    Raises:
        DataError: A file is missing, damaged, of an unknown kind, not UTF-8, or has an endless line or a
            bad record; or the corpus holds no text at all.
    """
    tally = tally or Tally()
    files = find_files(paths)
    if splitting == "auto":
        splitting = detect_splitting(files, language=language, errors=errors)
    split = _whole_line if splitting == "lines" else partial(sentencex.segment, language)
    for file in files:
        for document in _group(_lines(file, errors=errors, tally=tally), split, tally):
            tally.documents += 1
            yield document
    if not tally.documents:
        names = ", ".join(str(file) for file in files[:3]) + (", ..." if len(files) > 3 else "")
        raise DataError(f"{names}: the corpus is empty: expected text, found only blank lines")


def detect_splitting(
    files: Sequence[Path], *, language: str = "en", errors: Decoding = "strict"
) -> Literal["lines", "sentences"]:
    """Returns what the lines of a corpus are: "lines" (a sentence each) or "sentences" (to be split).

    The rule: sentencex splits the first 1,000 lines (at most 200,000 characters); where lines of two or
    more sentences hold more than half of these characters, lines are paragraphs. Weighing by
    characters keeps headings and short lines of dialogue from outvoting the text.
    """
    characters = several = seen = 0
    lines = (line for file in files for line in _lines(file, errors=errors, tally=Tally()))
    for line in lines:
        if not line:
            continue
        seen += 1
        characters += len(line)
        several += len(line) if len(sentencex.segment(language, line)) > 1 else 0
        if seen >= SAMPLE_LINES or characters >= SAMPLE_CHARACTERS:
            break
    share = several / max(1, characters)
    found: Literal["lines", "sentences"] = "sentences" if share > 0.5 else "lines"
    meaning = "paragraphs, split into sentences" if found == "sentences" else "sentences"
    console.say(
        f"lines are taken as {meaning} ({share:.0%} of a sample lies in lines of several sentences); "
        f"--splitting {'lines' if found == 'sentences' else 'sentences'} overrides"
    )
    return found


def _whole_line(line: str) -> list[str]:
    return [line]


def _group(lines: Iterable[str], split: Callable[[str], list[str]], tally: Tally) -> Iterator[list[str]]:
    """Gathers the sentences between empty lines into documents; cuts documents that are too long."""
    sentences: list[str] = []
    characters = 0
    for line in lines:
        if not line or characters > MAX_DOCUMENT_CHARACTERS:
            if sentences:
                yield sentences
            tally.cuts += bool(line)
            sentences, characters = [], 0
        if line:
            sentences += [stripped for part in split(line) if (stripped := part.strip())]
            characters += len(line)
    if sentences:
        yield sentences


def _lines(path: Path, *, errors: Decoding, tally: Tally) -> Iterator[str]:
    """Reads the stripped lines of a file; an empty one ends a document."""
    if has_suffix(path, RECORD_SUFFIXES):
        yield from _record_lines(path, errors=errors, tally=tally)
        return
    for _, line in read_lines(path, errors=errors, tally=tally):
        yield line.strip()


def _record_lines(path: Path, *, errors: Decoding, tally: Tally) -> Iterator[str]:
    """Reads the non-empty lines of each record of a .jsonl file, and an empty one behind each record."""
    records = read_lines(path, errors=errors, tally=tally, max_line_bytes=MAX_RECORD_BYTES)
    for number, record in records:
        if not record.strip():
            continue
        for line in _parse_record(record, f"{path}:{number}", errors).split("\n"):
            if len(line) > MAX_LINE_BYTES:
                raise DataError(
                    f"{path}:{number}: one endless line, longer than {MAX_LINE_BYTES >> 20} MiB, in the "
                    f"field {RECORD_FIELD!r}; break the text into lines"
                )
            if stripped := line.strip():
                yield stripped
        yield ""


def _parse_record(record: str, place: str, errors: Decoding) -> str:
    try:
        fields = json.loads(record)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{place}: expected a JSON object, found bad JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DataError(f"{place}: expected a JSON object, found {type(fields).__name__}")
    if RECORD_FIELD not in fields:
        found = ", ".join(map(repr, list(fields)[:8])) or "none"
        raise DataError(f"{place}: the record lacks the field {RECORD_FIELD!r}; its fields: {found}")
    text = fields[RECORD_FIELD]
    if not isinstance(text, str):
        raise DataError(f"{place}: field {RECORD_FIELD!r} is {type(text).__name__}; expected a string")
    try:
        # JSON can spell half a surrogate pair, which is no text.
        return text.encode("utf-8", errors).decode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{place}: not text: {error.reason}; mend the record or read on with --errors replace"
        ) from error
