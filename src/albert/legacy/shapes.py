"""The file of a model's shape, as --albert_config_file or --bert_config_file name it, made whole.

Files that albert_zh shipped have keys and gaps of their own: `ln_type`, and for the models of the original's
family an `embedding_size` that is missing or not that of the weights.
"""

import json
from pathlib import Path
from typing import Any

from absl.flags import FlagValues

from albert.checkpoint.albert_zh import albert_zh_config
from albert.checkpoint.names import HUB_PREFIX, family_of
from albert.checkpoint.tensorflow import TensorBundle
from albert.config import CONFIG_FILE
from albert.console import say
from albert.conversion.conversion import place_of_conversion
from albert.errors import CheckpointError, UsageError
from albert.writing import write_json

_TABLE = "bert/embeddings/word_embeddings"


def config_file_of(flags: FlagValues) -> str | None:
    """Return the file of the shape, by whichever of its two flags is given.

    Raises:
        UsageError: Both are given, and differ.
    """
    given = [
        str(flags[name].value)
        for name in ("albert_config_file", "bert_config_file")
        if name in flags and flags[name].value
    ]
    if len(set(given)) > 1:
        raise UsageError("--albert_config_file and --bert_config_file name two files; give one of them")
    return given[0] if given else None


def shape_file(path: Path, checkpoint: str | None) -> Path:
    """Return a file of the shape that every reader here takes: the given one, or a completed copy.

    Args:
        path: The file that the flags name.
        checkpoint: --init_checkpoint.

    Raises:
        CheckpointError: The shape is that of albert_zh's pre-LN variant, or the checkpoint is damaged.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return path  # whoever reads it reports what is wrong
    if not isinstance(content, dict):
        return path
    changed = _with_width(content, path, checkpoint)
    if "ln_type" in changed and not _is_albert_zh(checkpoint):
        albert_zh_config(changed)  # refuses the pre-LN variant
        del changed["ln_type"]
        say(
            f"{path}: read as the original's ALBERT, whose embeddings of width "
            f"{changed.get('embedding_size')} are mapped to {changed.get('hidden_size')} after all three are "
            "added"
        )
    if changed == content:
        return path
    folder = place_of_conversion(path, json.dumps(changed, sort_keys=True))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG_FILE, changed)
    return folder / CONFIG_FILE


def _with_width(content: dict[str, Any], path: Path, checkpoint: str | None) -> dict[str, Any]:
    """Return the content with the width of the embeddings that the checkpoint has, if it has one."""
    bundle = _bundle(checkpoint)
    entry = None
    if bundle is not None:
        entry = bundle.entries.get(_TABLE) or bundle.entries.get(HUB_PREFIX + _TABLE)
    if entry is None or len(entry.shape) != 2 or content.get("embedding_size") == entry.shape[1]:
        return dict(content)
    found = content.get("embedding_size", "missing")
    say(f"{path}: embedding_size is {found}; using {entry.shape[1]}, the width of the weights")
    return {**content, "embedding_size": entry.shape[1]}


def _is_albert_zh(checkpoint: str | None) -> bool:
    bundle = _bundle(checkpoint)
    try:
        return bundle is not None and family_of(bundle.entries) == "albert_zh"
    except CheckpointError:
        return False  # whoever reads the weights reports what is wrong


def _bundle(checkpoint: str | None) -> TensorBundle | None:
    """Return the TensorFlow checkpoint of a prefix; None for any other model."""
    is_prefix = bool(checkpoint) and Path(f"{checkpoint}.index").is_file()
    return TensorBundle(Path(str(checkpoint))) if is_prefix else None
