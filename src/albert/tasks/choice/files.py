"""Read questions with some choices: RACE, C3, COPA, and own tables with a list of choices.

Stands between a task's files and `choice_features`. Questions come in the order of the file.

- RACE: one passage with its questions an object: a file for each passage, as it is published, or an object a
  line (`all.txt`, `.jsonl`); or one question an object, as on the Hub.
- C3: one list a file, of passages with their questions; or one question an object a line, as on the Hub.
- COPA: one premise an object a line, with two choices and whether its cause or its effect is asked for.
- own: `.jsonl`, `.tsv`, `.csv` with a passage, choices, and maybe a question. Choices are a list, in tables
  spelled as JSON; or they stand in columns of their own, such as choice0, choice1, ..., those that are empty
  left out. The right one is named by its text, its letter from A, or its number from 0.

Source: Lai et al. (2017), RACE; Sun et al. (2020), C3; Roemmele et al. (2011), COPA; `RaceProcessor` of the
original; `CopaProcessor` of albert_zh.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any, Literal, TypeVar

from albert.errors import DataError, did_you_mean
from albert.tasks.tables import Columns, check_text, read_objects, read_rows, text_field
from albert.tasks.task import Task

RACE_LEVELS = ("middle", "high")
RACE_CHOICES = 4
DEFAULT_QUESTION = "question"
"""Column of the question that need not be there; one of another name must be."""

_JSON = (".jsonl", ".json")
# Dialogues (d) or other texts (m): c3-d-train.json, or d-train.json.
_C3_NAME = re.compile(r"(?:^|-)([dm])-(?:train|dev|test)")
_COPA_CHOICES = (("choice0", "choice1"), ("choice1", "choice2"))
_NAMES: dict[type, str] = {str: "a text", list: "a list", dict: "an object", int: "a whole number"}
_FieldT = TypeVar("_FieldT")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceExample:
    """One question on a passage, with some choices."""

    passage: str
    """What is asked about."""
    question: str = ""
    """The question; a blank in it, "_", is where a choice belongs. "" where nothing is asked in words."""
    choices: tuple[str, ...]
    """Choices, two to 26."""
    label: int | None = None
    """Which choice is right, from 0; None where it is not known."""
    id: str = ""
    """What the benchmark calls the question."""
    group: str = ""
    """Part of the benchmark that is also scored by itself: middle or high (RACE), d or m (C3); else ""."""
    relation: Literal["answer", "effect", "cause"] = "answer"
    """What a choice is to the passage: an answer to a question on it, its effect, or its cause."""


def read_choices(task: Task, path: Path, *, labelled: bool = True) -> Iterator[ChoiceExample]:
    """Read the questions of the file `path` of `task`, with the right choices where `labelled`.

    Raises:
        DataError: The file is not laid out as `task` says; a question lacks choices; the right one is
            missing, or none of them; with file, line and question.
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


def _read_race(path: Path, *, labelled: bool) -> Iterator[ChoiceExample]:
    asked: Counter[str] = Counter()
    for line, fields in read_objects(path):
        where = f"{path}:{line}"
        if "questions" in fields:
            yield from _race_passage(path, fields, where, labelled=labelled)
        else:
            choices = _race_options(_field(fields, "options", list, where), where)
            passage_id = str(fields.get("example_id", ""))
            asked[passage_id] += 1
            # On the Hub all questions on a passage have its id.
            id_ = f"{passage_id}-{asked[passage_id]}" if passage_id else ""
            yield ChoiceExample(
                passage=_field(fields, "article", str, where),
                question=_field(fields, "question", str, where),
                choices=choices,
                label=_letter(_field(fields, "answer", str, where), choices, where) if labelled else None,
                id=id_,
                group=_race_level(path, id_),
            )


def _race_passage(
    path: Path, fields: Mapping[str, Any], where: str, *, labelled: bool
) -> Iterator[ChoiceExample]:
    """Yield the questions of one passage."""
    passage = _field(fields, "article", str, where)
    name = str(fields.get("id", path.name))
    columns = ("questions", "options", "answers") if labelled else ("questions", "options")
    lists = [_field(fields, column, list, where) for column in columns]
    lengths = [len(values) for values in lists]
    if len(set(lengths)) > 1:
        found = ", ".join(f"{n} {column}" for n, column in zip(lengths, columns, strict=True))
        raise DataError(f"{where}: expected as many of each, found {found}; complete the passage or drop it")
    for number, (question, options, *answer) in enumerate(zip(*lists, strict=True), start=1):
        place = f"{where}: question {number}"
        choices = _race_options(options, place)
        if not isinstance(question, str):
            raise DataError(f"{place}: expected a text, found {_kind(question)}; fix it or drop the question")
        yield ChoiceExample(
            passage=passage,
            question=question,
            choices=choices,
            label=_letter(answer[0], choices, place) if answer else None,
            id=f"{name}-{number}",
            group=_race_level(path, name),
        )


def _race_options(options: object, where: str) -> tuple[str, ...]:
    # An empty option is one: the original takes it, and its letter counts.
    choices = _texts(options, "options", where)
    if len(choices) != RACE_CHOICES:
        raise DataError(
            f"{where}: expected {RACE_CHOICES} options, found {len(choices)}; complete or drop the question, "
            "or read other numbers of choices with --task choice"
        )
    return choices


def _race_level(path: Path, id_: str) -> str:
    """Return middle or high, as the folder says, the name of the file, or the id of a question."""
    for level in RACE_LEVELS:
        if path.parent.name == level or path.stem.endswith(f"_{level}"):
            return level
    return next((level for level in RACE_LEVELS if id_.startswith(level)), "")


def _read_c3(path: Path, *, labelled: bool) -> Iterator[ChoiceExample]:
    if path.suffix == ".jsonl":
        for line, fields in read_objects(path):
            where = f"{path}:{line}"
            passage = "\n".join(_texts(_field(fields, "context", list, where), "context", where))
            yield replace(_c3_question(fields, where, labelled=labelled), passage=passage)
        return
    found = _C3_NAME.search(path.stem)
    group = found.group(1) if found else ""
    for number, item in enumerate(_json_list(path), start=1):
        where = f"{path}: passage {number}"
        if not (isinstance(item, list) and len(item) == 3 and isinstance(item[1], list)):
            raise DataError(f"{where}: expected [[lines], [questions], id], found {_kind(item)}; fix it")
        passage = "\n".join(_texts(item[0], "lines", where))
        for place, fields in enumerate(item[1], start=1):
            at = f"{where}, question {place}"
            if not isinstance(fields, dict):
                raise DataError(f"{at}: expected a JSON object, found {_kind(fields)}; fix it")
            example = _c3_question(fields, at, labelled=labelled)
            id_ = example.id or f"{item[2]}-{place}"
            yield replace(example, passage=passage, group=group, id=id_)


def _c3_question(fields: Mapping[str, Any], where: str, *, labelled: bool) -> ChoiceExample:
    """Return one question; the passage is to be filled in."""
    choices = _counted(_texts(_field(fields, "choice", list, where), "choice", where), where)
    label = None
    if labelled:
        answer = _field(fields, "answer", str, where)
        if answer not in choices:
            raise DataError(
                f"{where}: the answer {answer[:60]!r} is none of the choices {_listed(choices)}; "
                "expected the text of one; fix it or drop the question"
            )
        label = choices.index(answer)
    question = _field(fields, "question", str, where)
    return ChoiceExample(
        passage="", question=question, choices=choices, label=label, id=str(fields.get("id", ""))
    )


def _read_copa(path: Path, *, labelled: bool) -> Iterator[ChoiceExample]:
    for line, fields in read_objects(path):
        where = f"{path}:{line}"
        columns = next((c for c in _COPA_CHOICES if all(name in fields for name in c)), _COPA_CHOICES[0])
        relation = _field(fields, "question", str, where)
        if relation not in {"cause", "effect"}:
            raise DataError(
                f"{where}: expected the question cause or effect, found {relation[:60]!r}; fix it"
            )
        label = _field(fields, "label", int, where) if labelled else None
        if label not in {None, 0, 1}:
            raise DataError(f"{where}: expected the label 0 or 1, found {label}; fix it or drop the row")
        yield ChoiceExample(
            passage=_field(fields, "premise", str, where),
            choices=tuple(_field(fields, column, str, where) for column in columns),
            label=label,
            id=str(fields.get("id", fields.get("idx", ""))),
            relation="cause" if relation == "cause" else "effect",
        )


def _read_own(task: Task, path: Path, *, labelled: bool) -> Iterator[ChoiceExample]:
    data = task.data
    required = [data.text_column]
    optional = [data.id_column] if data.id_column else []
    if data.pair_column is not None:
        (optional if data.pair_column == DEFAULT_QUESTION else required).append(data.pair_column)
    if labelled:
        required.append(data.label_column)
    columns = Columns(required=tuple(required), optional=tuple(optional), aliases=data.aliases)
    for line, cells, given in _own_rows(task, path, columns):
        where = f"{path}:{line}"
        check_text(cells[data.text_column], data.text_column, where)
        if not given:
            raise DataError(
                f"{where}: no choices; expected a list in {data.choices_column!r}, or the columns "
                f"{', '.join(_numbered(data.choices_column)[:2])}, ...; name it with --choices-column"
            )
        choices = _counted(given, where)
        yield ChoiceExample(
            passage=cells[data.text_column],
            question=cells[data.pair_column] if data.pair_column else "",
            choices=choices,
            label=_right_choice(cells[data.label_column], choices, where) if labelled else None,
            id=cells[data.id_column] if data.id_column else "",
        )


def _own_rows(
    task: Task, path: Path, columns: Columns
) -> Iterator[tuple[int, dict[str, str], tuple[str, ...]]]:
    """Yield the line of each row, its cells by column, and its choices."""
    names = (*columns.required, *columns.optional)
    name = task.data.choices_column
    numbered = _numbered(name)
    if path.suffix in _JSON:
        single = Columns(required=(), optional=numbered)
        for line, fields in read_objects(path):
            where = f"{path}:{line}"
            cells = {column: text_field(fields, columns, column, where) for column in names}
            given = tuple(text_field(fields, single, column, where) for column in numbered)
            yield line, cells, _own_choices(fields.get(name), given, numbered, where)
        return
    optional = (*columns.optional, name, *numbered)
    for row in read_rows(path, replace(columns, optional=optional)):
        where = f"{path}:{row.line}"
        listed, given = row.cells[len(names)].strip(), row.cells[len(names) + 1 :]
        try:
            values = json.loads(listed) if listed else None
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: column {name!r} holds no list in JSON ({error}); "
                f'expected such as ["yes", "no"], or columns {numbered[0]}, {numbered[1]}, ...'
            ) from error
        yield (
            row.line,
            dict(zip(names, row.cells, strict=False)),
            _own_choices(values, given, numbered, where),
        )


def _numbered(name: str) -> tuple[str, ...]:
    """Return the columns that hold single choices: choice0, choice1, ... for `choices`."""
    return tuple(f"{name.removesuffix('s')}{number}" for number in range(len(LETTERS) + 1))


def _own_choices(
    listed: object, given: Sequence[str], numbered: Sequence[str], where: str
) -> tuple[str, ...]:
    """Return the choices of a list, or else of numbered columns; these may begin with 0 or 1."""
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
    """Return which choice is right: the one with that text, letter or number.

    Raises:
        DataError: It is none, or texts and numbers tell different ones.
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
            f"{where}: the label {name!r} means choice {letters}, by its text or by its place; "
            "name right choices in another way: by text, by letter, or by number"
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
    """Return a list of texts; numbers are taken for theirs."""
    if not isinstance(values, list):
        raise DataError(f"{where}: expected a list in {name!r}, found {_kind(values)}; fix it")
    for number, value in enumerate(values, start=1):
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DataError(
                f"{where}: expected a text as number {number} of {name!r}, found {_kind(value)}; fix it"
            )
    return tuple(str(value) for value in values)


def _field(fields: Mapping[str, Any], name: str, kind: type[_FieldT], where: str) -> _FieldT:
    """Return a field of a JSON object that must be there and of one type."""
    if name not in fields:
        raise DataError(
            f"{where}: no field {name!r}{did_you_mean(name, list(fields))}; found {', '.join(fields)}"
        )
    value = fields[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{where}: expected {_NAMES[kind]} in {name!r}, found {_kind(value)}; fix it")
    return value


def _json_list(path: Path) -> list[object]:
    """Return the list that is all of a JSON file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON in UTF-8: {error}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}); expected one list") from error
    if not isinstance(values, list):
        raise DataError(f"{path}: expected a list of passages, found {_kind(values)}")
    return values


def _kind(value: object) -> str:
    """Return how a value is called in JSON."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return next((name for kind, name in _NAMES.items() if isinstance(value, kind)), "a number")


def _listed(choices: Sequence[str]) -> str:
    return ", ".join(repr(choice[:40]) for choice in choices)
