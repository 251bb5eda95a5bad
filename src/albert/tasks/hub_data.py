"""The data of a task from the Hugging Face Hub, as files of JSON lines in the cache.

The data are fetched once and then read like any other file. `datasets` does the fetching and runs no code
of a data set; HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and tokens have their usual meaning.

Two things in a row change: columns get the task's names, and labels stored as numbers become words.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from albert.console import say
from albert.data.corpus.hub_corpora import import_datasets
from albert.data.corpus.storage import one_line
from albert.errors import DataError
from albert.tasks.task import HubData, Task
from albert.writing import move_finished

_LAYOUT_VERSION = 1
"""Part of a cache folder's name; must be raised with any change in what is written there."""


def fetch(task: Task) -> Path:
    """Return a folder with `train.jsonl`, `dev.jsonl`, ... of `task`, fetched if it is not in the cache yet.

    The folder appears whole or not at all, even if several processes fetch at once.

    Raises:
        DataError: No data set of the Hub is known for the task, or it cannot be fetched.
        ConfigError: `datasets` is not installed.
    """
    hub = task.data.hub
    if hub is None:
        raise DataError(
            f"task {task.name!r}: no data set of the Hub is known for it; "
            "name the folder of its files with --data"
        )
    folder = cache_folder(task, hub)
    if folder.is_dir():
        say(f"{task.name}: data from {folder}")
        return folder
    import_datasets(_name_of(hub))  # missing, it is not a failed fetch
    say(f"{task.name}: fetching {_name_of(hub)} from the Hugging Face Hub")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with _fetching(task, hub):
            counts = [f"{split} {_write(task, hub, split, temporary):,}" for split in hub.splits]
        move_finished(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    say(f"{task.name}: {', '.join(counts)} in {folder}")
    return folder


def cache_folder(task: Task, hub: HubData) -> Path:
    """Return the folder of a task's fetched data; its name has a hash of all that decides what is written."""
    from huggingface_hub import constants

    parts = [hub.name, hub.config, dict(hub.splits), dict(hub.columns), task.labels, task.data.label_column]
    digest = hashlib.sha256(json.dumps([_LAYOUT_VERSION, *parts]).encode()).hexdigest()
    return Path(constants.HF_HOME) / "albert" / f"{task.name}-{digest[:12]}"


def _write(task: Task, hub: HubData, split: str, folder: Path) -> int:
    """Write the rows of one split; return their number."""
    datasets = import_datasets(_name_of(hub))
    rows = datasets.load_dataset(hub.name, hub.config, split=hub.splits[split])
    with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        for row in _renamed(task, hub, rows.features, rows):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return len(rows)


def _renamed(
    task: Task, hub: HubData, features: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]
) -> Iterable[dict[str, Any]]:
    """Yield rows with the task's column names and with labels as words."""
    names = {column: hub.columns.get(column, column) for column in features}
    for row in rows:
        renamed = {names[column]: _in_words(value, features[column]) for column, value in row.items()}
        label = next((row[column] for column in row if names[column] == task.data.label_column), None)
        if task.labels and not isinstance(label, list):
            renamed[task.data.label_column] = _label_of(task, label, renamed.get(task.data.label_column))
        yield renamed


def _in_words(value: Any, feature: Any) -> Any:
    """Return `value` with class numbers, at any depth, replaced by names; None for a missing class."""
    import datasets

    if isinstance(feature, datasets.ClassLabel):
        return feature.names[value] if isinstance(value, int) and value >= 0 else None
    if isinstance(feature, datasets.List | datasets.LargeList) and value is not None:
        return [_in_words(item, feature.feature) for item in value]
    if isinstance(feature, dict) and value is not None:
        return {key: _in_words(item, feature[key]) for key, item in value.items()}
    return value


def _label_of(task: Task, number: Any, name: Any) -> str | None:
    """Return the task's word for a label that the Hub gives as a number and maybe a name.

    If a data set has other names for the classes ("unacceptable" for CoLA's 0), they are in the task's order.
    """
    for word in (name, number):
        text = str(int(word)) if isinstance(word, float) and word.is_integer() else str(word)
        if text in task.labels:
            return text
    if isinstance(number, int) and 0 <= number < len(task.labels):
        return task.labels[number]
    return None if number in {None, -1} else str(name)


def _name_of(hub: HubData) -> str:
    return hub.name if hub.config is None else f"{hub.name} ({hub.config})"


@contextmanager
def _fetching(task: Task, hub: HubData) -> Iterator[None]:
    """Turn any exception of `datasets` inside the block into one DataError."""
    try:
        yield
    except Exception as error:
        raise DataError(
            f"task {task.name!r}: {_name_of(hub)} cannot be fetched from the Hugging Face Hub: "
            f"{one_line(error)}; name the folder of the task's files with --data, "
            "or fetch the data once while the Hub can be reached"
        ) from error
