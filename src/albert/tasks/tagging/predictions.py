"""Predicted tags in files: what `albert predict` writes, and CLUENER's official file, read and written."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from albert.errors import DataError
from albert.tasks.prediction_files import Found, PredictionFile, matched
from albert.tasks.tables import read_objects
from albert.tasks.tagging.files import TaggedExample, read_tagged
from albert.tasks.task import Task


def entities_by_type(entities: list[dict[str, Any]]) -> dict[str, dict[str, list[list[int]]]]:
    """Return entities as CLUENER has them: type, text, and places by first and last character."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for entity in entities:
        places = found.setdefault(entity["type"], {}).setdefault(entity["text"], [])
        places.append([entity["start"], entity["end"] - 1])
    return found


def read_predicted_tags(
    task: Task, examples: Sequence[TaggedExample], file: PredictionFile
) -> list[Sequence[str]]:
    """Read the predicted tags of each sentence, one a word.

    Raises:
        DataError: The file cannot be read, or its sentences and words are not those of `examples`.
    """
    path = file.path
    if path.suffix == ".json" and task.submission is not None and task.submission.layout == "cluener":
        predicted = _read_entities(task, examples, file)
    else:
        layout = replace(task.data, layout="conll", text_column="words", label_column="tags")
        labels = () if file.has_other_labels else task.labels
        found = read_tagged(replace(task, labels=labels, data=layout), path)
        predicted = [example.tags or () for example in found]
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


def _read_entities(
    task: Task, examples: Sequence[TaggedExample], file: PredictionFile
) -> list[Sequence[str]]:
    """Read CLUENER's official file: entities by type, text, and first and last character."""
    path, found = file.path, []
    for line, fields in read_objects(path):
        where = f"{path}:{line}"
        found.append(Found(id=str(fields.get("id", "")), value=_entity_places(fields, where), where=where))
    tags: list[Sequence[str]] = []
    for places, example in zip(matched(found, examples, path), examples, strict=True):
        own = ["O"] * len(example.words)
        for kind, first, last in places:
            if not 0 <= first <= last < len(own):
                raise DataError(
                    f"{path}: an entity from {first} to {last} lies outside the text of {example.where}"
                )
            if f"B-{kind}" not in task.labels:
                raise DataError(f"{path}: unknown type {kind[:60]!r} of an entity of {example.where}")
            own[first : last + 1] = [f"B-{kind}"] + [f"I-{kind}"] * (last - first)
        tags.append(own)
    return tags


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
