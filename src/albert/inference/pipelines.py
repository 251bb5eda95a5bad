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

from albert.errors import ConfigError, did_you_mean
from albert.inference.feature_extraction import FeatureExtractionPipeline
from albert.inference.fill_mask import FillMaskPipeline
from albert.inference.multiple_choice import MultipleChoicePipeline
from albert.inference.opening import open_model
from albert.inference.question_answering import QuestionAnsweringPipeline
from albert.inference.text_classification import TextClassificationPipeline
from albert.inference.token_classification import TokenClassificationPipeline
from albert.model.albert_model import AlbertModel
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.language_models import AlbertForMaskedLM
from albert.model.linear import Dtype
from albert.model.pretrained import Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """How a pipeline is made."""

    make: Callable[..., Any]
    """Returns the pipeline of a model and its tokenizer."""
    model_classes: tuple[type[Pretrained], ...]
    """The models it can use; the first whose head the folder holds is opened."""
    trained_by: str | None
    """Task whose fine-tuning trains the head; None for the heads of pretraining."""


_ENTRIES = (
    _Entry(FillMaskPipeline, (AlbertForMaskedLM,), None),
    _Entry(FeatureExtractionPipeline, (AlbertModel,), None),
    _Entry(TextClassificationPipeline, (AlbertForSequenceClassification,), "classification"),
    _Entry(TokenClassificationPipeline, (AlbertForTokenClassification,), "tagging"),
    _Entry(
        QuestionAnsweringPipeline,
        (AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch),
        "squad1",
    ),
    _Entry(MultipleChoicePipeline, (AlbertForMultipleChoice,), "choice"),
)
_PIPELINES = {entry.model_classes[0].pipeline_task: entry for entry in _ENTRIES}
_OTHER_NAMES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
"""Second names that transformers has for some pipelines."""


def pipeline(task: str, model: str | Path, *, device: str = "auto", dtype: Dtype = "float32") -> Any:
    """Return the pipeline `task` with a trained model.

    Args:
        task: `fill-mask`, `feature-extraction`, `text-classification`, `token-classification`,
            `question-answering` or `multiple-choice`.
        model: A model folder with its tokenizer, the id of a model on the Hub, or anything that
            `albert convert` takes.
        device: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.
        dtype: Type of the matrix products: `float32`; `bf16`, for devices that have it; `int8`, for CPUs. In
            int8 the first inputs are also computed in float32, and too large a difference is an error.

    Raises:
        ConfigError: There is no such pipeline, device or type.
        CheckpointError: `model` names no model, or one without the head.
        TokenizerError: The tokenizer belongs to another model.
    """
    name = _OTHER_NAMES.get(task, task)
    if name not in _PIPELINES:
        known = list(_PIPELINES)
        raise ConfigError(f"no pipeline {task!r}; known are {', '.join(known)}{did_you_mean(task, known)}")
    if dtype not in get_args(Dtype):
        raise ConfigError(f"dtype is {dtype!r}; expected {', '.join(get_args(Dtype))}")
    entry = _PIPELINES[name]
    opened = open_model(model, entry.model_classes, device=device, dtype=dtype, trained_by=entry.trained_by)
    return entry.make(opened.model, opened.tokenizer)
