"""What people type: the arguments and results of every public class are those of transformers."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import albert
from albert.errors import DataError
from albert.model.outputs import LogitsOutput

SHAPE = {
    "vocab_size": 31,
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "initializer_range": 0.3,
}
IDS = torch.tensor([[2, 7, 9, 12, 3, 0, 0], [2, 8, 5, 11, 20, 3, 0]])
RIGHT = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 0]])
LEFT = RIGHT.flip(1)
CLASSES = [
    "AlbertModel",
    "AlbertForMaskedLM",
    "AlbertForPreTraining",
    "AlbertForSequenceClassification",
    "AlbertForTokenClassification",
    "AlbertForQuestionAnswering",
    "AlbertForMultipleChoice",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of every class, written by transformers."""
    found = {}
    for name in CLASSES:
        torch.manual_seed(0)
        found[name] = tmp_path_factory.mktemp(name)
        config = transformers.AlbertConfig(**SHAPE)
        getattr(transformers, name)(config).save_pretrained(found[name])
    return found


def pair_of(folder: Path, name: str) -> tuple[Any, Any]:
    """Return the model of transformers, and ours."""
    theirs = getattr(transformers, name).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return theirs.eval(), getattr(albert, name).from_pretrained(folder)


def inputs_for(name: str, mask: Tensor) -> dict[str, Tensor]:
    inputs = {"input_ids": IDS, "attention_mask": mask, "token_type_ids": (IDS > 9).long()}
    if name == "AlbertForMultipleChoice":
        return {key: torch.stack([value, value.roll(1, 0)], 1) for key, value in inputs.items()}
    return inputs


def assert_equal_on_tokens(found: Tensor, expected: Tensor, mask: Tensor) -> None:
    assert found.shape == expected.shape
    torch.testing.assert_close(found[mask], expected[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mask", [RIGHT, LEFT], ids=["right", "left"])
@pytest.mark.parametrize("name", CLASSES)
def test_hidden_states_and_attentions_are_on_the_grid_of_the_caller(
    folders: dict[str, Path], name: str, mask: Tensor
) -> None:
    theirs, ours = pair_of(folders[name], name)
    inputs = inputs_for(name, mask)
    wanted = {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        expected, found = theirs(**inputs, **wanted), ours(**inputs, **wanted)
    assert list(found) == list(expected)
    real = inputs["attention_mask"].reshape(-1, IDS.shape[1]).bool()
    for state, known in zip(found.hidden_states, expected.hidden_states, strict=True):
        assert_equal_on_tokens(state, known, real)
    for state, known in zip(found.attentions, expected.attentions, strict=True):
        assert_equal_on_tokens(state, known, real[:, None, :, None].expand_as(known))


@pytest.mark.parametrize("name", CLASSES)
def test_a_result_is_a_mapping_and_a_tuple(folders: dict[str, Path], name: str) -> None:
    theirs, ours = pair_of(folders[name], name)
    inputs = inputs_for(name, RIGHT)
    with torch.no_grad():
        expected, found = theirs(**inputs), ours(**inputs)
        parts = ours(**inputs, return_dict=False)
    assert list(found.keys()) == list(expected.keys())
    assert isinstance(parts, tuple)
    assert len(parts) == len(theirs(**inputs, return_dict=False))
    by_number = [found[index] for index in range(len(found))]
    for key, part, numbered in zip(found, parts, by_number, strict=True):
        assert found[key] is getattr(found, key) is numbered
        assert torch.equal(part, numbered)
    assert found[:1] == found.to_tuple()[:1]
    assert found.hidden_states is None
    assert "hidden_states" not in found


@pytest.mark.parametrize("name", CLASSES)
def test_the_configuration_decides_what_a_call_does_not_say(folders: dict[str, Path], name: str) -> None:
    settings = {"output_hidden_states": True, "output_attentions": True, "return_dict": False}
    ours = getattr(albert, name).from_pretrained(folders[name], **settings)
    found = ours(**inputs_for(name, RIGHT))
    assert isinstance(found, tuple)
    assert [len(part) for part in found[-2:]] == [4, 3]
    assert "attentions" not in ours(**inputs_for(name, RIGHT), output_attentions=False, return_dict=True)


@pytest.mark.parametrize("name", CLASSES)
def test_embeddings_go_in_in_place_of_ids(folders: dict[str, Path], name: str) -> None:
    theirs, ours = pair_of(folders[name], name)
    inputs = inputs_for(name, RIGHT)
    embeddings = theirs.get_input_embeddings()(inputs.pop("input_ids"))
    with torch.no_grad():
        expected, found = (
            theirs(inputs_embeds=embeddings, **inputs)[0],
            ours(inputs_embeds=embeddings, **inputs)[0],
        )
    real = RIGHT.bool() if found.shape[:2] == RIGHT.shape else torch.ones(found.shape[:1], dtype=torch.bool)
    assert_equal_on_tokens(found, expected, real)


@pytest.mark.parametrize("name", CLASSES)
def test_gradients_of_what_is_returned_can_be_kept(folders: dict[str, Path], name: str) -> None:
    _, ours = pair_of(folders[name], name)
    out = ours(**inputs_for(name, RIGHT), output_hidden_states=True, output_attentions=True)
    kept = [out.hidden_states[0], out.hidden_states[-1], out.attentions[0], out.attentions[-1]]
    for tensor in kept:
        tensor.retain_grad()
    out[0].sum().backward()
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in kept[:3])


def test_positions_can_be_given(folders: dict[str, Path]) -> None:
    theirs, ours = pair_of(folders["AlbertModel"], "AlbertModel")
    inputs = inputs_for("AlbertModel", RIGHT)
    for positions in (torch.arange(7).flip(0)[None], torch.arange(14).view(2, 7)):
        with torch.no_grad():
            expected, found = theirs(**inputs, position_ids=positions), ours(**inputs, position_ids=positions)
        assert_equal_on_tokens(found[0], expected[0], RIGHT.bool())


@pytest.mark.parametrize("name", CLASSES)
def test_the_state_dict_of_transformers_is_loaded_strictly(folders: dict[str, Path], name: str) -> None:
    theirs, _ = pair_of(folders[name], name)
    ours = getattr(albert, name)(albert.AlbertConfig(**SHAPE)).eval()
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        expected, found = theirs(**inputs_for(name, RIGHT))[0], ours(**inputs_for(name, RIGHT))[0]
    real = RIGHT.bool() if found.shape[:2] == RIGHT.shape else torch.ones(found.shape[:1], dtype=torch.bool)
    assert_equal_on_tokens(found, expected, real)
    with pytest.raises(RuntimeError, match="somebody"):
        ours.load_state_dict({**theirs.state_dict(), "somebody.weight": torch.ones(1)})


def test_a_state_dict_whose_tied_copy_differs_is_refused(folders: dict[str, Path]) -> None:
    theirs, ours = pair_of(folders["AlbertForMaskedLM"], "AlbertForMaskedLM")
    state = {**theirs.state_dict(), "predictions.decoder.weight": torch.zeros(31, 8)}
    with pytest.raises(RuntimeError, match=r"predictions\.decoder\.weight differs from"):
        ours.load_state_dict(state)


@pytest.mark.parametrize("name", CLASSES)
def test_a_model_is_pickled_and_copied(folders: dict[str, Path], name: str) -> None:
    _, ours = pair_of(folders[name], name)
    inputs = inputs_for(name, RIGHT)
    with torch.no_grad():
        expected = ours(**inputs)[0]
        for copied in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
            assert torch.equal(copied(**inputs)[0], expected)


def test_an_output_is_pickled_changed_and_made_of_pairs() -> None:
    out = LogitsOutput(logits=torch.ones(2))
    again = pickle.loads(pickle.dumps(out))
    assert type(again) is LogitsOutput
    assert list(again) == ["logits"]
    out.loss = torch.zeros(())
    assert out["loss"] == 0
    assert list(LogitsOutput([("logits", 1)])) == ["logits"]
    with pytest.raises(TypeError, match="LogitsOutput has no 'logit'; it has loss, logits"):
        LogitsOutput(logit=1)
    with pytest.raises(AttributeError, match="has no 'logit'"):
        _ = out.logit


LABELS: dict[str, tuple[dict[str, Any], Tensor]] = {
    "one class of two": ({}, torch.tensor([0, 1])),
    "one class, in a column": ({}, torch.tensor([[0], [1]])),
    "one class, some ignored": ({}, torch.tensor([-100, 1])),
    "one number": ({"num_labels": 1}, torch.tensor([0.5, 2.0])),
    "one number, in a column": ({"num_labels": 1}, torch.tensor([[0.5], [2.0]])),
    "two numbers": ({"problem_type": "regression"}, torch.tensor([[0.5, 1.0], [2.0, 3.0]])),
    "several labels": (
        {"problem_type": "multi_label_classification", "num_labels": 3},
        torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
    ),
    "several labels, told by their type": (
        {"num_labels": 3},
        torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
    ),
}


@pytest.mark.parametrize("case", LABELS)
def test_the_loss_of_a_classifier_is_that_of_transformers(tmp_path: Path, case: str) -> None:
    settings, labels = LABELS[case]
    torch.manual_seed(0)
    config = transformers.AlbertConfig(**SHAPE, **settings)
    transformers.AlbertForSequenceClassification(config).save_pretrained(tmp_path)
    theirs, ours = pair_of(tmp_path, "AlbertForSequenceClassification")
    expected, found = (model(IDS, RIGHT, labels=labels).loss for model in (theirs, ours))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


WRONG_LABELS: dict[str, tuple[dict[str, Any], Tensor, str]] = {
    "too many classes": (
        {},
        torch.tensor([0, 1, 1]),
        r"labels has shape \(3,\); expected \(2,\) or \(2, 1\)",
    ),
    "a target a row where two are needed": (
        {"problem_type": "regression"},
        torch.tensor([0.5, 1.0]),
        r"labels has shape \(2,\); expected \(2, 2\)",
    ),
    "a row of numbers for one": (
        {"num_labels": 1},
        torch.tensor([[0.5, 1.0]]),
        r"labels has shape \(1, 2\); expected \(2, 1\) or \(2,\)",
    ),
    "class numbers for several labels": (
        {"problem_type": "multi_label_classification"},
        torch.tensor([0, 1]),
        r"labels has shape \(2,\); expected \(2, 2\)",
    ),
    "real numbers for one class": (
        {"problem_type": "single_label_classification"},
        torch.tensor([0.5, 1.0]),
        "labels are real numbers; expected class numbers",
    ),
}


@pytest.mark.parametrize("case", WRONG_LABELS)
def test_labels_of_a_wrong_shape_are_refused_by_name(case: str) -> None:
    settings, labels, message = WRONG_LABELS[case]
    model = albert.AlbertForSequenceClassification(albert.AlbertConfig(**SHAPE, **settings))
    with pytest.raises(DataError, match=message):
        model(IDS, RIGHT, labels=labels)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "expected input_ids or inputs_embeds, found neither"),
        ({"input_ids": IDS, "inputs_embeds": torch.ones(2, 7, 8)}, "found both"),
        ({"input_ids": IDS[0]}, r"input_ids has shape \(7,\); expected \(B, T\)"),
        (
            {"input_ids": IDS, "attention_mask": RIGHT[:, :3]},
            r"attention_mask has shape \(2, 3\); expected \(2, 7\)",
        ),
        ({"input_ids": IDS, "token_type_ids": RIGHT[:1]}, r"token_type_ids has shape \(1, 7\)"),
        ({"input_ids": IDS, "position_ids": torch.arange(7)}, r"expected \(2, 7\) or \(1, 7\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(inputs: dict[str, Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        albert.AlbertModel(albert.AlbertConfig(**SHAPE))(**inputs)


def test_an_answer_in_the_padding_is_refused_and_one_outside_the_row_is_not_counted(
    folders: dict[str, Path],
) -> None:
    theirs, ours = pair_of(folders["AlbertForQuestionAnswering"], "AlbertForQuestionAnswering")
    inputs = {
        "input_ids": IDS[:, :5],
        "attention_mask": RIGHT[:, :5],
    }  # Without padding the losses are equal.
    for positions in ([1, 2], [-1, 2], [99, 2], [[1], [3]]):
        edges = {"start_positions": torch.tensor(positions), "end_positions": torch.tensor([3, 4])}
        expected, found = (model(**inputs, **edges).loss for model in (theirs, ours))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    edges = {"start_positions": torch.tensor([1, 2]), "end_positions": torch.tensor([6, 2])}
    with pytest.raises(DataError, match="end_positions of row 0 is column 6, which attention_mask marks as"):
        ours(IDS, RIGHT, **edges)


def test_labels_of_padding_do_not_count(folders: dict[str, Path]) -> None:
    for name in ("AlbertForMaskedLM", "AlbertForTokenClassification"):
        _, ours = pair_of(folders[name], name)
        labels = torch.ones_like(IDS)
        expected = ours(IDS, RIGHT, labels=labels.masked_fill(RIGHT == 0, -100)).loss
        assert torch.equal(ours(IDS, RIGHT, labels=labels).loss, expected)


def test_a_classifier_uses_the_first_token_wherever_the_padding_is(folders: dict[str, Path]) -> None:
    _, ours = pair_of(folders["AlbertForSequenceClassification"], "AlbertForSequenceClassification")
    ids = torch.stack([IDS[0].roll(2), IDS[1].roll(1)])
    mask = torch.stack([RIGHT[0].roll(2), RIGHT[1].roll(1)])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        right, left = ours(IDS, RIGHT).logits, ours(ids, mask, position_ids=positions).logits
    torch.testing.assert_close(left, right, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CLASSES)
def test_a_model_is_compiled_as_a_whole(folders: dict[str, Path], name: str) -> None:
    _, ours = pair_of(folders[name], name)
    compiled = torch.compile(ours, backend="eager")  # traced like any other, but not translated
    for mask in (RIGHT, LEFT):
        with torch.no_grad():
            expected, found = ours(**inputs_for(name, mask)), compiled(**inputs_for(name, mask))
        torch.testing.assert_close(found[0], expected[0], atol=1e-6, rtol=0)
    torch._dynamo.reset()
