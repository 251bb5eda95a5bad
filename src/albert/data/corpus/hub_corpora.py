"""Data sets of the Hugging Face Hub, streamed as records: nothing is kept on disk.

A data set is named `hub:NAME[:CONFIG][@SPLIT]`; NAME is an id of the Hub or the folder of a data set, SPLIT
is "train" by default. They are read with `datasets`, which runs no code of a data set. The price of
streaming is that the size, and so the time left, is unknown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from albert.data.corpus.files import HUB_PREFIX, Reading, Tally
from albert.data.corpus.records import Record, find_columns
from albert.data.corpus.storage import one_line
from albert.distribution import install_command
from albert.errors import ConfigError, DataError

DEFAULT_SPLIT = "train"


@dataclass(frozen=True, kw_only=True)
class HubName:
    """The parts of `hub:NAME[:CONFIG][@SPLIT]`."""

    name: str
    """Id on the Hub, or path of a folder."""
    config: str | None
    """One of several data sets under that name."""
    split: str
    """Split of the data set."""


def parse_hub_name(source: str) -> HubName:
    """Parse `hub:NAME[:CONFIG][@SPLIT]`.

    Raises:
        DataError: It has no name, or an empty configuration or split.
    """
    name, at, split = source.removeprefix(HUB_PREFIX).partition("@")
    name, colon, config = name.partition(":")
    if not name or (at and not split) or (colon and not config):
        raise DataError(f"{source}: expected hub:NAME, hub:NAME:CONFIG or hub:NAME@SPLIT")
    return HubName(name=name, config=config or None, split=split or DEFAULT_SPLIT)


def import_datasets(source: str) -> Any:
    """Import the package `datasets`, which then prints nothing.

    Raises:
        ConfigError: It is not installed; the message names `source`, the data set that needs it.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f"{source}: data sets of the Hugging Face Hub need the package datasets, which is not installed; "
            f"run: {install_command('hub')}"
        ) from error
    # Both would print between our own lines; what they say is also in the error.
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    return datasets


def read_hub_records(source: str, reading: Reading, tally: Tally) -> Iterator[Record]:
    """Read the records of a data set in its order.

    Raises:
        ConfigError: `datasets` is not installed.
        DataError: There is no such data set, configuration, split or column, or it cannot be reached.
    """
    hub = parse_hub_name(source)
    datasets = import_datasets(source)
    with _reading(source, 0):
        stream = datasets.load_dataset(hub.name, hub.config, split=hub.split, streaming=True)
        if stream.column_names is not None:
            chosen = find_columns(source, stream.column_names, reading)
            stream = stream.select_columns(list(chosen))  # so that images and the like are not decoded
        records = iter(stream)
    for number in count(1):
        with _reading(source, number - 1):
            record = next(records, None)
            if record is None:
                return
        values = {name: record[name] for name in find_columns(source, record, reading)}
        tally.bytes_read += sum(len(value) for value in values.values() if isinstance(value, str))
        yield f"{source}:record {number}", values


@contextmanager
def _reading(source: str, number: int) -> Iterator[None]:
    """Turn any exception that `datasets` raises inside the block into a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        where = f"after record {number}" if number else "at all"
        raise DataError(
            f"{source}: cannot be read {where}: {one_line(error)}; a data set is named "
            "hub:NAME[:CONFIG][@SPLIT], and the Hub must be reachable unless NAME is a local folder"
        ) from error
