"""Readers for the two layouts of CLUE that are not tables: CSL with keywords, CLUEWSC with marked words.

Source: `CslProcessor` and `WscProcessor` in run_classifier_clue.py of albert_zh; Xu et al. (2020), CLUE.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from albert.data.corpus.files import Tally, report_skipped
from albert.errors import DataError
from albert.tasks.bad_rows import each
from albert.tasks.tables import (
    Columns,
    Example,
    LabelReader,
    check_text,
    label_id_parser,
    text_field,
)
from albert.tasks.task import Task
from albert.tasks.text_files import object_rows

Texts = tuple[str, str | None]


def read_csl(
    task: Task, path: Path, *, split: str = "", labelled: bool = True
) -> Iterator[Example | DataError]:
    """Yield abstracts with keywords; the keywords, joined by spaces, are the first text of the pair.

    A line that is not an object with these fields is yielded as its error.
    """
    del split
    return _read(task, path, _csl_texts, labelled=labelled)


def read_cluewsc(
    task: Task, path: Path, *, split: str = "", labelled: bool = True
) -> Iterator[Example | DataError]:
    """Yield texts with two marked words, the first between underscores, the second in brackets.

    A line that is not an object with these fields, or has a word elsewhere, is yielded as its error.
    """
    del split
    return _read(task, path, _cluewsc_texts, labelled=labelled)


def mark_words(text: str, *, span: tuple[int, int], pronoun: tuple[int, int]) -> str:
    """Return `text` with `_` around the characters of `span` and `[`, `]` around those of `pronoun`.

    Both are pairs of start and end. If one encloses the other, the marks are nested.
    """
    # At the same place, ends come before starts, a shorter word's end first, a longer word's start first.
    marks = sorted(
        mark
        for (begin, end), (opening, closing) in ((span, "__"), (pronoun, "[]"))
        for mark in ((begin, 1, begin - end, opening), (end, 0, end - begin, closing))
    )
    parts, last = [], 0
    for place, _, _, mark in marks:
        parts += [text[last:place], mark]
        last = place
    return "".join([*parts, text[last:]])


def _read(
    task: Task, path: Path, texts_of: Callable[[Mapping[str, Any], Columns, str], Texts], *, labelled: bool
) -> Iterator[Example | DataError]:
    data, tally = task.data, Tally()
    columns = Columns(
        required=(data.text_column,) if data.pair_column is None else (data.text_column, data.pair_column),
        optional=() if data.id_column is None else (data.id_column,),
        aliases=data.aliases,
    )
    read_label = LabelReader(task, tally, label_id_parser(task))

    def make(item: tuple[int, dict[str, Any]]) -> Example | None:
        line, fields = item
        where = f"{path}:{line}"
        text, pair = texts_of(fields, columns, where)
        label = None
        if labelled:
            label = read_label(text_field(fields, columns, data.label_column, where), where)
            if label is None:
                return None
        id_ = None if data.id_column is None else text_field(fields, columns, data.id_column, where) or None
        return Example(text, pair, label, id=id_)

    yield from each(object_rows(path), make)
    report_skipped(tally)


def _csl_texts(fields: Mapping[str, Any], columns: Columns, where: str) -> Texts:
    column, abstract_column = columns.required
    keywords = next((fields[name] for name in columns.spellings(column) if name in fields), None)
    if not isinstance(keywords, list) or not all(isinstance(keyword, str) for keyword in keywords):
        raise DataError(f"{where}: expected a list of keywords in field {column!r}, as CLUE publishes CSL")
    abstract = text_field(fields, columns, abstract_column, where)
    joined = " ".join(keywords)
    check_text(joined, column, where)
    check_text(abstract, abstract_column, where)
    return joined, abstract


def _cluewsc_texts(fields: Mapping[str, Any], columns: Columns, where: str) -> Texts:
    text = text_field(fields, columns, columns.required[0], where)
    check_text(text, columns.required[0], where)
    target = fields.get("target")
    if not isinstance(target, dict):
        raise DataError(f"{where}: expected an object with span1_text, span1_index, ... in field 'target'")
    spans = [_span(text, target, name, where) for name in ("span1", "span2")]
    return mark_words(text, span=spans[0], pronoun=spans[1]), None


def _span(text: str, target: Mapping[str, Any], name: str, where: str) -> tuple[int, int]:
    """Return start and end of a word in `text`."""
    word, begin = target.get(f"{name}_text"), target.get(f"{name}_index")
    if not isinstance(word, str) or not isinstance(begin, int) or not word:
        raise DataError(
            f"{where}: expected a text in {name}_text and a number in {name}_index of the target; fix them"
        )
    if begin < 0 or text[begin : begin + len(word)] != word:
        raise DataError(
            f"{where}: expected {word[:20]!r} at character {begin} of the text, found "
            f"{text[max(begin, 0) :][: len(word)][:20]!r}; correct {name}_index or drop the line"
        )
    return begin, begin + len(word)
