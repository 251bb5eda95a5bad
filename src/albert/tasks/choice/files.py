"""Readers of questions with choices: RACE, C3, COPA, and own tables with a list of choices.

- RACE: an object holds a passage with its questions, in a file of its own, as published, or on a line
  (`all.txt`, `.jsonl`); or an object holds one question, as on the Hub.
- C3: a file is one list of passages with their questions; or a line is an object with one question, as on the
  Hub.
- COPA: a line is an object with a premise, two choices, and the question, cause or effect.
- own: `.jsonl`, `.tsv`, `.csv` with a passage, choices, and maybe a question. The choices are a list, in
  tables written as JSON, or columns of their own, choice0, choice1, ..., of which empty ones are ignored. The
  label is the right choice's text, its letter from A, or its number from 0.

Source: Lai et al. (2017), RACE; Sun et al. (2020), C3; Roemmele et al. (2011), COPA; `RaceProcessor` of the
original; `CopaProcessor` of albert_zh.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any, Literal

from albert.errors import DataError
from albert.tasks.bad_rows import attempt, each
from albert.tasks.tables import Columns, Row, check_text, table_rows, text_field
from albert.tasks.task import Task
from albert.tasks.text_files import kind_of_value, object_rows, parse_json, read_field, read_json

RACE_LEVELS = ("middle", "high")
RACE_CHOICES = 4
DEFAULT_QUESTION = "question"
"""Column of the question that own tables may lack; a column of another name is required."""

_JSON = (".jsonl", ".json")
_SWAG = ("sent2", *(f"ending{number}" for number in range(len(LETTERS) + 1)))
"""Columns of SWAG: the beginning of all choices, and the ends of each."""
# Dialogues (d) or other texts (m): c3-d-train.json or d-train.json.
_C3_NAME = re.compile(r"(?:^|-)([dm])-(?:train|dev|test)")
OwnRow = tuple[int, dict[str, str], tuple[str, ...]]
"""Line of a row, its cells by column, and its choices."""
_COPA_CHOICES = (("choice0", "choice1"), ("choice1", "choice2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceExample:
    """A question on a passage, with several choices."""

    passage: str
    """The passage, or the premise of COPA."""
    question: str = ""
    """The question, maybe with a blank, "_", for the choice; "" if there is none."""
    choices: tuple[str, ...]
    """The choices, two to 26."""
    label: int | None = None
    """Index of the right choice; None if unknown."""
    id: str = ""
    """The benchmark's id of the question; "" if it has none."""
    group: str = ""
    """Part of the benchmark with a score of its own: middle or high (RACE), d or m (C3); else ""."""
    relation: Literal["answer", "effect", "cause"] = "answer"
    """How a choice relates to the passage: as an answer to a question on it, its effect, or its cause."""


def read_choices(task: Task, path: Path, *, labelled: bool = True) -> Iterator[ChoiceExample | DataError]:
    """Yield the questions of the file `path` of `task`, in order, with the right choices if `labelled`.

    A question that lacks choices, or whose right choice is missing or is none of them, is yielded as its
    error, which names file, line and question; so is a passage without the task's layout.

    Raises:
        DataError: The file does not have the task's layout.
    """
    match task.data.layout:
        case "race":
            yield from _read_race(path, labelled=labelled)
        case "c3":
            yield from _read_c3(path, labelled=labelled)
        case "copa":
            yield from _read_copa(path, labelled=labelled)
        case _:
            yield from _read_own(task, path, labelled=labelled)


def _read_race(path: Path, *, labelled: bool) -> Iterator[ChoiceExample | DataError]:
    counts: Counter[str] = Counter()  # questions of each passage so far

    def question(fields: Mapping[str, Any], where: str) -> ChoiceExample:
        choices = _race_options(read_field(fields, "options", list, where), where)
        passage_id = str(fields.get("example_id", ""))
        counts[passage_id] += 1
        # On the Hub all questions on a passage have the same id.
        id_ = f"{passage_id}-{counts[passage_id]}" if passage_id else ""
        return ChoiceExample(
            passage=read_field(fields, "article", str, where),
            question=read_field(fields, "question", str, where),
            choices=choices,
            label=_letter(read_field(fields, "answer", str, where), choices, where) if labelled else None,
            id=id_,
            group=_race_level(path, id_),
        )

    for item in object_rows(path):
        if isinstance(item, DataError):
            yield item
        elif "questions" in item[1]:
            yield from _race_questions(path, item[1], f"{path}:{item[0]}", labelled=labelled)
        else:
            yield attempt(question, item[1], f"{path}:{item[0]}")


def _race_questions(
    path: Path, fields: Mapping[str, Any], where: str, *, labelled: bool
) -> Iterator[ChoiceExample | DataError]:
    """Yield the questions of one passage, or its error alone."""
    try:
        yield from _race_passage(path, fields, where, labelled=labelled)
    except DataError as error:
        yield error


def _race_passage(
    path: Path, fields: Mapping[str, Any], where: str, *, labelled: bool
) -> Iterator[ChoiceExample | DataError]:
    """Yield the questions of one passage.

    Raises:
        DataError: The passage as a whole cannot be used.
    """
    passage = read_field(fields, "article", str, where)
    name = str(fields.get("id", path.name))
    columns = ("questions", "options", "answers") if labelled else ("questions", "options")
    lists = [read_field(fields, column, list, where) for column in columns]
    lengths = [len(values) for values in lists]
    if len(set(lengths)) > 1:
        found = ", ".join(f"{n} {column}" for n, column in zip(lengths, columns, strict=True))
        raise DataError(
            f"{where}: expected the same number of each, found {found}; complete the passage or drop it"
        )

    def make(numbered: tuple[int, tuple[Any, ...]]) -> ChoiceExample:
        number, (question, options, *answer) = numbered
        place = f"{where}: question {number}"
        choices = _race_options(options, place)
        if not isinstance(question, str):
            raise DataError(
                f"{place}: expected a text, found {kind_of_value(question)}; fix it or drop the question"
            )
        return ChoiceExample(
            passage=passage,
            question=question,
            choices=choices,
            label=_letter(answer[0], choices, place) if answer else None,
            id=f"{name}-{number}",
            group=_race_level(path, name),
        )

    yield from each(enumerate(zip(*lists, strict=True), start=1), make)


def _race_options(options: object, where: str) -> tuple[str, ...]:
    # Empty options count, as in the original: they have letters, too.
    choices = _texts(options, "options", where)
    if len(choices) != RACE_CHOICES:
        raise DataError(
            f"{where}: expected {RACE_CHOICES} options, found {len(choices)}; complete or drop the question, "
            "or use --task choice for other numbers of choices"
        )
    return choices


def _race_level(path: Path, id_: str) -> str:
    """Return "middle" or "high", from the name of the folder or file or the id of a question; else ""."""
    for level in RACE_LEVELS:
        if path.parent.name == level or path.stem.endswith(f"_{level}"):
            return level
    return next((level for level in RACE_LEVELS if id_.startswith(level)), "")


def _read_c3(path: Path, *, labelled: bool) -> Iterator[ChoiceExample | DataError]:
    def of_line(item: tuple[int, dict[str, Any]]) -> ChoiceExample:
        where = f"{path}:{item[0]}"
        passage = "\n".join(_texts(read_field(item[1], "context", list, where), "context", where))
        return replace(_c3_question(item[1], where, labelled), passage=passage)

    if path.suffix == ".jsonl":
        yield from each(object_rows(path), of_line)
        return
    found = _C3_NAME.search(path.stem)
    group = found.group(1) if found else ""
    for number, item in enumerate(_passages(path), start=1):
        where = f"{path}: passage {number}"
        if not (isinstance(item, list) and len(item) == 3 and isinstance(item[1], list)):
            raise DataError(
                f"{where}: expected [[lines], [questions], id], found {kind_of_value(item)}; fix it"
            )
        passage = "\n".join(_texts(item[0], "lines", where))
        for place, fields in enumerate(item[1], start=1):
            example = attempt(_c3_question, fields, f"{where}, question {place}", labelled)
            if isinstance(example, DataError):
                yield example
            else:
                id_ = example.id or f"{item[2]}-{place}"
                yield replace(example, passage=passage, group=group, id=id_)


def _c3_question(fields: Mapping[str, Any], where: str, labelled: bool) -> ChoiceExample:
    """Return one question, still without its passage."""
    if not isinstance(fields, dict):
        raise DataError(f"{where}: expected a JSON object, found {kind_of_value(fields)}; fix it")
    choices = _counted(_texts(read_field(fields, "choice", list, where), "choice", where), where)
    label = None
    if labelled:
        answer = read_field(fields, "answer", str, where)
        if answer not in choices:
            raise DataError(
                f"{where}: the answer {answer[:60]!r} is none of the choices {_listed(choices)}; "
                "expected the text of one of them; fix it or drop the question"
            )
        label = choices.index(answer)
    question = read_field(fields, "question", str, where)
    return ChoiceExample(
        passage="", question=question, choices=choices, label=label, id=str(fields.get("id", ""))
    )


def _read_copa(path: Path, *, labelled: bool) -> Iterator[ChoiceExample | DataError]:
    def make(item: tuple[int, dict[str, Any]]) -> ChoiceExample:
        line, fields = item
        where = f"{path}:{line}"
        columns = next((c for c in _COPA_CHOICES if all(name in fields for name in c)), _COPA_CHOICES[0])
        relation = read_field(fields, "question", str, where)
        if relation not in {"cause", "effect"}:
            raise DataError(
                f"{where}: expected the question cause or effect, found {relation[:60]!r}; fix it"
            )
        label = read_field(fields, "label", int, where) if labelled else None
        if label not in {None, 0, 1}:
            raise DataError(f"{where}: expected the label 0 or 1, found {label}; fix it or drop the row")
        return ChoiceExample(
            passage=read_field(fields, "premise", str, where),
            choices=tuple(read_field(fields, column, str, where) for column in columns),
            label=label,
            id=str(fields.get("id", fields.get("idx", ""))),
            relation="cause" if relation == "cause" else "effect",
        )

    return each(object_rows(path), make)


def _read_own(task: Task, path: Path, *, labelled: bool) -> Iterator[ChoiceExample | DataError]:
    data = task.data
    required = [data.text_column]
    optional = [data.id_column] if data.id_column else []
    if data.pair_column is not None:
        (optional if data.pair_column == DEFAULT_QUESTION else required).append(data.pair_column)
    if labelled:
        required.append(data.label_column)
    columns = Columns(required=tuple(required), optional=tuple(optional), aliases=data.aliases)

    def make(row: OwnRow) -> ChoiceExample:
        line, cells, given = row
        where = f"{path}:{line}"
        check_text(cells[data.text_column], data.text_column, where)
        if not given:
            raise DataError(
                f"{where}: no choices; expected a list in {data.choices_column!r}, or the columns "
                f"{', '.join(_numbered(data.choices_column)[:2])}, ...; name the column with --choices-column"
            )
        choices = _counted(given, where)
        return ChoiceExample(
            passage=cells[data.text_column],
            question=cells[data.pair_column] if data.pair_column else "",
            choices=choices,
            label=_right_choice(cells[data.label_column], choices, where) if labelled else None,
            id=cells[data.id_column] if data.id_column else "",
        )

    return each(_own_rows(task, path, columns), make)


def _own_rows(task: Task, path: Path, columns: Columns) -> Iterator[OwnRow | DataError]:
    """Yield the line of each row, its cells by column, and its choices."""
    names = (*columns.required, *columns.optional)
    name = task.data.choices_column
    numbered = _numbered(name)
    if path.suffix in _JSON:
        single = Columns(required=(), optional=numbered)

        def of_object(item: tuple[int, dict[str, Any]]) -> OwnRow:
            line, fields = item
            where = f"{path}:{line}"
            cells = {column: text_field(fields, columns, column, where) for column in names}
            given = tuple(text_field(fields, single, column, where) for column in numbered)
            listed = fields.get(name)
            if isinstance(listed, dict):
                listed = _named_choices(listed, cells, task.data.label_column, where)
            return line, cells, _own_choices(listed, given, numbered, where)

        return each(object_rows(path), of_object)

    def of_row(row: Row) -> OwnRow:
        where = f"{path}:{row.line}"
        listed, given = row.cells[len(names)].strip(), row.cells[len(names) + 1 : -len(_SWAG)]
        if not listed and not any(given):
            beginning, *endings = row.cells[-len(_SWAG) :]
            given = tuple(f"{beginning} {ending}".strip() if ending else "" for ending in endings)
        try:
            values = parse_json(listed) if listed else None
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: column {name!r} does not hold a JSON list ({error}); "
                f'expected a list such as ["yes", "no"], or columns {numbered[0]}, {numbered[1]}, ...'
            ) from error
        choices = _own_choices(values, given, numbered, where)
        return row.line, dict(zip(names, row.cells, strict=False)), choices

    optional = (*columns.optional, name, *numbered, *_SWAG)
    return each(table_rows(path, replace(columns, optional=optional)), of_row)


def _named_choices(listed: dict[str, Any], cells: dict[str, str], label_column: str, where: str) -> list[Any]:
    """Return the texts of ARC's choices, which have names of their own; the label's cell becomes a letter."""
    texts, names = read_field(listed, "text", list, where), read_field(listed, "label", list, where)
    if len(texts) != len(names):
        raise DataError(f"{where}: {len(texts)} choices but {len(names)} names of them; give one for each")
    if label_column in cells:
        known = [str(name) for name in names]
        if cells[label_column].strip() not in known:
            raise DataError(
                f"{where}: the label {cells[label_column][:60]!r} is none of {', '.join(known)}; correct it"
            )
        cells[label_column] = LETTERS[known.index(cells[label_column].strip())]
    return texts


def _numbered(name: str) -> tuple[str, ...]:
    """Return the names of columns that hold single choices: choice0, choice1, ... for `choices`."""
    return tuple(f"{name.removesuffix('s')}{number}" for number in range(len(LETTERS) + 1))


def _own_choices(
    listed: object, given: Sequence[str], numbered: Sequence[str], where: str
) -> tuple[str, ...]:
    """Return the choices of a list, or else of numbered columns, counted from 0 or 1."""
    if listed is not None:
        choices = _texts(listed, "choices", where)
        for letter, choice in zip(LETTERS, choices, strict=False):
            if not choice.strip():
                raise DataError(f"{where}: choice {letter} is empty; fill it or leave it out")
        return choices
    filled = [number for number, text in enumerate(given) if text.strip()]
    if filled and (filled[0] > 1 or filled[-1] - filled[0] >= len(filled)):
        found = ", ".join(numbered[number] for number in filled)
        raise DataError(
            f"{where}: expected choices in {numbered[0]}, {numbered[1]}, ... without a gap, found {found}; "
            "fill the empty ones"
        )
    return tuple(given[number] for number in filled)


def _right_choice(named: str, choices: Sequence[str], where: str) -> int:
    """Return the index of the right choice, named by its text, letter or number.

    Raises:
        DataError: There is no such choice, or the name fits several.
    """
    name = named.strip()
    texts = [choice.strip() for choice in choices]
    found = {texts.index(name)} if name in texts else set()
    if name in tuple(LETTERS[: len(choices)]):
        found.add(LETTERS.index(name))
    if name.isdecimal() and int(name) < len(choices):
        found.add(int(name))
    if not found:
        raise DataError(
            f"{where}: the label {name[:60]!r} is none of the choices {_listed(choices)}; expected a text, "
            f"a letter A to {LETTERS[len(choices) - 1]}, or a number 0 to {len(choices) - 1}"
        )
    if len(found) > 1:
        letters = " or ".join(LETTERS[number] for number in sorted(found))
        raise DataError(
            f"{where}: the label {name!r} may mean choice {letters}, by text, letter or number; "
            "use another of the three for the labels of this file"
        )
    return found.pop()


def _letter(answer: object, choices: Sequence[str], where: str) -> int:
    last = LETTERS[len(choices) - 1]
    if not isinstance(answer, str) or len(answer) != 1 or not "A" <= answer <= last:
        raise DataError(
            f"{where}: expected an answer A to {last}, found {str(answer)[:60]!r}; "
            "fix it or drop the question"
        )
    return LETTERS.index(answer)


def _counted(choices: tuple[str, ...], where: str) -> tuple[str, ...]:
    if not 2 <= len(choices) <= len(LETTERS):
        raise DataError(
            f"{where}: expected 2 to {len(LETTERS)} choices, found {len(choices)}; "
            "complete the question or drop it"
        )
    return choices


def _texts(values: object, name: str, where: str) -> tuple[str, ...]:
    """Return a list of texts; numbers are converted."""
    if not isinstance(values, list):
        raise DataError(f"{where}: expected a list in field {name!r}, found {kind_of_value(values)}")
    for number, value in enumerate(values, start=1):
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DataError(
                f"{where}: expected a text as item {number} of {name!r}, found {kind_of_value(value)}; fix it"
            )
    return tuple(str(value) for value in values)


def _passages(path: Path) -> list[object]:
    """Return the list of passages that a file of C3 holds."""
    passages = read_json(path, expected="a list of passages")
    if not isinstance(passages, list):
        raise DataError(f"{path}: expected a list of passages, found {kind_of_value(passages)}")
    return passages


def _listed(choices: Sequence[str]) -> str:
    return ", ".join(repr(choice[:40]) for choice in choices)
