"""`pipeline(task, model=...)`: one call from text to answer, with transformers' names and output fields.

The door to the pipelines, each of which stands in a module of its own. Inputs are sorted by length and
computed end to end, so their different lengths cost nothing; answers come in the order of the inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from albert.errors import ConfigError, did_you_mean
from albert.inference.feature_extraction import FeatureExtractionPipeline
from albert.inference.fill_mask import FillMaskPipeline
from albert.inference.loading import load
from albert.inference.multiple_choice import MultipleChoicePipeline
from albert.inference.question_answering import QuestionAnsweringPipeline
from albert.inference.text_classification import TextClassificationPipeline
from albert.inference.token_classification import TokenClassificationPipeline
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.linear import Dtype
from albert.model.pretrained import AlbertForMaskedLM, AlbertModel, Pretrained
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What a pipeline is made of."""

    make: Callable[..., Any]
    """Takes a model and its tokenizer."""
    model_classes: tuple[type[Pretrained], ...]
    """The models it can work with; the first whose head is there is taken."""
    trained_by: str | None
    """Kind of task whose fine-tuning gives a model the head; None for heads of pretraining."""


_PIPELINES = {
    "fill-mask": _Kind(make=FillMaskPipeline, model_classes=(AlbertForMaskedLM,), trained_by=None),
    "feature-extraction": _Kind(
        make=FeatureExtractionPipeline, model_classes=(AlbertModel,), trained_by=None
    ),
    "text-classification": _Kind(
        make=TextClassificationPipeline,
        model_classes=(AlbertForSequenceClassification,),
        trained_by="classification",
    ),
    "token-classification": _Kind(
        make=TokenClassificationPipeline, model_classes=(AlbertForTokenClassification,), trained_by="tagging"
    ),
    "question-answering": _Kind(
        make=QuestionAnsweringPipeline,
        model_classes=(AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch),
        trained_by="squad1",
    ),
    "multiple-choice": _Kind(
        make=MultipleChoicePipeline, model_classes=(AlbertForMultipleChoice,), trained_by="choice"
    ),
}
_OTHER_NAMES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
"""Names by which transformers knows some of them, too."""


def pipeline(task: str, model: str | Path, *, device: str = "auto", dtype: Dtype = "float32") -> Any:
    """Returns a pipeline from a trained model.

    Args:
        task: `fill-mask`, `feature-extraction`, `text-classification`, `token-classification`,
            `question-answering` or `multiple-choice`.
        model: A model folder with its tokenizer, the id of a model on the Hub, or anything that
            `albert convert` takes.
        device: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.
        dtype: Type of the matrix products: `float32`; `bf16`, for devices that have it; `int8`, for CPUs. The
            first inputs to come are computed in float32, too, and where int8 differs too much, they are an
            error.

    Raises:
        ConfigError: There is no such pipeline, device or type.
        CheckpointError: `model` is no model, or has no head for this.
        TokenizerError: Its tokenizer does not fit.
    """
    name = _OTHER_NAMES.get(task, task)
    if name not in _PIPELINES:
        known = list(_PIPELINES)
        raise ConfigError(f"no pipeline {task!r}; known are {', '.join(known)}{did_you_mean(task, known)}")
    if dtype not in get_args(Dtype):
        raise ConfigError(f"dtype is {dtype!r}; expected {', '.join(get_args(Dtype))}")
    kind = _PIPELINES[name]
    return kind.make(*load(model, kind.model_classes, device=device, dtype=dtype, task=kind.trained_by))
