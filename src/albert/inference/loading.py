"""A model with its tokenizer, ready to answer: on its device, dropout off, with every weight of its head.

Stands below the pipelines. A head that a folder lacks would answer at random, so it is an error here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from albert.checkpoint.folder import load_weights, read_architecture, read_config
from albert.conversion.conversion import model_folder
from albert.errors import CheckpointError
from albert.inference.precision import prepare_for_inference
from albert.model.linear import Dtype
from albert.model.pretrained import AlbertModel, Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albert.tasks.solver import read_tokenizer
from albert.text.tokenizer import AlbertTokenizer
from albert.training.settings import find_device

_ALIKE = (AlbertForSequenceClassification, AlbertForTokenClassification, AlbertForMultipleChoice)
"""Classes whose heads have the same names, so that weights cannot tell them apart."""


class Loaded(NamedTuple):
    """What a pipeline works with."""

    model: Any
    """Of one of the classes that were asked for."""
    tokenizer: AlbertTokenizer
    """The model's."""


def load(
    source: str | Path,
    model_classes: Sequence[type[Pretrained]],
    *,
    device: str = "auto",
    dtype: Dtype = "float32",
    task: str | None = None,
) -> Loaded:
    """Reads a model with all its weights, and its tokenizer.

    Args:
        source: A model folder, the id of a model on the Hub, or anything that can be converted.
        model_classes: Public classes that will do; the one that the folder names is taken, or else the first.
            `AlbertModel` comes without its pooler.
        device: As of `find_device`.
        dtype: Type of the matrix products; answers in int8 want `ensure_agreement` first.
        task: Task whose fine-tuning gives a model the head it may lack; None for the heads of pretraining.

    Raises:
        CheckpointError: There is no such model, or its head is not there.
        TokenizerError: Its tokenizer does not fit.
        ConfigError: There is no such device, or it does not compute in `dtype`.
    """
    place = find_device(device)
    folder = model_folder(source)
    config = read_config(folder)
    architecture = read_architecture(folder)
    named = [each for each in model_classes if each.__name__ == architecture]
    model_class = (named or model_classes)[0]
    remedy = f"albert finetune --task {task} --model {source} ..." if task else "albert pretrain ..."
    if model_class in _ALIKE and architecture in {
        each.__name__ for each in _ALIKE if each is not model_class
    }:
        raise CheckpointError(
            f"{source}: the model is an {architecture}, expected {model_class.__name__}; train one: {remedy}"
        )
    is_encoder = model_class is AlbertModel
    model = AlbertModel(config, add_pooling_layer=False) if is_encoder else model_class(config)
    missing = load_weights(model, folder, has_map=config.has_map)
    if missing:
        raise CheckpointError(
            f"{source}: the model has no {missing[0]}, so an {model_class.__name__} would answer at random; "
            f"train it first: {remedy}"
        )
    prepare_for_inference(model.to(place), dtype)
    return Loaded(model, read_tokenizer(folder, config))
