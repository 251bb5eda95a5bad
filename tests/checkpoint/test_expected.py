"""The tensors that are expected of a class are those it has."""

import pytest

from albert.checkpoint.expected import architecture_of, tensor_shapes
from albert.config import AlbertConfig
from albert.errors import CheckpointError
from albert.model.albert_model import AlbertModel
from albert.model.answer_models import AlbertForQuestionAnswering, AlbertForQuestionAnsweringBeamSearch
from albert.model.language_models import AlbertForMaskedLM, AlbertForPreTraining
from albert.model.pretrained import Pretrained
from albert.model.similarity import AlbertForSimilarity
from albert.model.task_models import (
    AlbertForMultipleChoice,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
)
from samples.teachers import teacher_config

CLASSES: tuple[type[Pretrained], ...] = (
    AlbertModel,
    AlbertForPreTraining,
    AlbertForMaskedLM,
    AlbertForSequenceClassification,
    AlbertForMultipleChoice,
    AlbertForTokenClassification,
    AlbertForQuestionAnswering,
    AlbertForQuestionAnsweringBeamSearch,
    AlbertForSimilarity,
)
CONFIGS = (
    teacher_config(),
    teacher_config(embedding_size=16, num_hidden_groups=2, inner_group_num=2, num_labels=5),
)


@pytest.mark.parametrize("config", CONFIGS, ids=["without map", "with map"])
@pytest.mark.parametrize("model_class", CLASSES)
def test_names_order_and_shapes_are_those_of_the_class(
    model_class: type[Pretrained], config: AlbertConfig
) -> None:
    state = model_class(config).state_dict()
    expected = tensor_shapes(model_class.__name__, config)
    assert [*expected.items()] == [(name, tuple(tensor.shape)) for name, tensor in state.items()]


@pytest.mark.parametrize("model_class", [kind for kind in CLASSES if kind is not AlbertForSimilarity])
def test_the_class_is_told_by_its_tensors(model_class: type[Pretrained]) -> None:
    alike = {"AlbertForTokenClassification": "AlbertForSequenceClassification"}
    name = model_class.__name__
    assert architecture_of(tensor_shapes(name, CONFIGS[1])) == alike.get(name, name)


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no model 'AlbertForDreams'; known are AlbertModel, "):
        tensor_shapes("AlbertForDreams", CONFIGS[0])
