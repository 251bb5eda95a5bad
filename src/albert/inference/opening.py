"""The one way to open a trained model, for pipelines, commands, reports and the original's scripts.

Opening is strict: a head that the folder lacks would predict at random, so it is an error that names the
command which trains it. Whether the head is there is read from the names and shapes in the file of weights,
before any weight is loaded. `Pretrained.from_pretrained` is lenient and starts missing heads at random.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from albert.checkpoint.expected import is_encoder, tensor_shapes
from albert.checkpoint.folder import (
    WEIGHTS_FILE,
    load_weights,
    read_architecture,
    read_config,
)
from albert.checkpoint.names import named_as_ours
from albert.checkpoint.weight_files import find_weights, stored_shapes
from albert.choices import Dtype
from albert.config import AlbertConfig
from albert.conversion.conversion import model_folder
from albert.conversion.depth import at_depth
from albert.conversion.release import check_tokenizer
from albert.errors import CheckpointError, ConfigError
from albert.inference.precision import prepare_precision
from albert.model.albert_model import AlbertModel
from albert.model.pretrained import Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albert.text.tokenizer import AlbertTokenizer
from albert.training.devices import find_device

_LOOKALIKES = (AlbertForSequenceClassification, AlbertForTokenClassification, AlbertForMultipleChoice)
"""Classes whose heads have the same tensor names, so that only config.json tells them apart."""


class OpenedModel(NamedTuple):
    """A model that is ready to predict, with its tokenizer."""

    model: Any
    """Of one of the classes asked for, on its device, dropout off, in the precision asked for."""
    tokenizer: AlbertTokenizer
    """The model's."""


def open_model(
    source: str | Path,
    model_classes: Sequence[type[Pretrained]],
    *,
    device: str = "auto",
    dtype: Dtype = "float32",
    trained_by: str | None = None,
    tokenizer: AlbertTokenizer | None = None,
    depth: int | None = None,
) -> OpenedModel:
    """Open a trained model with all its weights, and its tokenizer.

    Args:
        source: A model folder, the id of a model on the Hub, or anything that can be converted.
        model_classes: Public classes to choose from; the first whose head the folder holds is taken.
            `AlbertModel` comes without its pooler.
        device: Name for `find_device`.
        dtype: Type of the matrix products; call `ensure_agreement` before predicting in int8.
        trained_by: Task whose fine-tuning trains the head, for the error message; None for the heads of
            pretraining.
        tokenizer: The model's, where the folder has none, or another.
        depth: Number of layers that are used, from the first on; None for all.

    Raises:
        CheckpointError: There is no such model, or it lacks the head.
        TokenizerError: The tokenizer belongs to another model.
        ConfigError: There is no such device, or it does not compute in `dtype`.
    """
    place = find_device(device)
    folder = model_folder(source)
    config = at_depth(read_config(folder), depth, folder)
    remedy = "albert pretrain ..."
    if trained_by is not None:
        remedy = f"albert finetune --task {trained_by} --model {source} ..."
    model_class = _class_with_head(folder, config, model_classes, source=str(source), remedy=remedy)
    if tokenizer is None:
        tokenizer = read_tokenizer(folder, config)
    else:
        check_tokenizer(tokenizer, config.vocab_size, source=str(folder))
    model = load_model(folder, model_class, config)
    prepare_precision(model.to(place), dtype)
    return OpenedModel(model, tokenizer)


def load_model(folder: Path, model_class: type[Pretrained], config: AlbertConfig) -> Pretrained:
    """Return a model of `model_class` with the weights of a model folder, none of them random.

    Raises:
        CheckpointError: The folder lacks some of the weights, or they have other shapes.
    """
    is_encoder_alone = model_class is AlbertModel
    model = (
        AlbertModel(config, add_pooling_layer=False)
        if is_encoder_alone
        else model_class.of_folder(config, folder)
    )
    missing = load_weights(model, folder, has_map=config.has_map)
    if missing:
        raise CheckpointError(
            f"{folder}: the weights have no {missing[0]} of {model_class.__name__}, so the model would "
            "predict at random; give a model that was fine-tuned for the task"
        )
    return model


def has_head(folder: Path, model_class: type[Pretrained], config: AlbertConfig) -> bool:
    """Whether a model folder holds the head of `model_class` with the shapes of `config`.

    Raises:
        CheckpointError: It has no weights at all, or damaged ones.
    """
    return _missing_of_head(_stored_shapes(folder), model_class, config) is None


def read_tokenizer(folder: Path, config: AlbertConfig) -> AlbertTokenizer:
    """Read the tokenizer of a model folder with `config`.

    Raises:
        TokenizerError: There is none, or it belongs to another model.
    """
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    check_tokenizer(tokenizer, config.vocab_size, source=str(folder))
    return tokenizer


def sequence_length(
    given: int | None, config: AlbertConfig, *, default: int, setting: str = "--max-seq-length"
) -> int:
    """Return the number of tokens to which sequences are cut: `given`, or else `default`.

    The default shrinks to the positions of the model; `setting` names what was given in the error message.

    Raises:
        ConfigError: The model has fewer positions than `given`.
    """
    positions = config.max_position_embeddings
    if given is not None and given > positions:
        raise ConfigError(f"{setting} is {given}, but the model has {positions} positions; lower it")
    return min(default, positions) if given is None else given


def _class_with_head(
    folder: Path, config: AlbertConfig, model_classes: Sequence[type[Pretrained]], *, source: str, remedy: str
) -> type[Pretrained]:
    """Return the first of `model_classes` whose head a model folder holds.

    Raises:
        CheckpointError: It holds none of them, or names another class with the same tensor names; the message
            names the model as `source` and ends with `remedy`.
    """
    architecture = read_architecture(folder)
    lookalikes = {each.__name__ for each in _LOOKALIKES if each not in model_classes}
    if architecture in lookalikes and set(model_classes) & set(_LOOKALIKES):
        names = " or ".join(each.__name__ for each in model_classes)
        raise CheckpointError(
            f"{source}: the model is an {architecture}, expected {names}; train one: {remedy}"
        )
    shapes = _stored_shapes(folder)
    missing = []
    for model_class in model_classes:
        tensor = _missing_of_head(shapes, model_class, config)
        if tensor is None:
            return model_class
        missing.append(f"no {tensor} of {model_class.__name__}")
    raise CheckpointError(
        f"{source}: the weights have {' and '.join(missing)}, so the model would predict at random; "
        f"train it first: {remedy}"
    )


def _missing_of_head(
    shapes: Mapping[str, tuple[int, ...]], model_class: type[Pretrained], config: AlbertConfig
) -> str | None:
    """Return the first tensor of the head, pooler included, that `shapes` lacks; None if it is complete."""
    if model_class is AlbertModel:
        return None  # It is opened without its pooler.
    for name, shape in tensor_shapes(model_class.__name__, config).items():
        if not is_encoder(name) and shapes.get(name) != shape:
            return f"{name} {shape}"
    return None


def _stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a model folder under our names.

    Raises:
        CheckpointError: The file of weights is missing or damaged.
    """
    return named_as_ours(stored_shapes(find_weights(folder) or folder / WEIGHTS_FILE))
