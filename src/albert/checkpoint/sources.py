"""The form of a model: Hugging Face folder, TensorFlow checkpoint, TF-Hub module, or archive of one.

Every form is recognised by its files, not by its name. The text file `checkpoint` that TensorFlow writes next
to its weights is not read, because it contains absolute paths of another machine.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from albert.checkpoint.archives import is_archive, unpacked
from albert.checkpoint.bert_config import read_bert
from albert.checkpoint.layout import selected_model
from albert.checkpoint.weight_files import find_weights
from albert.config import CONFIG_FILE
from albert.errors import CheckpointError
from albert.hub import WEIGHT_FILES, local_path

Form = Literal["Hugging Face folder", "TensorFlow checkpoint", "TF-Hub module"]

_INDEX = ".index"
_BEST = "model.ckpt-best"
_ORIGINAL_CONFIG = "albert_config.json"
_MAX_DEPTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the files of a model are."""

    form: Form
    """The kind of files."""
    weights: Path
    """File of the weights; for a TensorFlow checkpoint the prefix of its files."""
    config: Path
    """JSON file of the shape."""
    tokenizer: Path
    """Folder where the vocabulary should be."""


@contextmanager
def opened(source: str | Path) -> Iterator[Source]:
    """Yield the model that `source` names: a path, an archive, a prefix, a Hub id or a tfhub.dev handle.

    The files of an archive are removed after the block.

    Raises:
        CheckpointError: Nothing is there, or no model, or several.
    """
    if Path(f"{source}{_INDEX}").is_file():
        yield _checkpoint(Path(source))
        return
    path = local_path(source)
    if is_archive(path):
        with unpacked(path) as folder:
            yield _find(folder, shown=path)
    else:
        yield _find(path, shown=path)


def is_model_folder(path: Path) -> bool:
    """Return whether `path` is an ALBERT in Hugging Face's layout, which needs no conversion."""
    if not ((path / CONFIG_FILE).is_file() and (path / WEIGHT_FILES[0]).is_file()):
        return False
    return read_bert(path / CONFIG_FILE) is None


def _find(path: Path, *, shown: Path) -> Source:
    """Return the model in the folder `path`, or the one that the file `path` belongs to."""
    if path.is_file():
        prefix = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))
        if Path(prefix + _INDEX).is_file():
            return _checkpoint(Path(prefix))
        raise CheckpointError(f"{shown}: no model; expected a folder, a checkpoint prefix, .tar.gz or .zip")
    for folder in _folders(selected_model(path)):
        if (folder / CONFIG_FILE).is_file() and (weights := find_weights(folder)):
            return Source(
                form="Hugging Face folder", weights=weights, config=folder / CONFIG_FILE, tokenizer=folder
            )
        if (folder / "variables" / f"variables{_INDEX}").is_file():
            return _hub_module(folder)
        if prefixes := sorted(file.with_suffix("") for file in folder.glob(f"*{_INDEX}")):
            return _checkpoint(_newest(prefixes))
    raise CheckpointError(
        f"{shown}: no model; expected {CONFIG_FILE} with {' or '.join(WEIGHT_FILES)}, *.index of TensorFlow, "
        "or variables/ of TF-Hub"
    )


def _folders(path: Path) -> Iterator[Path]:
    """Yield `path` and, if it contains only one folder, that one too: archives often have such a shell."""
    for _ in range(_MAX_DEPTH):
        yield path
        inside = [entry for entry in path.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        if len(inside) != 1 or not inside[0].is_dir():
            return
        path = inside[0]


def _newest(prefixes: list[Path]) -> Path:
    """Return the best of several checkpoints if the original marked one, else the latest."""
    for prefix in prefixes:
        if prefix.name == _BEST:
            return prefix
    steps = {prefix: re.search(r"-(\d+)$", prefix.name) for prefix in prefixes}
    if len(prefixes) > 1 and not all(steps.values()):
        names = ", ".join(prefix.name for prefix in prefixes)
        raise CheckpointError(
            f"{prefixes[0].parent}: contains several checkpoints ({names}); give one of them"
        )
    return max(prefixes, key=lambda prefix: int(found[1]) if (found := steps[prefix]) else -1)


def _checkpoint(prefix: Path) -> Source:
    """Return the checkpoint of a prefix, with the configuration and vocabulary in its folder."""
    return Source(
        form="TensorFlow checkpoint",
        weights=prefix,
        config=_config_in(prefix.parent),
        tokenizer=prefix.parent,
    )


def _hub_module(folder: Path) -> Source:
    assets = folder / "assets"
    return Source(
        form="TF-Hub module",
        weights=folder / "variables" / "variables",
        config=_config_in(assets),
        tokenizer=assets,
    )


def _config_in(folder: Path) -> Path:
    """Return the original's configuration in `folder`: by its usual name, or the only similar file.

    Raises:
        CheckpointError: There is none, or several.
    """
    if (folder / _ORIGINAL_CONFIG).is_file():
        return folder / _ORIGINAL_CONFIG
    found = sorted(path for path in folder.glob("*config*.json") if path.name != "tokenizer_config.json")
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(f"{folder}: expected {_ORIGINAL_CONFIG} next to the weights, found {names}")
    return found[0]
