"""`pipeline(task, model=...)`: one call from text to prediction, with transformers' names and output fields.

Each pipeline is a module of its own. Inputs are sorted by length and computed end to end without padding, so
differing lengths cost nothing; predictions come in the order of the inputs.

A special token spelled in an input, such as "[SEP]", is plain text, as in `albert predict`; transformers
reads it as the special token. Only `fill-mask` reads "[MASK]" as the mask.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from albert.checkpoint.folder import read_architecture
from albert.choices import Dtype
from albert.conversion.conversion import model_folder
from albert.conversion.release import check_tokenizer
from albert.errors import ConfigError, did_you_mean
from albert.inference.embedding import Embedder
from albert.inference.feature_extraction import FeatureExtractionPipeline
from albert.inference.fill_mask import FillMaskPipeline
from albert.inference.multiple_choice import MultipleChoicePipeline
from albert.inference.opening import OpenedModel, open_model, sequence_length
from albert.inference.pipeline_base import Pipeline
from albert.inference.precision import prepare_precision
from albert.inference.question_answering import QuestionAnsweringPipeline
from albert.inference.sentence_similarity import SentenceSimilarityPipeline
from albert.inference.text_classification import TextClassificationPipeline
from albert.inference.token_classification import TokenClassificationPipeline
from albert.inference.zero_shot import ZeroShotClassificationPipeline
from albert.model.albert_model import AlbertModel
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.language_models import AlbertForMaskedLM, AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from albert.text.tokenizer import AlbertTokenizer
from albert.training.devices import find_device


@dataclass(frozen=True, slots=True)
class _Entry:
    """How a pipeline is made."""

    make: Callable[..., Pipeline]
    """Returns the pipeline of a model, its tokenizer and options."""
    model_classes: tuple[type[Pretrained], ...]
    """The models it can use; the first whose head the folder holds is opened."""
    trained_by: str | None
    """Task whose fine-tuning trains the head; None for the heads of pretraining."""


_PIPELINES = {
    "fill-mask": _Entry(FillMaskPipeline, (AlbertForMaskedLM,), None),
    "feature-extraction": _Entry(FeatureExtractionPipeline, (AlbertModel,), None),
    "text-classification": _Entry(
        TextClassificationPipeline, (AlbertForSequenceClassification,), "classification"
    ),
    "token-classification": _Entry(TokenClassificationPipeline, (AlbertForTokenClassification,), "tagging"),
    "question-answering": _Entry(
        QuestionAnsweringPipeline,
        (AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch),
        "squad1",
    ),
    "multiple-choice": _Entry(MultipleChoicePipeline, (AlbertForMultipleChoice,), "choice"),
    "zero-shot-classification": _Entry(
        ZeroShotClassificationPipeline, (AlbertForSequenceClassification,), "mnli"
    ),
}
_SIMILARITY = "sentence-similarity"
_OTHER_NAMES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
"""Second names that transformers has for some pipelines."""
_DTYPES: dict[Any, Dtype] = {
    None: "float32",
    "auto": "float32",
    "bfloat16": "bf16",
    torch.float32: "float32",
    torch.bfloat16: "bf16",
    torch.int8: "int8",
}
"""Other names of the types of products."""
WITHOUT_EFFECT: dict[str, str] = {
    "feature_extractor": "is for sounds and images",
    "framework": "models are those of PyTorch",
    "image_processor": "is for images",
    "processor": "is for sounds and images",
    "trust_remote_code": "code in a model folder is never run",
    "use_fast": "there is one tokenizer",
    "video_processor": "is for films",
}
"""Arguments of transformers' `pipeline` that change nothing here, and why."""
REFUSED: dict[str, str] = {
    "cache_dir": "give a model object, made with from_pretrained and this argument",
    "code_revision": "code in a model folder is never run",
    "config": "the folder's is used; to change it, give a model object",
    "local_files_only": "give a model object, made with from_pretrained and this argument",
    "model_kwargs": "give a model object, made with from_pretrained and these arguments",
    "pipeline_class": "call the class itself",
    "revision": "give a model object, made with from_pretrained and this argument",
    "token": "log in with hf auth login, or give a model object",
}
"""Arguments of transformers' `pipeline` that would change something, and what to do instead."""


def pipeline(
    task: str | None = None,
    model: str | Path | Pretrained | None = None,
    *,
    tokenizer: str | Path | AlbertTokenizer | None = None,
    device: str | int | torch.device = "auto",
    dtype: Dtype | torch.dtype | str | None = "float32",
    depth: int | None = None,
    **options: Any,
) -> Any:
    """Return the pipeline `task` with a trained model.

    Args:
        task: `fill-mask`, `feature-extraction`, `text-classification`, `token-classification`,
            `question-answering`, `multiple-choice`, `zero-shot-classification` or `sentence-similarity`; if
            not given, what the model was trained for.
        model: A model folder with its tokenizer, the id of a model on the Hub, or anything that
            `albert convert` takes; or a model, with its tokenizer.
        tokenizer: The model's, where it is not in the folder.
        device: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one. Or the number of a GPU, -1 for
            the CPU.
        dtype: Type of the matrix products: `float32`; `bf16`, for devices that have it; `int8`, for CPUs. In
            int8 the first inputs are also computed in float32, and too large a difference is an error.
        depth: Number of layers that are used, from the first on; None for all. Not for model objects.
        options: Options of the calls, which a call can replace, such as `top_k`, `aggregation_strategy` or
            `batch_size`. `device_map` is a second name of `device`. docs/api.md lists the others.

    Raises:
        ConfigError: There is no such pipeline, device, type or option.
        CheckpointError: `model` names no model, or one without the head.
        TokenizerError: The tokenizer belongs to another model.
    """
    place = _device_of(options.pop("device_map", None) or device)
    dtype = _dtype_of(options.pop("torch_dtype", dtype))
    for argument, remedy in REFUSED.items():
        if options.pop(argument, None) is not None:
            raise ConfigError(f"pipeline has no argument {argument!r}: {remedy}")
    options = {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}
    if model is None:
        raise ConfigError("pipeline needs model=, a folder or the id of a model: there is no default model")
    name = _name_of(task, model)
    if name == _SIMILARITY:
        return SentenceSimilarityPipeline(_embedder(model, tokenizer, place, dtype, depth), **options)
    entry = _PIPELINES[name]
    opened = _open(model, tokenizer, entry, place=place, dtype=dtype, depth=depth)
    return entry.make(opened.model, opened.tokenizer, **options)


def _name_of(task: str | None, model: str | Path | Pretrained) -> str:
    """Return the name of a pipeline, by the model if it is not given."""
    if task is None:
        if isinstance(model, Pretrained):
            return model.pipeline_task
        architecture = read_architecture(model_folder(model))
        classes = {c.__name__: name for name, entry in _PIPELINES.items() for c in entry.model_classes}
        classes[AlbertForPreTraining.__name__] = AlbertForPreTraining.pipeline_task
        # The last pipeline of a class is a second use of it.
        classes[AlbertForSequenceClassification.__name__] = AlbertForSequenceClassification.pipeline_task
        if architecture not in classes:
            raise ConfigError(f"{model}: config.json names no task; give one: {', '.join(_PIPELINES)}")
        return classes[architecture]
    name = _OTHER_NAMES.get(task, task)
    known = [*_PIPELINES, _SIMILARITY]
    if name not in known:
        raise ConfigError(f"no pipeline {task!r}; known are {', '.join(known)}{did_you_mean(task, known)}")
    return name


def _open(
    model: str | Path | Pretrained,
    tokenizer: str | Path | AlbertTokenizer | None,
    entry: _Entry,
    *,
    place: str,
    dtype: Dtype,
    depth: int | None = None,
) -> OpenedModel:
    """Return the model of a pipeline, opened or as it is given, with its tokenizer."""
    own = None if tokenizer is None else _tokenizer_of(tokenizer)
    if isinstance(model, str | Path):
        return open_model(
            model,
            entry.model_classes,
            device=place,
            dtype=dtype,
            trained_by=entry.trained_by,
            tokenizer=own,
            depth=depth,
        )
    if depth is not None:
        raise ConfigError("depth is for the name of a model, not for an object; give its folder")
    given: Any = model
    if entry.model_classes == (AlbertModel,) and isinstance(model, Pretrained):
        given = model.base_model
    if not isinstance(given, entry.model_classes):
        expected = " or ".join(each.__name__ for each in entry.model_classes)
        raise ConfigError(
            f"the pipeline needs a model of the class {expected} of this package, found "
            f"{type(model).__module__.split('.')[0]}'s {type(model).__name__}; give its folder"
        )
    if own is None:
        raise ConfigError("a model object comes without its tokenizer; give tokenizer=, too")
    check_tokenizer(own, given.config.vocab_size, source=model.name_or_path or type(model).__name__)
    if place != "auto":
        given.to(find_device(place))
    prepare_precision(given, dtype)
    return OpenedModel(given, own)


def _embedder(
    model: str | Path | Pretrained,
    tokenizer: str | Path | AlbertTokenizer | None,
    place: str,
    dtype: Dtype,
    depth: int | None,
) -> Embedder:
    """Return the encoder of sentences, with the pooling of its folder; for an object, the mean."""
    if isinstance(model, str | Path):
        if tokenizer is not None:
            raise ConfigError(f"{_SIMILARITY} uses the tokenizer of the folder; leave tokenizer= out")
        return Embedder.open(model, device=place, dtype=dtype, depth=depth)
    opened = _open(model, tokenizer, _PIPELINES["feature-extraction"], place=place, dtype=dtype, depth=depth)
    length = sequence_length(None, opened.model.config, default=opened.tokenizer.model_max_length)
    return Embedder(model=opened.model, tokenizer=opened.tokenizer, max_seq_length=length)


def _tokenizer_of(given: Any) -> AlbertTokenizer:
    if isinstance(given, AlbertTokenizer):
        return given
    if isinstance(given, str | Path):
        return AlbertTokenizer.from_pretrained(given)
    raise ConfigError(
        f"tokenizer is {type(given).__module__.split('.')[0]}'s {type(given).__name__}; expected a folder, "
        "or an AlbertTokenizer of this package: AlbertTokenizer.from_pretrained(folder)"
    )


def _device_of(given: str | int | torch.device) -> str:
    """Return the name of a device, which transformers also counts: -1 is the CPU."""
    if isinstance(given, int):
        return "cpu" if given < 0 else f"cuda:{given}"
    return str(given)


def _dtype_of(given: Any) -> Dtype:
    known = get_args(Dtype)
    found = _DTYPES.get(given, given)
    if found not in known:
        raise ConfigError(f"dtype is {given!r}; expected {', '.join(known)}")
    return found
