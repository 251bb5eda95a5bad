"""ALBERT from raw text to use: the public names, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from albert.distribution import VERSION as __version__  # noqa: N811 - where tools look for it

if TYPE_CHECKING:
    from albert.config import AlbertConfig as AlbertConfig
    from albert.inference.pipelines import pipeline as pipeline
    from albert.model.albert_model import AlbertModel as AlbertModel
    from albert.model.answer_models import AlbertForQuestionAnswering as AlbertForQuestionAnswering
    from albert.model.answer_models import (
        AlbertForQuestionAnsweringBeamSearch as AlbertForQuestionAnsweringBeamSearch,
    )
    from albert.model.language_models import AlbertForMaskedLM as AlbertForMaskedLM
    from albert.model.language_models import AlbertForPreTraining as AlbertForPreTraining
    from albert.model.task_models import AlbertForMultipleChoice as AlbertForMultipleChoice
    from albert.model.task_models import (
        AlbertForSequenceClassification as AlbertForSequenceClassification,
    )
    from albert.model.task_models import AlbertForTokenClassification as AlbertForTokenClassification
    from albert.text.tokenizer import AlbertTokenizer as AlbertTokenizer

_MODULE_OF_NAME = {
    "AlbertConfig": "albert.config",
    "AlbertForMaskedLM": "albert.model.language_models",
    "AlbertForMultipleChoice": "albert.model.task_models",
    "AlbertForPreTraining": "albert.model.language_models",
    "AlbertForQuestionAnswering": "albert.model.answer_models",
    "AlbertForQuestionAnsweringBeamSearch": "albert.model.answer_models",
    "AlbertForSequenceClassification": "albert.model.task_models",
    "AlbertForTokenClassification": "albert.model.task_models",
    "AlbertModel": "albert.model.albert_model",
    "AlbertTokenizer": "albert.text.tokenizer",
    "pipeline": "albert.inference.pipelines",
}

__all__ = ["__version__", *_MODULE_OF_NAME]  # noqa: PLE0604 - keys are strings; the list stands once


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'albert' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF_NAME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
