"""Model folders without a vocabulary, from weights and a configuration that are in different places.

The scripts of the original take a checkpoint and `--albert_config_file`, each from anywhere, and read token
ids. A folder without a vocabulary works for them and for nothing else.
"""

import json
import re
import tempfile
from pathlib import Path

from albert.checkpoint.albert_zh import read_shape
from albert.checkpoint.folder import write_model
from albert.checkpoint.layout import STATE_FILE
from albert.checkpoint.snapshots import read_snapshot_weights
from albert.checkpoint.sources import Source, is_model_folder, opened
from albert.checkpoint.tensorflow import TensorBundle
from albert.config import AlbertConfig
from albert.console import say
from albert.conversion.conversion import place_of_conversion, read_model
from albert.writing import move_finished


def bare_folder(source: Path, config: Path, *, own_groups: bool = False) -> Path:
    """Return a model folder with the weights at `source`, which are converted once if necessary.

    Args:
        source: A model folder, a TensorFlow prefix, or a checkpoint of a training.
        config: JSON file with the shape, if the weights come without one.
        own_groups: Whether the weights may have other groups of layers than `config` says.

    Raises:
        CheckpointError: The weights cannot be read, or are not of the configured shape.
        ConfigError: The configuration cannot be used.
    """
    if is_model_folder(source):
        return source
    content = read_shape(config)
    target = place_of_conversion(source, repr(content), repr(own_groups))
    if not is_model_folder(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:
            made = Path(folder) / "model"
            write_bare_folder(source, config, made, own_groups=own_groups)
            move_finished(made, target, is_whole=is_model_folder)
    return target


def write_bare_folder(source: Path, config: Path, output: Path, *, own_groups: bool = False) -> AlbertConfig:
    """Write configuration and weights to `output`, and return the former; for arguments see `bare_folder`.

    Raises:
        CheckpointError: The weights cannot be read, or are not of the configured shape.
        ConfigError: The configuration cannot be used.
    """
    if (source / STATE_FILE).is_file():
        shape = read_shape(config)
        write_model(output, shape, read_snapshot_weights(source), architecture="AlbertForPreTraining")
        return shape
    if not Path(f"{source}.index").is_file():
        with opened(source) as found:
            return _write(found, output)
    with tempfile.TemporaryDirectory() as folder:
        if own_groups:
            config = _with_groups_of(source, config, Path(folder))
        found = Source(form="TensorFlow checkpoint", weights=source, config=config, tokenizer=source.parent)
        return _write(found, output)


def _write(source: Source, output: Path) -> AlbertConfig:
    model = read_model(source)
    say(f"{source.weights}: {model.about.account}")
    write_model(output, model.config, model.state, architecture=model.architecture.__name__)
    return model.config


def _with_groups_of(prefix: Path, config: Path, folder: Path) -> Path:
    """Write the configuration with as many groups of layers as a checkpoint has, and return its path."""
    AlbertConfig.from_json(config)  # an error in it is reported under its own name
    groups = [
        int(found[1]) for name in TensorBundle(prefix).entries if (found := re.search(r"/group_(\d+)/", name))
    ]
    content = json.loads(config.read_text(encoding="utf-8"))
    path = folder / config.name
    path.write_text(
        json.dumps({**content, "num_hidden_groups": 1 + max(groups, default=0)}), encoding="utf-8"
    )
    return path
