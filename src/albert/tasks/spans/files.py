"""Read questions about passages: the JSON of SQuAD, CMRC 2018 and DRCD, and JSON lines.

Stands between a task's files and `windows`.

- `.json`: SQuAD's layout, `data` > `paragraphs` > `context` and `qas` > `id`, `question`, `answers`; that of
  1.1 and of 2.0 alike.
- `.jsonl`: one question a line. Its answers are a text or a list of texts (maybe with a field `answer_start`
  beside them), a list of SQuAD's answers, or the Hub's `{"text": [...], "answer_start": [...]}`.

A question whose list of answers is empty has none in its passage. An answer that does not stand at its
`answer_start` is looked for, and is taken to stand where it occurs if it occurs once. Where it cannot be
placed, it is good for scoring, which compares texts, but not for training. Both are counted and said.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from albert import console
from albert.errors import DataError, did_you_mean
from albert.tasks.tables import read_text_lines
from albert.tasks.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One text that answers a question."""

    text: str
    """As it stands in the passage."""
    start: int | None
    """Its first character in the passage; None where it could not be placed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question about a passage."""

    id: str
    """Known to nobody else in the split."""
    context: str
    """The passage, as it is: predicted answers are cut from it."""
    question: str
    """What is asked."""
    answers: tuple[Answer, ...] | None
    """What answers it; none if nothing in the passage does; None where that is not known."""
    where: str
    """File and place, for messages."""

    @property
    def is_impossible(self) -> bool:
        """Whether it is known that the passage does not answer the question."""
        return self.answers == ()

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the texts of the answers that are known."""
        return tuple(answer.text for answer in self.answers or ())


def read_questions(
    task: Task, paths: Sequence[Path], *, labelled: bool = True, for_training: bool = False
) -> Iterator[Question]:
    """Read the questions of some files of `task`, in their order.

    Args:
        task: Names the fields of JSON lines.
        paths: Files ending in .json or .jsonl.
        labelled: Whether answers are read.
        for_training: Whether questions are left out whose answers cannot be placed.

    Raises:
        DataError: A file is no JSON or has another layout, a field is missing or of the wrong type, a text is
            empty, an id occurs twice; with file and place.
    """
    repairs = _Repairs()
    places: dict[str, str] = {}
    for path in paths:
        for question in _read_file(task, path, labelled=labelled):
            earlier = places.setdefault(question.id, question.where)
            if earlier != question.where:
                raise DataError(
                    f"{question.where}: the id {question.id!r} stands at {earlier} already; "
                    "each question needs its own"
                )
            placed = repairs.place(question)
            if not for_training or _can_be_taught(placed):
                yield placed
            else:
                repairs.left_out += 1
    repairs.report(for_training=for_training)


def lacks_answers(task: Task, paths: Sequence[Path]) -> bool:
    """Whether a question of some files has no answer in its passage.

    Raises:
        DataError: As of `read_questions`.
    """
    return any(question.is_impossible for path in paths for question in _read_file(task, path, labelled=True))


def place_answer(answer: Answer, context: str) -> Answer:
    """Return `answer` where it stands in `context`: at its start, else where it occurs, if once."""
    start = answer.start
    if start is not None and start >= 0 and context.startswith(answer.text, start):
        return answer
    found = context.find(answer.text)
    once = found >= 0 and context.find(answer.text, found + 1) < 0
    return replace(answer, start=found if once else None)


class _Repairs:
    """Places answers, and counts those that were not where they should be."""

    def __init__(self) -> None:
        self._moved, self._lost = 0, 0
        self._first: dict[str, str] = {}
        self.left_out = 0

    def place(self, question: Question) -> Question:
        """Return `question` with its answers placed."""
        if not question.answers:
            return question
        placed = tuple(place_answer(answer, question.context) for answer in question.answers)
        for before, after in zip(question.answers, placed, strict=True):
            if after.start is None:
                self._lost += 1
                self._first.setdefault("lost", question.where)
            elif before.start is not None and before.start != after.start:
                self._moved += 1
                self._first.setdefault("moved", question.where)
        return replace(question, answers=placed)

    def report(self, *, for_training: bool) -> None:
        """Says what was found, one line for each kind of repair."""
        if self._moved:
            console.warn(
                f"{self._moved:,} answers do not stand at their answer_start and are taken where they occur "
                f"(first: {self._first['moved']})"
            )
        if self._lost:
            consequence = (
                f"{self.left_out:,} questions that have no other answer are left out"
                if for_training
                else "their questions are kept and scored by text"
            )
            console.warn(
                f"{self._lost:,} answers do not occur in their passage, or at several places of which "
                f"answer_start names none; {consequence} (first: {self._first['lost']})"
            )


def _can_be_taught(question: Question) -> bool:
    """Whether it is known what the question is answered by, and where."""
    return not question.answers or any(answer.start is not None for answer in question.answers)


def _read_file(task: Task, path: Path, *, labelled: bool) -> Iterator[Question]:
    if path.suffix == ".jsonl":
        yield from _read_rows(task, path, labelled=labelled)
    elif path.suffix == ".json":
        yield from _read_articles(path, labelled=labelled)
    else:
        raise DataError(
            f"{path}: expected a file ending in .json (SQuAD's layout) or .jsonl (one question a line), "
            f"found {path.suffix or 'none'!r}"
        )


def _read_articles(path: Path, *, labelled: bool) -> Iterator[Question]:
    """Read a file in SQuAD's layout."""
    content = _load(path)
    if not isinstance(content, dict) or "data" not in content:
        raise DataError(
            f"{path}: expected SQuAD's layout, an object with the list 'data', found {_kind(content)}; "
            "put questions one a line into a .jsonl file"
        )
    for article_number, article in enumerate(_field(content, "data", list, str(path)), start=1):
        in_article = f"{path}: article {article_number}"
        paragraphs = _field(article, "paragraphs", list, in_article)
        for paragraph_number, paragraph in enumerate(paragraphs, start=1):
            in_paragraph = f"{in_article}, paragraph {paragraph_number}"
            context = _text(paragraph, "context", in_paragraph)
            asked = _field(paragraph, "qas", list, in_paragraph)
            for number, record in enumerate(asked, start=1):
                where = f"{in_paragraph}, question {number}"
                yield Question(
                    id=_id(record, "id", where),
                    context=context,
                    question=_text(record, "question", where),
                    answers=_squad_answers(record, where) if labelled else None,
                    where=where,
                )


def _squad_answers(record: dict[str, Any], where: str) -> tuple[Answer, ...]:
    """Return the answers of one of the `qas` of SQuAD's layout."""
    answers = _answer_list(_field(record, "answers", list, where), where)
    if record.get("is_impossible") and answers:
        raise DataError(f"{where}: is_impossible is true, but there are answers; drop one of both")
    return answers


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start:,}); save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected SQuAD's layout") from error


def _read_rows(task: Task, path: Path, *, labelled: bool) -> Iterator[Question]:
    """Read JSON lines, one question a line."""
    data = task.data
    for line, text in read_text_lines(path):
        if not text.strip():
            continue
        where = f"{path}:{line}"
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not a JSON object ({error}); put one question on each line") from error
        yield Question(
            id=_id(row, data.id_column or "id", where, default=where),
            context=_text(row, data.text_column, where),
            question=_text(row, data.pair_column or "question", where),
            answers=_row_answers(row, data.label_column, where) if labelled else None,
            where=where,
        )


def _row_answers(row: dict[str, Any], column: str, where: str) -> tuple[Answer, ...]:
    """Return the answers in the field `column` of a line."""
    value = _field(row, column, (str, list, dict, type(None)), where)
    if isinstance(value, dict):
        texts, starts = _field(value, "text", list, where), _field(value, "answer_start", list, where)
        if len(texts) != len(starts):
            raise DataError(
                f"{where}: {column!r} holds {len(texts)} texts and {len(starts)} of answer_start; "
                "give one for each"
            )
        value = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    elif not value:
        return ()
    elif isinstance(value, str):
        value = [{"text": value, "answer_start": row.get("answer_start")}]
    elif isinstance(value[0], str):
        value = [{"text": text} for text in value]
    return _answer_list(value, where)


def _answer_list(answers: list[Any], where: str) -> tuple[Answer, ...]:
    return tuple(
        Answer(text=_text(answer, "text", where, subject="answer"), start=_start(answer, where))
        for answer in answers
    )


def _start(answer: dict[str, Any], where: str) -> int | None:
    start = answer.get("answer_start")
    if start is not None and (not isinstance(start, int) or isinstance(start, bool)):
        raise DataError(
            f"{where}: answer_start is {start!r}; expected the number of characters before the answer"
        )
    return start


def _id(record: Any, name: str, where: str, *, default: str | None = None) -> str:
    """Return an id; numbers are written out."""
    if default is not None and isinstance(record, dict) and record.get(name) is None:
        return default
    value = _field(record, name, (str, int), where)
    if value == "":
        raise DataError(f"{where}: the id is empty; give each question its own")
    return str(value)


def _text(record: Any, name: str, where: str, *, subject: str = "field") -> str:
    text: str = _field(record, name, str, where)
    if not text.strip():
        raise DataError(f"{where}: the {subject} {name!r} is empty; fill it or drop the question")
    return text


def _field(record: Any, name: str, kinds: type | tuple[type, ...], where: str) -> Any:
    """Return the field `name` of a JSON object; refuses one that is missing or of another kind."""
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected a JSON object with {name!r}, found {_kind(record)}")
    if name not in record:
        hint = did_you_mean(name, list(record))
        raise DataError(f"{where}: no field {name!r}{hint}; found {', '.join(record) or 'none'}")
    value = record[name]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(_KINDS[kind] for kind in kinds)
        raise DataError(f"{where}: field {name!r} holds {_kind(value)}; expected {expected}")
    return value


_KINDS = {
    str: "a text",
    list: "a list",
    dict: "an object",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _kind(value: Any) -> str:
    return _KINDS[type(value)]
