"""Readers of questions about passages: the JSON of SQuAD, CMRC 2018 and DRCD, and JSON lines.

- `.json`: SQuAD's layout, `data` > `paragraphs` > `context` and `qas` > `id`, `question`, `answers`; both
  version 1.1 and 2.0.
- `.jsonl`: one question a line. Its answers are a text (maybe with a field `answer_start`), a list of texts,
  a list of SQuAD's answers, or the Hub's `{"text": [...], "answer_start": [...]}`.

A question whose list of answers is empty has no answer in its passage. An answer that is not at its
`answer_start` is searched for in the passage, and its place is corrected if it occurs exactly once. An answer
without a place can be scored, as scores compare texts, but not trained on. Both cases are counted and
reported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from albert import console
from albert.errors import DataError
from albert.tasks.bad_rows import attempt, each, usable
from albert.tasks.task import Task
from albert.tasks.text_files import kind_of_value, object_rows, read_field, read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One text that answers a question."""

    text: str
    """The answer as in the passage."""
    start: int | None
    """Index of its first character in the passage; None if it could not be located."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question about a passage."""

    id: str
    """Id, unique in the split."""
    context: str
    """The passage, unchanged, as predicted answers are cut from it."""
    question: str
    """The question."""
    answers: tuple[Answer, ...] | None
    """The gold answers; empty if the passage has none, None if they are unknown."""
    where: str
    """File and place, for messages."""

    @property
    def is_impossible(self) -> bool:
        """Whether the passage is known not to answer the question."""
        return self.answers == ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the known answers."""
        return tuple(answer.text for answer in self.answers or ())


def read_questions(
    task: Task, paths: Sequence[Path], *, labelled: bool = True, for_training: bool = False
) -> Iterator[Question | DataError]:
    """Yield the questions of some files of `task`, in order.

    A question is yielded as its error if a field is missing or of the wrong type, a text is empty, or its id
    occurs a second time.

    Args:
        task: The task, whose record names the fields of JSON lines.
        paths: Files with the suffix .json or .jsonl.
        labelled: Whether answers are read.
        for_training: Whether questions whose answers cannot be located are left out.

    Raises:
        DataError: A file is not JSON or has another layout.
    """
    repairs = _Repairs()
    places: dict[str, str] = {}
    for path in paths:
        for question in _read_file(task, path, labelled=labelled):
            if isinstance(question, DataError):
                yield question
                continue
            earlier = places.setdefault(question.id, question.where)
            placed = repairs.place(question)
            if earlier != question.where:
                yield DataError(
                    f"{question.where}: the id {question.id!r} is already used at {earlier}; "
                    "each question needs its own"
                )
            elif not for_training or _is_trainable(placed):
                yield placed
            else:
                repairs.left_out += 1
    repairs.report(for_training=for_training)


def lacks_answers(task: Task, paths: Sequence[Path]) -> bool:
    """Whether a question of some files has no answer in its passage.

    Raises:
        DataError: The same as from `read_questions`.
    """
    questions = (question for path in paths for question in _read_file(task, path, labelled=True))
    return any(question.is_impossible for question in usable(questions, []))


def place_answer(answer: Answer, context: str) -> Answer:
    """Return `answer` at its start if it is there in `context`, else where it occurs, if exactly once."""
    start = answer.start
    if start is not None and start >= 0 and context.startswith(answer.text, start):
        return answer
    found = context.find(answer.text)
    once = found >= 0 and context.find(answer.text, found + 1) < 0
    return replace(answer, start=found if once else None)


class _Repairs:
    """Corrects the places of answers, and counts the corrections."""

    def __init__(self) -> None:
        self._moved, self._lost = 0, 0
        self._first: dict[str, str] = {}
        self.left_out = 0

    def place(self, question: Question) -> Question:
        """Return `question` with the places of its answers corrected."""
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
        """Report the corrections, one line for each kind."""
        if self._moved:
            console.note(
                f"{self._moved:,} answers are not at their answer_start; the place where they occur is used "
                f"(first: {self._first['moved']})",
                is_warning=True,
            )
        if self._lost:
            consequence = (
                f"{self.left_out:,} questions that have no other answer are left out"
                if for_training
                else "their questions are kept and scored by text"
            )
            console.note(
                f"{self._lost:,} answers do not occur in their passage, or occur several times but not at "
                f"answer_start; {consequence} (first: {self._first['lost']})",
                is_warning=True,
            )


def _is_trainable(question: Question) -> bool:
    """Whether the question has no answer, or one whose place is known."""
    return not question.answers or any(answer.start is not None for answer in question.answers)


def _read_file(task: Task, path: Path, *, labelled: bool) -> Iterator[Question | DataError]:
    if path.suffix == ".jsonl":
        yield from _read_rows(task, path, labelled=labelled)
    elif path.suffix == ".json":
        yield from _read_articles(task, path, labelled=labelled)
    else:
        raise DataError(
            f"{path}: expected a file ending in .json (SQuAD's layout) or .jsonl (one question a line), "
            f"found {path.suffix or 'none'!r}"
        )


def _read_articles(task: Task, path: Path, *, labelled: bool) -> Iterator[Question | DataError]:
    """Yield the questions of a file in SQuAD's layout, or in run_qa's: flat rows under `data`."""
    content = read_json(path, expected="SQuAD's layout")
    if not isinstance(content, dict) or "data" not in content:
        raise DataError(
            f"{path}: expected SQuAD's layout, an object with the list 'data', found "
            f"{kind_of_value(content)}; a file with one question a line must end in .jsonl"
        )
    for article_number, article in enumerate(read_field(content, "data", list, str(path)), start=1):
        in_article = f"{path}: article {article_number}"
        if isinstance(article, dict) and "paragraphs" not in article and "context" in article:
            yield attempt(_row_question, task, article, f"{path}: row {article_number}", labelled)
            continue
        paragraphs = read_field(article, "paragraphs", list, in_article)
        for paragraph_number, paragraph in enumerate(paragraphs, start=1):
            in_paragraph = f"{in_article}, paragraph {paragraph_number}"
            context = _text(paragraph, "context", in_paragraph)
            asked = read_field(paragraph, "qas", list, in_paragraph)
            for number, record in enumerate(asked, start=1):
                where = f"{in_paragraph}, question {number}"
                yield attempt(_squad_question, record, context, where, labelled)


def _squad_question(record: Any, context: str, where: str, labelled: bool) -> Question:
    """Return a question in SQuAD's layout."""
    return Question(
        id=_id(record, "id", where),
        context=context,
        question=_text(record, "question", where),
        answers=_squad_answers(record, where) if labelled else None,
        where=where,
    )


def _squad_answers(record: dict[str, Any], where: str) -> tuple[Answer, ...]:
    """Return the answers of a question in SQuAD's layout."""
    answers = _answer_list(read_field(record, "answers", list, where), where)
    if record.get("is_impossible") and answers:
        raise DataError(f"{where}: is_impossible is true, but there are answers; drop one of the two")
    return answers


def _read_rows(task: Task, path: Path, *, labelled: bool) -> Iterator[Question | DataError]:
    """Yield the questions of JSON lines, one a line."""
    return each(object_rows(path), lambda item: _row_question(task, item[1], f"{path}:{item[0]}", labelled))


def _row_question(task: Task, row: dict[str, Any], where: str, labelled: bool) -> Question:
    """Return the question of a flat row."""
    data = task.data
    return Question(
        id=_id(row, data.id_column or "id", where, default=where),
        context=_text(row, data.text_column, where),
        question=_text(row, data.pair_column or "question", where),
        answers=_row_answers(row, data.label_column, where) if labelled else None,
        where=where,
    )


def _row_answers(row: dict[str, Any], column: str, where: str) -> tuple[Answer, ...]:
    """Return the answers in the field `column` of a line."""
    value = read_field(row, column, (str, list, dict, type(None)), where)
    if isinstance(value, dict):
        texts, starts = read_field(value, "text", list, where), read_field(value, "answer_start", list, where)
        if len(texts) != len(starts):
            raise DataError(
                f"{where}: {column!r} holds {len(texts)} texts but {len(starts)} values of answer_start; "
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
            f"{where}: answer_start is {start!r}; expected the index of the answer's first character"
        )
    return start


def _id(record: Any, name: str, where: str, *, default: str | None = None) -> str:
    """Return an id as text."""
    if default is not None and isinstance(record, dict) and record.get(name) is None:
        return default
    value = read_field(record, name, (str, int), where)
    if value == "":
        raise DataError(f"{where}: the id is empty; give each question its own")
    return str(value)


def _text(record: Any, name: str, where: str, *, subject: str = "field") -> str:
    text: str = read_field(record, name, str, where)
    if not text.strip():
        raise DataError(f"{where}: the {subject} {name!r} is empty; fill it or drop the question")
    return text
