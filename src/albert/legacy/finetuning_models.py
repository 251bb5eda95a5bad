"""The model that the flags of a fine-tuning name: weights, shape and vocabulary, each from its own place.

That is why `inference.opening`, which takes all three from one folder, does not fit here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from albert.checkpoint.albert_zh import read_shape
from albert.checkpoint.folder import read_config
from albert.config import CONFIG_FILE, AlbertConfig
from albert.console import warn
from albert.conversion.conversion import model_folder, place_of_conversion
from albert.conversion.release import check_tokenizer
from albert.errors import ConfigError
from albert.inference.opening import read_tokenizer
from albert.legacy.checkpoints import find_weights
from albert.legacy.shapes import shape_file
from albert.text.tokenizer import AlbertTokenizer
from albert.writing import write_json

_SHAPE = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "num_hidden_groups",
    "inner_group_num",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_act",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """The model to start from."""

    name: str
    """Its name in the flags."""
    folder: Path
    """Folder of the configuration, and of the weights if there are any."""
    is_random: bool
    """Whether the flags name no weights."""
    config: AlbertConfig
    """The configuration of the folder."""
    tokenizer: AlbertTokenizer
    """The tokenizer of the flags, or of the TF-Hub module."""
    hidden_dropout_prob: float | None
    """Dropout inside the encoder by --albert_config_file; None for that of the folder."""


def find_model(
    *,
    checkpoint: str | None,
    config_file: str | None,
    hub: str | None,
    tokenizer: Callable[[], AlbertTokenizer],
) -> NamedModel:
    """Return the model that the flags name.

    Args:
        checkpoint: --init_checkpoint.
        config_file: --albert_config_file.
        hub: --albert_hub_module_handle: a TF-Hub folder, a handle of tfhub.dev, or a Hub id.
        tokenizer: Returns the tokenizer of the flags, for use without a module.

    Raises:
        UsageError: --init_checkpoint is empty, without a module.
        AlbertError: Something is missing, cannot be read, or belongs to another model.
    """
    if hub and checkpoint is not None and not checkpoint.strip():
        checkpoint = None  # as run_glue.sh gives it next to a module
    if config_file is not None:
        config_file = str(shape_file(Path(config_file), checkpoint))
    shape = None if config_file is None else read_shape(Path(config_file))
    module = None if not hub else model_folder(hub)
    if checkpoint is not None:
        config_path = Path(config_file) if config_file is not None else (module or Path()) / CONFIG_FILE
        folder = find_weights(checkpoint, config_path)
    else:
        assert module or (shape and config_file)
        folder = module or _folder_of_shape(shape, Path(str(config_file)))
    config = read_config(folder)
    if shape is not None:
        _check_same_shape(str(config_file), shape, config, folder)
    found = tokenizer() if module is None else read_tokenizer(module, read_config(module))
    name = checkpoint or hub or str(config_file)
    check_tokenizer(found, config.vocab_size, source=name)
    return NamedModel(
        name=name,
        folder=folder,
        is_random=checkpoint is None and module is None,
        config=config,
        tokenizer=found,
        hidden_dropout_prob=_dropout(shape),
    )


def warn_of_random(model: NamedModel) -> None:
    """Warn that a training starts from random weights, which is rarely intended."""
    if model.is_random:
        warn("neither --init_checkpoint nor a module is given, so all weights start at random")


def _folder_of_shape(shape: AlbertConfig | None, path: Path) -> Path:
    """Return a folder that holds only a configuration."""
    assert shape is not None
    folder = place_of_conversion(path, repr(shape))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG_FILE, shape.to_dict())
    return folder


def _dropout(shape: AlbertConfig | None) -> float | None:
    if shape is None or shape.hidden_dropout_prob != shape.attention_probs_dropout_prob:
        return None
    return shape.hidden_dropout_prob


def _check_same_shape(path: str, shape: AlbertConfig, config: AlbertConfig, folder: Path) -> None:
    """Check that the configuration of the flags has the shape of the weights.

    Raises:
        ConfigError: It has another shape.
    """
    # A converted model of albert_zh has no mapping from embeddings to hidden states.
    folded = not config.has_map
    for field in _SHAPE:
        if folded and field == "embedding_size":
            continue
        expected, found = getattr(shape, field), getattr(config, field)
        if expected != found:
            raise ConfigError(
                f"{path}: {field} is {expected}, but {found} in the model in {folder}; "
                "this configuration belongs to another model"
            )
