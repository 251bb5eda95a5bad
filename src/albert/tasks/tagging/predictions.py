"""Files of predicted tags: reading what `albert predict` writes, and CLUENER's official file both ways."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from albert.errors import DataError
from albert.tasks.bad_rows import strict
from albert.tasks.prediction_files import Found, PredictionFile, matched
from albert.tasks.tagging.files import TaggedExample, entity_places, read_tagged
from albert.tasks.task import Task
from albert.tasks.text_files import read_objects


def entities_by_type(entities: list[dict[str, Any]]) -> dict[str, dict[str, list[list[int]]]]:
    """Return entities in CLUENER's form: places (first and last character) by text, by type."""
    found: dict[str, dict[str, list[list[int]]]] = {}
    for entity in entities:
        places = found.setdefault(entity["type"], {}).setdefault(entity["text"], [])
        places.append([entity["start"], entity["end"] - 1])
    return found


def read_predicted_tags(
    task: Task, examples: Sequence[TaggedExample], file: PredictionFile
) -> list[Sequence[str]]:
    """Return the predicted tags of each sentence, one for each word.

    Raises:
        DataError: The file cannot be read, or its sentences and words are not those of `examples`.
    """
    path = file.path
    if path.suffix == ".json" and task.submission is not None and task.submission.layout == "cluener":
        predicted = _read_entities(task, examples, file)
    else:
        layout = replace(task.data, layout="conll", text_column="words", label_column="tags")
        labels = () if file.has_other_labels else task.labels
        found = strict(read_tagged(replace(task, labels=labels, data=layout), path))
        predicted = [example.tags or () for example in found]
    if len(predicted) != len(examples):
        raise DataError(
            f"{path}: holds {len(predicted):,} sentences; expected {len(examples):,}, as in the split"
        )
    for number, (tags, example) in enumerate(zip(predicted, examples, strict=True), start=1):
        if len(tags) != len(example.words):
            raise DataError(
                f"{path}: sentence {number} has {len(tags)} tags for the {len(example.words)} words of "
                f"{example.where}; give every word one tag"
            )
    return predicted


def _read_entities(
    task: Task, examples: Sequence[TaggedExample], file: PredictionFile
) -> list[Sequence[str]]:
    """Return the tags of each sentence from the entities in CLUENER's official file."""
    path, found = file.path, []
    for line, fields in read_objects(path):
        where = f"{path}:{line}"
        places = entity_places(fields.get("label"), "label", where)
        found.append(Found(id=str(fields.get("id", "")), value=places, where=where))
    tags: list[Sequence[str]] = []
    for places, example in zip(matched(found, examples, path), examples, strict=True):
        own = ["O"] * len(example.words)
        for kind, _, first, last in places:
            if not 0 <= first <= last < len(own):
                raise DataError(
                    f"{path}: an entity from {first} to {last} is outside the text of {example.where}"
                )
            if f"B-{kind}" not in task.labels:
                raise DataError(f"{path}: unknown type {kind[:60]!r} of an entity of {example.where}")
            own[first : last + 1] = [f"B-{kind}"] + [f"I-{kind}"] * (last - first)
        tags.append(own)
    return tags
