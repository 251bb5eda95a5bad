"""The model that the flags of a fine-tuning name: weights, shape and vocabulary, each from wherever it is.

Stands on `checkpoints` (weights by the original's names) and below `finetuning_job`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from albert.checkpoint.albert_zh import read_shape
from albert.checkpoint.folder import CONFIG_FILE, read_config, write_json
from albert.config import AlbertConfig
from albert.console import warn
from albert.conversion.conversion import model_folder, place_of_conversion
from albert.conversion.release import check_tokenizer
from albert.errors import ConfigError
from albert.legacy.checkpoints import find_weights
from albert.tasks.solver import read_tokenizer
from albert.text.tokenizer import AlbertTokenizer

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
    """A model to begin with."""

    name: str
    """As the flags name it."""
    folder: Path
    """Folder of the configuration, and of the weights where there are any."""
    is_random: bool
    """Whether no weights were named."""
    config: AlbertConfig
    """Of the folder."""
    tokenizer: AlbertTokenizer
    """Of the flags, or of the TF-Hub module."""
    hidden_dropout_prob: float | None
    """Dropout inside the encoder that the configuration asks for; None for that of the folder."""


def find_model(
    *,
    checkpoint: str | None,
    config_file: str | None,
    hub: str | None,
    tokenizer: Callable[[], AlbertTokenizer],
) -> NamedModel:
    """Returns the model that the flags name.

    Args:
        checkpoint: --init_checkpoint.
        config_file: --albert_config_file.
        hub: --albert_hub_module_handle: a TF-Hub folder, a handle of tfhub.dev, an id of the Hub.
        tokenizer: Reads the vocabulary of the flags, where no module brings its own.

    Raises:
        UsageError: --init_checkpoint is empty.
        AlbertError: Something is missing, cannot be read, or belongs to another model.
    """
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
    pieces = tokenizer() if module is None else read_tokenizer(module, read_config(module))
    name = checkpoint or hub or str(config_file)
    check_tokenizer(pieces, config.vocab_size, source=name)
    return NamedModel(
        name=name,
        folder=folder,
        is_random=checkpoint is None and module is None,
        config=config,
        tokenizer=pieces,
        hidden_dropout_prob=_dropout(shape),
    )


def warn_of_random(model: NamedModel) -> None:
    """Says that a training begins with random weights, which is hardly what is wanted."""
    if model.is_random:
        warn("neither --init_checkpoint nor a module is given, so all weights begin at random")


def _folder_of_shape(shape: AlbertConfig | None, path: Path) -> Path:
    """Returns a folder that holds nothing but a configuration."""
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
    """Compares the configuration of the flags with that of the weights.

    Raises:
        ConfigError: They differ.
    """
    # A converted model of albert_zh has no map from embeddings to states.
    folded = not config.has_map
    for field in _SHAPE:
        if folded and field == "embedding_size":
            continue
        expected, found = getattr(shape, field), getattr(config, field)
        if expected != found:
            raise ConfigError(
                f"{path}: {field} is {expected}, that of the model in {folder} is {found}; "
                "this configuration belongs to another model"
            )
