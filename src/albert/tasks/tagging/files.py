"""Read sentences whose words are tagged: CoNLL's columns, lists in JSON lines, and CLUENER.

Stands between a task's files and `tagged_features`. Everything is read as a stream, one sentence at a time.

- Columns: one word a line, blanks or tabs between columns, the word first and its tag last; a blank line ends
  a sentence, and lines that begin with `-DOCSTART-` are none. Chinese files have a character as word.
- `.jsonl`, `.json`: one object a line, with a list of words and one of tags. Where no tags are asked for, the
  words may also be a text: whitespace, punctuation and ideographs separate its words.
- CLUENER: one object a line, with a text, whose characters are the words, and its entities by type.

A byte order mark and CRLF line ends are dropped. A sentence has a text also where the file has words alone:
they are joined by spaces, in Chinese by nothing.

Source: Tjong Kim Sang and De Meulder (2003); Xu et al. (2020), CLUENER2020.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert.data.corpus.files import Tally, report_skipped
from albert.errors import DataError, did_you_mean
from albert.metrics.entities import OUTSIDE
from albert.tasks.tables import MAX_LABELS, read_text_lines
from albert.tasks.task import Task
from albert.text.cleaning import is_ideograph, split_words_aligned

MAX_WORDS = 20_000
"""Words of a sentence; a longer one is a file that lacks its blank lines."""

_DOCUMENT = "-DOCSTART-"
_COLUMN_ENDS = re.compile("[ \t]+")
# CJK punctuation and kana; full-width forms.
_SPACELESS = (("\u3000", "\u30ff"), ("\uff00", "\uffef"))


@dataclass(frozen=True, slots=True)
class TaggedExample:
    """One sentence: its words, where they stand in its text, and their tags."""

    words: tuple[str, ...]
    """Words as the file has them, at least one."""
    text: str
    """The running text."""
    starts: tuple[int, ...]
    """Character of `text` at which each word begins."""
    tags: tuple[str, ...] | None
    """Tag of each word; None where they are not known."""
    where: str
    """File and line of the first word."""

    def ends(self) -> Iterator[int]:
        """Yield the character of `text` behind each word."""
        return (start + len(word) for start, word in zip(self.starts, self.words, strict=True))


def read_tagged(task: Task, path: Path, *, labelled: bool = True) -> Iterator[TaggedExample]:
    """Read the sentences of the file `path` of `task`, with tags where `labelled`.

    Raises:
        DataError: The file has no sentence; a line has too few or too many columns, a sentence no words or
            another number of tags, or a tag is unknown; with file and line.
    """
    if task.data.layout == "cluener":
        sentences = _read_cluener(task, path, labelled=labelled)
    elif path.suffix in {".jsonl", ".json"}:
        sentences = _read_lists(task, path, labelled=labelled)
    else:
        sentences = _read_columns(task, path, labelled=labelled)
    known = frozenset(task.labels)
    empty = True
    for example in sentences:
        empty = False
        for number, tag in enumerate(example.tags or ()):
            if known and tag not in known:
                raise DataError(_unknown_tag(task, example, number))
        yield example
    if empty:
        raise DataError(f"{path}: holds no sentence; expected lines of a word and its tag")


def read_sentences(task: Task, path: Path) -> Iterator[TaggedExample]:
    """Read a plain text, a sentence a line, whose tags are not known.

    Blanks separate words; every character of a script that is written without them is a word, and in Chinese
    tasks every character of any.

    Raises:
        DataError: A line has no words; with file and line.
    """
    for number, line in read_text_lines(path):
        where = f"{path}:{number}"
        if not line.strip():
            raise DataError(f"{where}: the line is empty; drop it, as each line is one text")
        words: list[str] = []
        starts: list[int] = []
        goes_on = False
        for place, character in enumerate(line):
            alone = task.language == "zh" or _is_spaceless(character)
            if character.isspace():
                goes_on = False
            elif goes_on and not alone:
                words[-1] += character
            else:
                words.append(character)
                starts.append(place)
                goes_on = not alone
        yield TaggedExample(tuple(words), line, tuple(starts), None, where)


def tags_in(task: Task, paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the tags that occur in the training files: O, then from A to Z, B- and I- of a type together.

    Where tags have no other marks than B- and I-, every type has both: a long entity may be met later only.

    Raises:
        DataError: There is only one tag, or so many that they can hardly be tags.
    """
    found: set[str] = set()
    for path in paths:
        for example in read_tagged(task, path):
            found.update(example.tags or ())
            if len(found) > MAX_LABELS:
                raise DataError(
                    f"{example.where}: more than {MAX_LABELS} different tags so far; "
                    "expected the tag in the last column, or in the field that --label-column names"
                )
    if len(found) < 2:
        raise DataError(f"{paths[0]}: holds {len(found)} different tags; a tagger needs two or more")
    inside = found - {OUTSIDE}
    if all(tag[:2] in {"B-", "I-"} for tag in inside):
        inside = {f"{mark}-{tag[2:]}" for tag in inside for mark in "BI"}
    ordered = sorted(inside, key=lambda tag: (tag[2:], tag) if tag[1:2] == "-" else (tag, tag))
    return (OUTSIDE, *ordered) if OUTSIDE in found else tuple(ordered)


def _unknown_tag(task: Task, example: TaggedExample, number: int) -> str:
    assert example.tags is not None
    tag = example.tags[number][:60]
    return (
        f"{example.where}: unknown tag {tag!r} of word {number + 1}, {example.words[number][:60]!r}"
        f"{did_you_mean(tag, list(task.labels))}; known: {', '.join(task.labels[:20])}"
    )


def _read_columns(task: Task, path: Path, *, labelled: bool) -> Iterator[TaggedExample]:
    """Read a file of columns; every line must have as many as the first."""
    words: list[str] = []
    tags: list[str] = []
    num_columns = first = number = 0

    def sentence() -> TaggedExample:
        return _from_words(task, words, tags if labelled else None, f"{path}:{first}")

    for number, line in read_text_lines(path):
        columns = _columns(line)
        if columns and columns[0] != _DOCUMENT:
            num_columns = num_columns or len(columns)
            _check_columns(columns, num_columns, labelled=labelled, where=f"{path}:{number}")
            first = number if not words else first
            words.append(columns[0])
            tags.append(columns[-1])
            if len(words) > MAX_WORDS:
                raise DataError(
                    f"{path}:{number}: the sentence of line {first} has more than {MAX_WORDS} words; "
                    "expected a blank line behind every sentence"
                )
        elif words:
            yield sentence()
            words, tags = [], []
    if words:
        yield sentence()


def _columns(line: str) -> list[str]:
    """Cuts a line at blanks and tabs; any other space is a character, and may be a word of Chinese."""
    if line.isascii():
        return line.split()
    return [column for column in _COLUMN_ENDS.split(line) if column]


def _check_columns(columns: list[str], num_columns: int, *, labelled: bool, where: str) -> None:
    if labelled and len(columns) == 1:
        raise DataError(
            f"{where}: expected a word and its tag, found only {columns[0][:60]!r}; "
            "put a blank or a tab between them, and no blank inside a word"
        )
    if len(columns) != num_columns:
        raise DataError(
            f"{where}: expected {num_columns} columns as in the lines before, found {len(columns)}; "
            "give every word all of its columns, and no blank inside"
        )


def _read_lists(task: Task, path: Path, *, labelled: bool) -> Iterator[TaggedExample]:
    data = task.data
    for where, fields in _read_objects(path):
        content = _field(fields, data.text_column, where)
        if not labelled and isinstance(content, str):
            yield _from_text(content, where)
            continue
        words = _strings(content, data.text_column, where)
        tags = None
        if labelled:
            tags = _strings(_field(fields, data.label_column, where), data.label_column, where)
            if len(tags) != len(words):
                raise DataError(
                    f"{where}: {len(words)} words in {data.text_column!r}, but {len(tags)} tags in "
                    f"{data.label_column!r}; give every word one tag"
                )
        if not words:
            raise DataError(f"{where}: {data.text_column!r} has no words; fill it or drop the line")
        yield _from_words(task, words, tags, where)


def _read_cluener(task: Task, path: Path, *, labelled: bool) -> Iterator[TaggedExample]:
    """Read texts whose characters are tagged B- and I- by their entities.

    A character has one tag: of entities that overlap the one that begins first counts, then the longest.
    """
    tally = Tally()
    for where, fields in _read_objects(path):
        text = _field(fields, task.data.text_column, where)
        if not isinstance(text, str) or not text:
            raise DataError(
                f"{where}: expected a text in {task.data.text_column!r}; fill it or drop the line"
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
        yield TaggedExample(
            tuple(text), text, tuple(range(len(text))), None if tags is None else tuple(tags), where
        )
    report_skipped(tally)


def _cluener_entities(
    task: Task, fields: dict[str, Any], text: str, where: str
) -> Iterator[tuple[int, int, str]]:
    """Yield start, end (exclusive) and type of every entity; its characters must be those it names."""
    by_type = _field(fields, task.data.label_column, where)
    try:
        found = [
            (kind, name, int(first), int(last))
            for kind, names in by_type.items()
            for name, places in names.items()
            for first, last in places
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: expected {task.data.label_column!r} as {{type: {{entity: [[first, last], ...]}}}}, "
            f"found {json.dumps(by_type, ensure_ascii=False)[:80]}"
        ) from error
    for kind, name, first, last in found:
        if not 0 <= first <= last < len(text) or text[first : last + 1] != name:
            raise DataError(
                f"{where}: the characters {first} to {last} of the text are not {name[:60]!r}; "
                "expected the first and the last character of the entity, counted from 0"
            )
        yield first, last + 1, kind


def _read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield place and content of every line that is not blank."""
    for number, line in read_text_lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not a JSON object ({error}); expected one on every line") from error
        if not isinstance(fields, dict):
            raise DataError(f"{where}: expected a JSON object, found {type(fields).__name__}")
        yield where, fields


def _field(fields: dict[str, Any], name: str, where: str) -> Any:
    if name not in fields:
        raise DataError(
            f"{where}: no field {name!r}{did_you_mean(name, list(fields))}; found {', '.join(fields)}; "
            "name fields with --text-column and --label-column"
        )
    return fields[name]


def _strings(value: Any, name: str, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        found = json.dumps(value, ensure_ascii=False)[:60]
        raise DataError(f"{where}: expected a list of texts in {name!r}, none of them empty, found {found}")
    return value


def _from_words(task: Task, words: list[str], tags: list[str] | None, where: str) -> TaggedExample:
    """Joins the words of a sentence to a text."""
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
    """Cuts a running text into words."""
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
