"""Scores of predictions that lie in a file, whoever made them: official files and rows of our own.

Stands on the scores of solvers and on `metrics`. Predictions become answers without doubt, all weight on what
is named, so that a solver scores them as it scores those of a model; answers of spans are compared as texts.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from albert.console import warn
from albert.errors import ConfigError, DataError, did_you_mean
from albert.metrics.answers import score_answers_v1, score_answers_v2
from albert.metrics.chinese_answers import score_chinese_answers
from albert.tasks.choice.files import ChoiceExample
from albert.tasks.predictions import id_of
from albert.tasks.solver import Solver
from albert.tasks.spans.files import Question
from albert.tasks.submissions import find_submission
from albert.tasks.tables import Columns, read_objects, read_rows
from albert.tasks.tagging.files import TaggedExample, read_tagged
from albert.tasks.tagging.solver import TagAnswers
from albert.tasks.task import Task

OFFICIAL_NULL_THRESHOLD = 1.0
"""What evaluate-v2.0 takes if it is not told."""

_IDS = ("index", "id")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found(Generic[_T]):
    """One prediction of a file."""

    id: str
    """Of its example; "" where the file names none."""
    value: _T
    """What is predicted."""
    where: str
    """File and line."""


def score_prediction_file(
    task: Task,
    solver: Solver,
    examples: Sequence[Any],
    path: Path,
    *,
    null_odds: Path | None = None,
    null_threshold: float | None = None,
    has_other_labels: bool = False,
) -> dict[str, float]:
    """Returns the official scores of the predictions in `path`.

    Args:
        task: With its labels.
        solver: Of its kind.
        examples: What was asked, with what is right.
        path: Predictions: the benchmark's official file, or what `albert predict` writes.
        null_odds: Spans: JSON of null odds by question.
        null_threshold: Spans: null odds above which a question counts as answered by nothing; None for the
            official script's, 1.0.
        has_other_labels: Whether labels may be predicted that `task` does not have: those of own data are no
            more than what occurs in `examples`.

    Raises:
        DataError: The file cannot be read, or its predictions are not those of `examples`.
        ConfigError: Null odds are given where every question has an answer.
    """
    if task.kind == "spans":
        return _score_spans(task, examples, path, null_odds=null_odds, null_threshold=null_threshold)
    if null_odds is not None or null_threshold is not None:
        raise ConfigError(f"null odds are for questions that may have no answer; task {task.name!r} has none")
    answers: Any
    if task.kind == "regression":
        numbers = _matched(
            list(_read_values(path, ("prediction", "score", "label"), _number)), examples, path
        )
        answers = np.array(numbers, np.float64)[:, None]
    elif task.kind == "choice":
        answers = _choice_answers(task, examples, path)
    elif task.kind == "tagging":
        tags = _read_tags(replace(task, labels=()) if has_other_labels else task, examples, path)
        task = _with_labels(task, [tag for sentence in tags for tag in sentence])
        answers = _tag_answers(task, tags)
    else:
        names = _read_labels(task, examples, path, has_other_labels=has_other_labels)
        task = _with_labels(task, names)
        answers = _certain(_ids_of(task, names), len(task.labels))
    scores = solver.scores(task, examples, answers)
    return {name: value for name, value in scores.items() if name != "loss"}


def read_texts(path: Path) -> dict[str, str]:
    """Reads answers by question: a JSON object, or JSON lines with `id` and `answer`.

    Raises:
        DataError: The file is neither.
    """
    if path.suffix == ".jsonl":
        columns = Columns(wanted=("id", "answer"))
        return {row.cells[0]: row.cells[1] for row in read_rows(path, columns)}
    return dict(_read_object(path, str, what="a text for each question"))


def _score_spans(
    task: Task,
    examples: Sequence[Question],
    path: Path,
    *,
    null_odds: Path | None,
    null_threshold: float | None,
) -> dict[str, float]:
    gold = {question.id: question.texts for question in examples}
    texts = read_texts(path)
    odds = (
        None if null_odds is None else dict(_read_object(null_odds, float, what="a number for each question"))
    )
    if odds is None and null_threshold is not None:
        raise ConfigError("--null-threshold without --null-odds says nothing; give both or neither")
    may_lack_answer = task.may_lack_answer or any(question.is_impossible for question in examples)
    if odds is not None and (task.language == "zh" or not may_lack_answer):
        raise ConfigError(
            f"--null-odds {null_odds}: every question of task {task.name!r} has an answer; drop it"
        )
    if task.language == "zh":
        scores = score_chinese_answers(gold, texts)
    elif may_lack_answer:
        threshold = OFFICIAL_NULL_THRESHOLD if null_threshold is None else null_threshold
        scores = score_answers_v2(gold, texts, null_odds=odds, threshold=threshold)
    else:
        scores = score_answers_v1(gold, texts)
    if scores["missing"]:
        warn(f"{path}: {scores['missing']:,} of {len(gold):,} questions have no prediction")
    if others := sum(question not in gold for question in texts):
        warn(f"{path}: {others:,} predictions are for other questions and are passed over")
    return scores


def _read_object(path: Path, kind: type[_T], *, what: str) -> Iterator[tuple[str, _T]]:
    """Yields the members of a JSON object, whose values are all of one kind."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected an object with {what}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object with {what}, found {type(content).__name__}")
    for name, value in content.items():
        wanted = float(value) if kind is float and type(value) is int else value
        if not isinstance(wanted, kind):
            found = json.dumps(value, ensure_ascii=False)[:60]
            raise DataError(f"{path}: {name!r} holds {found}; expected {what}")
        yield name, wanted


def _read_values(path: Path, columns: Sequence[str], parse: Callable[[str, str], _T]) -> Iterator[_Found[_T]]:
    """Yields what stands in the first of some columns that a table or JSON lines have."""
    for row in read_rows(path, Columns(wanted=(), optional=(*_IDS, *columns))):
        where = f"{path}:{row.line}"
        index, id_, *cells = row.cells
        text = next((cell for cell in cells if cell.strip()), None)
        if text is None:
            raise DataError(f"{where}: no prediction; expected one in column {' or '.join(columns)}")
        yield _Found(id=(index or id_).strip(), value=parse(text.strip(), where), where=where)


def _matched(found: Sequence[_Found[_T]], examples: Sequence[Any], path: Path) -> list[_T]:
    """Returns the predicted value of each example: by its id, or by its place where one has none.

    Raises:
        DataError: An example has no prediction, or two.
    """
    ids = [id_of(example, place) for place, example in enumerate(examples)]
    by_place = not all(prediction.id for prediction in found)
    named_by_place = not all(getattr(example, "id", None) for example in examples)
    if (by_place or named_by_place) and len(found) != len(examples):
        raise DataError(
            f"{path}: holds {len(found):,} predictions for {len(examples):,} examples; give one for each, "
            "in their order"
        )
    if by_place or [prediction.id for prediction in found] == ids:
        return [prediction.value for prediction in found]
    by_id: dict[str, _Found[_T]] = {}
    for prediction in found:
        earlier = by_id.setdefault(prediction.id, prediction)
        if earlier is not prediction:
            raise DataError(
                f"{prediction.where}: {prediction.id!r} is predicted at {earlier.where} already; "
                "keep one of both"
            )
    missing = [name for name in ids if name not in by_id]
    if missing:
        raise DataError(
            f"{path}: {len(missing):,} of {len(ids):,} examples have no prediction, "
            f"the first is {missing[0]!r}; is it the file of this split?"
        )
    return [by_id[name].value for name in ids]


def _read_labels(task: Task, examples: Sequence[Any], path: Path, *, has_other_labels: bool) -> list[str]:
    """Returns the predicted label of each example."""
    known = {" ".join(label.split()): label for label in task.labels}

    def parse(text: str, where: str) -> str:
        name = " ".join(text.split())
        if name not in known and not has_other_labels:
            names = list(known)
            raise DataError(
                f"{where}: unknown label {name[:60]!r}{did_you_mean(name[:60], names)}; "
                f"known: {', '.join(names[:20])}"
            )
        return known.get(name, name)

    return _matched(list(_read_values(path, ("prediction", "label"), parse)), examples, path)


def _with_labels(task: Task, names: Sequence[str]) -> Task:
    """Returns `task` with its labels and, behind them, those among `names` that it lacks."""
    return replace(task, labels=tuple(dict.fromkeys((*task.labels, *names))))


def _ids_of(task: Task, names: Sequence[str]) -> list[int]:
    label_ids = {label: number for number, label in enumerate(task.labels)}
    return [label_ids[name] for name in names]


def _choice_answers(task: Task, examples: Sequence[ChoiceExample], path: Path) -> NDArray[np.float64]:
    submission = find_submission(task)
    if path.suffix == ".json" and submission is not None and submission.layout == "letters":
        found = [
            _Found(id=name, value=_choice(letter, str(path)), where=f"{path}: {name!r}")
            for name, letter in _read_object(path, str, what="the letter of a choice for each question")
        ]
    else:
        found = list(_read_values(path, ("prediction", "label"), _choice))
    chosen = _matched(found, examples, path)
    for number, example in zip(chosen, examples, strict=True):
        if number >= len(example.choices):
            raise DataError(
                f"{path}: question {example.id!r} is answered by choice {LETTERS[number]}, "
                f"but has only {len(example.choices)}"
            )
    return _certain(chosen, max(len(example.choices) for example in examples))


def _choice(text: str, where: str) -> int:
    """Returns a choice by its letter from A, or its number from 0."""
    if text in tuple(LETTERS):
        return LETTERS.index(text)
    if text.isascii() and text.isdecimal() and int(text) < len(LETTERS):
        return int(text)
    raise DataError(f"{where}: expected the letter of a choice, or its number from 0, found {text[:60]!r}")


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise DataError(f"{where}: expected a number, found {text[:60]!r}")
    return number


def _read_tags(task: Task, examples: Sequence[TaggedExample], path: Path) -> list[Sequence[str]]:
    """Returns the predicted tags of each sentence, one a word."""
    submission = find_submission(task)
    if path.suffix == ".json" and submission is not None and submission.layout == "cluener":
        predicted = _entity_tags(task, examples, path)
    else:
        layout = replace(task.data, layout="conll", text_column="words", label_column="tags")
        predicted = [found.tags or () for found in read_tagged(replace(task, data=layout), path)]
    if len(predicted) != len(examples):
        raise DataError(
            f"{path}: holds {len(predicted):,} sentences; expected {len(examples):,}, as in the split"
        )
    for number, (tags, example) in enumerate(zip(predicted, examples, strict=True), start=1):
        if len(tags) != len(example.words):
            raise DataError(
                f"{path}: sentence {number} has {len(tags)} tags for the {len(example.words)} words of "
                f"{example.where}; give every word one"
            )
    return predicted


def _tag_answers(task: Task, tags: Sequence[Sequence[str]]) -> TagAnswers:
    """Returns the tags of all words as answers without doubt."""
    logits = _certain(_ids_of(task, [tag for sentence in tags for tag in sentence]), len(task.labels))
    return TagAnswers(logits.astype(np.float32), np.array([len(sentence) for sentence in tags], np.int64))


def _entity_tags(task: Task, examples: Sequence[TaggedExample], path: Path) -> list[Sequence[str]]:
    """Reads CLUENER's official file: entities by type, text, and first and last character."""
    found = []
    for line, fields in read_objects(path):
        where = f"{path}:{line}"
        found.append(_Found(id=str(fields.get("id", "")), value=_entity_places(fields, where), where=where))
    tags = []
    for places, example in zip(_matched(found, examples, path), examples, strict=True):
        own = ["O"] * len(example.words)
        for kind, first, last in places:
            if not 0 <= first <= last < len(own):
                raise DataError(
                    f"{path}: an entity from {first} to {last} lies outside of the text of {example.where}"
                )
            if f"B-{kind}" not in task.labels:
                raise DataError(f"{path}: unknown type {kind[:60]!r} of an entity of {example.where}")
            own[first : last + 1] = [f"B-{kind}"] + [f"I-{kind}"] * (last - first)
        tags.append(own)
    return list(tags)


def _entity_places(fields: Mapping[str, Any], where: str) -> list[tuple[str, int, int]]:
    try:
        return [
            (kind, int(first), int(last))
            for kind, names in fields["label"].items()
            for places in names.values()
            for first, last in places
        ]
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: expected 'label' as {{type: {{entity: [[first, last], ...]}}}}, as CLUENER has it"
        ) from error


def _certain(chosen: Sequence[int], count: int) -> NDArray[np.float64]:
    """Returns logits (B, K) that leave no doubt: `chosen` (B,) of `count`."""
    return np.eye(count)[list(chosen)]
