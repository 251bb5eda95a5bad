"""Readers of sentences with tagged words: CoNLL's columns, lists in JSON lines, and CLUENER.

Everything is read as a stream, one sentence at a time.

- Columns: one word a line, its columns separated by spaces or tabs, the word first and its tag last. A blank
  line ends a sentence; `-DOCSTART-` lines are ignored. In Chinese files a word is a character.
- `.jsonl`, `.json`: one object a line, with a list of words and a list of tags. Without tags, the words may
  also be a text, which is split at whitespace, punctuation and ideographs.
- CLUENER: one object a line, with a text, whose characters are the words, and its entities by type.

A byte order mark and CRLF line ends are dropped. Where a file has only words, the sentence's text is the
words joined by spaces, or by nothing in Chinese.

Source: Tjong Kim Sang and De Meulder (2003); Xu et al. (2020), CLUENER2020.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.data.corpus.files import Tally, report_skipped
from albert.errors import DataError
from albert.metrics.entities import OUTSIDE
from albert.tasks.bad_rows import UnknownLabelError, each, usable
from albert.tasks.tables import MAX_LABELS
from albert.tasks.task import Task
from albert.tasks.text_files import object_rows, plain_text_rows, read_field, read_text_lines
from albert.text.cleaning import is_ideograph, split_words_aligned

MAX_WORDS = 20_000
"""Words of a sentence at most; more mean that blank lines between sentences are missing."""

_DOCUMENT = "-DOCSTART-"
_COLUMN_ENDS = re.compile("[ \t]+")
# Ranges of CJK punctuation and kana, and of full-width forms.
_SPACELESS = (("\u3000", "\u30ff"), ("\uff00", "\uffef"))


@dataclass(frozen=True, slots=True)
class TaggedExample:
    """One sentence: its words, their positions in its text, and their tags."""

    words: tuple[str, ...]
    """Words as in the file, at least one."""
    text: str
    """The running text."""
    starts: tuple[int, ...]
    """Index in `text` of the first character of each word."""
    tags: tuple[str, ...] | None
    """Tag of each word; None if unknown."""
    where: str
    """File and line of the first word, for messages."""

    def ends(self) -> Iterator[int]:
        """Return the index in `text` of the end of each word, exclusive."""
        return (start + len(word) for start, word in zip(self.starts, self.words, strict=True))


def read_tagged(task: Task, path: Path, *, labelled: bool = True) -> Iterator[TaggedExample | DataError]:
    """Yield the sentences of the file `path` of `task`, with tags if `labelled`.

    A sentence is yielded as its error if a line has too few or too many columns, if it has no words or
    another number of tags, or if a tag is unknown.

    Raises:
        DataError: The file has no sentence.
    """
    if task.data.layout == "cluener":
        sentences = _read_cluener(task, path, labelled=labelled)
    elif path.suffix in {".jsonl", ".json"}:
        sentences = _read_lists(task, path, labelled=labelled)
    else:
        sentences = _read_columns(task, path, labelled=labelled)
    known = frozenset(task.labels)

    def checked(example: TaggedExample) -> TaggedExample:
        for number, tag in enumerate(example.tags or ()):
            if known and tag not in known:
                word = f"word {number + 1}, {example.words[number][:60]!r}"
                raise UnknownLabelError(tag, task.labels, f"{example.where}: {word}")
        return example

    empty = True
    for example in each(sentences, checked):
        empty = False
        yield example
    if empty:
        raise DataError(f"{path}: holds no sentence; expected lines with a word and its tag")


def read_sentences(task: Task, path: Path) -> Iterator[TaggedExample | DataError]:
    """Yield the sentences of a plain text, one a line, without tags; an empty line as its error.

    Words are separated by whitespace. Each character of a script written without spaces is a word, and in
    Chinese tasks every character.
    """

    def make(placed: tuple[str, str]) -> TaggedExample:
        where, line = placed
        words: list[str] = []
        starts: list[int] = []
        inside_word = False
        for place, character in enumerate(line):
            alone = task.language == "zh" or _is_spaceless(character)
            if character.isspace():
                inside_word = False
            elif inside_word and not alone:
                words[-1] += character
            else:
                words.append(character)
                starts.append(place)
                inside_word = not alone
        return TaggedExample(tuple(words), line, tuple(starts), None, where)

    return each(plain_text_rows(path), make)


def tags_in(task: Task, paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the tags that occur in the training files: O, then the others by type, B- before I-.

    If B- and I- are the only prefixes, every type gets both tags, even if only one occurs in training.

    Raises:
        DataError: There is only one tag, or so many that they can hardly be tags.
    """
    found: set[str] = set()
    bad: list[DataError] = []
    for path in paths:
        for example in usable(read_tagged(task, path), bad):
            found.update(example.tags or ())
            if len(found) > MAX_LABELS:
                raise DataError(
                    f"{example.where}: more than {MAX_LABELS} different tags so far; "
                    "expected the tag in the last column, or in the field that --label-column names"
                )
    if len(found) < 2:
        raise (
            bad[0]
            if bad
            else DataError(f"{paths[0]}: holds {len(found)} different tags; a tagger needs two or more")
        )
    inside = found - {OUTSIDE}
    if all(tag[:2] in {"B-", "I-"} for tag in inside):
        inside = {f"{mark}-{tag[2:]}" for tag in inside for mark in "BI"}
    ordered = sorted(inside, key=lambda tag: (tag[2:], tag) if tag[1:2] == "-" else (tag, tag))
    return (OUTSIDE, *ordered) if OUTSIDE in found else tuple(ordered)


def _read_columns(task: Task, path: Path, *, labelled: bool) -> Iterator[TaggedExample | DataError]:
    """Yield the sentences of a file of columns; every line must have as many columns as the first."""
    words: list[str] = []
    tags: list[str] = []
    num_columns = first = number = 0
    problem: DataError | None = None

    def sentence() -> TaggedExample | DataError:
        return problem or _from_words(task, words, tags if labelled else None, f"{path}:{first}")

    for number, line in read_text_lines(path):
        columns = _columns(line)
        if columns and columns[0] != _DOCUMENT:
            num_columns = num_columns or len(columns)
            problem = problem or _problem(columns, num_columns, labelled=labelled, where=f"{path}:{number}")
            first = number if not words else first
            words.append(columns[0])
            tags.append(columns[-1])
            if len(words) > MAX_WORDS:
                raise DataError(
                    f"{path}:{number}: the sentence from line {first} on has more than {MAX_WORDS} words; "
                    "expected a blank line after every sentence"
                )
        elif words:
            yield sentence()
            words, tags, problem = [], [], None
    if words:
        yield sentence()


def _columns(line: str) -> list[str]:
    """Split a line at spaces and tabs; other kinds of whitespace may be words of Chinese."""
    if line.isascii():
        return line.split()
    return [column for column in _COLUMN_ENDS.split(line) if column]


def _problem(columns: list[str], num_columns: int, *, labelled: bool, where: str) -> DataError | None:
    """Return what is wrong with the columns of a line, if anything."""
    if labelled and len(columns) == 1:
        return DataError(
            f"{where}: expected a word and its tag, found only {columns[0][:60]!r}; "
            "separate them by a space or a tab, and put no space inside a word"
        )
    if len(columns) != num_columns:
        return DataError(
            f"{where}: expected {num_columns} columns as in the lines before, found {len(columns)}; "
            "give every word all of its columns, and put no space inside one"
        )
    return None


def _read_lists(task: Task, path: Path, *, labelled: bool) -> Iterator[TaggedExample | DataError]:
    data = task.data

    def make(item: tuple[int, dict[str, Any]]) -> TaggedExample:
        line, fields = item
        where = f"{path}:{line}"
        content = _field(fields, data.text_column, (list, str), where)
        if not labelled and isinstance(content, str):
            return _from_text(content, where)
        words = _strings(content, data.text_column, where)
        tags = None
        if labelled:
            tags = _strings(_field(fields, data.label_column, list, where), data.label_column, where)
            if len(tags) != len(words):
                raise DataError(
                    f"{where}: {len(words)} words in {data.text_column!r}, but {len(tags)} tags in "
                    f"{data.label_column!r}; give every word one tag"
                )
        if not words:
            raise DataError(f"{where}: {data.text_column!r} has no words; fill it or drop the line")
        return _from_words(task, words, tags, where)

    return each(object_rows(path), make)


def _read_cluener(task: Task, path: Path, *, labelled: bool) -> Iterator[TaggedExample | DataError]:
    """Yield texts whose characters are tagged B- and I- by their entities.

    Of entities that overlap, the one that starts first counts, then the longest; the others are skipped.
    """
    tally = Tally()

    def make(item: tuple[int, dict[str, Any]]) -> TaggedExample:
        line, fields = item
        where = f"{path}:{line}"
        text = _field(fields, task.data.text_column, str, where)
        if not text:
            raise DataError(
                f"{where}: the text in {task.data.text_column!r} is empty; fill it or drop the line"
            )
        tags = None
        if labelled:
            tags = [OUTSIDE] * len(text)
            entities = _cluener_entities(task, fields, text, where)
            for start, end, kind in sorted(entities, key=lambda entity: (entity[0], -entity[1], entity[2])):
                if tags[start] == OUTSIDE:
                    tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
                else:
                    tally.skip("entities that overlap another", where)
        return TaggedExample(
            tuple(text), text, tuple(range(len(text))), None if tags is None else tuple(tags), where
        )

    yield from each(object_rows(path), make)
    report_skipped(tally)


def _cluener_entities(
    task: Task, fields: dict[str, Any], text: str, where: str
) -> Iterator[tuple[int, int, str]]:
    """Yield start, end (exclusive) and type of every entity; its characters must spell its name."""
    column = task.data.label_column
    for kind, name, first, last in entity_places(_field(fields, column, (dict, list), where), column, where):
        if not 0 <= first <= last < len(text) or text[first : last + 1] != name:
            raise DataError(
                f"{where}: the characters {first} to {last} of the text are not {name[:60]!r}; "
                "expected the first and the last character of the entity, counted from 0"
            )
        yield first, last + 1, kind


def entity_places(by_type: object, column: str, where: str) -> list[tuple[str, str, int, int]]:
    """Return type, name, first and last character of every entity in CLUENER's `{type: {name: places}}`.

    Raises:
        DataError: It has another form.
    """
    try:
        return [
            (kind, name, int(first), int(last))
            for kind, names in by_type.items()  # type: ignore[attr-defined]  # checked by the except
            for name, places in names.items()
            for first, last in places
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: expected {column!r} as {{type: {{entity: [[first, last], ...]}}}}, "
            f"found {json.dumps(by_type, ensure_ascii=False)[:80]}"
        ) from error


def _field(fields: dict[str, Any], name: str, kinds: type | tuple[type, ...], where: str) -> Any:
    return read_field(fields, name, kinds, where, advice="name fields with --text-column and --label-column")


def _strings(value: Any, name: str, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        found = json.dumps(value, ensure_ascii=False)[:60]
        raise DataError(f"{where}: expected a list of texts in {name!r}, none of them empty, found {found}")
    return value


def _from_words(task: Task, words: list[str], tags: list[str] | None, where: str) -> TaggedExample:
    """Return a sentence whose text is its words, joined by spaces where their script has them."""
    characters = all(len(word) == 1 for word in words) and any(map(is_ideograph, words))
    spaceless = task.language == "zh" or characters
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for word in words:
        if parts and not (spaceless or _is_spaceless(parts[-1][-1]) or _is_spaceless(word[0])):
            parts.append(" ")
            length += 1
        starts.append(length)
        parts.append(word)
        length += len(word)
    return TaggedExample(
        tuple(words), "".join(parts), tuple(starts), None if tags is None else tuple(tags), where
    )


def _from_text(text: str, where: str) -> TaggedExample:
    """Return a running text split into words."""
    found = split_words_aligned(text, lower_case=False)
    if not found:
        raise DataError(f"{where}: the text has no words; fill it or drop the line")
    spans = [(word.starts[0], word.ends[-1]) for word in found]
    return TaggedExample(
        tuple(text[start:end] for start, end in spans), text, tuple(start for start, _ in spans), None, where
    )


def _is_spaceless(character: str) -> bool:
    """Whether a character belongs to a script that is written without spaces."""
    if character.isascii():
        return False
    return is_ideograph(character) or any(first <= character <= last for first, last in _SPACELESS)
