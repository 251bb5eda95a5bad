"""Classification of texts and pairs against the pipeline of transformers."""

from pathlib import Path
from typing import Any

import pytest
import transformers

from albert import AlbertForSequenceClassification, pipeline
from albert.errors import ConfigError, DataError

TEXTS = ["The value of a list.", "One returns two. Three takes four and five."]


@pytest.fixture(scope="module")
def folder(make_folder: Any) -> Path:
    return make_folder(AlbertForSequenceClassification, id2label={0: "bad", 1: "fine", 2: "good"})


def rounded(predictions: Any) -> Any:
    if isinstance(predictions, list):
        return [rounded(prediction) for prediction in predictions]
    return {"label": predictions["label"], "score": pytest.approx(predictions["score"], abs=1e-6)}


@pytest.mark.parametrize("inputs", [TEXTS[0], TEXTS])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"top_k": 1},
        {"top_k": 2},
        {"top_k": None},
        {"function_to_apply": "sigmoid"},
        {"function_to_apply": "none", "top_k": None},
    ],
    ids=str,
)
def test_predictions_equal_those_of_transformers(
    folder: Path, inputs: Any, arguments: dict[str, Any]
) -> None:
    theirs = transformers.pipeline("text-classification", model=str(folder))(inputs, **arguments)
    assert pipeline("text-classification", model=folder)(inputs, **arguments) == rounded(theirs)


def test_pairs_are_dicts_as_in_transformers(folder: Path) -> None:
    pair = {"text": TEXTS[0], "text_pair": TEXTS[1]}
    theirs = transformers.pipeline("text-classification", model=str(folder))
    ours = pipeline("sentiment-analysis", model=folder)
    assert ours(pair) == rounded(theirs(pair))
    assert ours([pair, {"text": TEXTS[0]}], top_k=2) == rounded(theirs([pair, {"text": TEXTS[0]}], top_k=2))


def test_a_regression_returns_its_number_unchanged(make_folder: Any) -> None:
    folder = make_folder(AlbertForSequenceClassification, id2label={0: "stars"}, problem_type="regression")
    theirs = transformers.pipeline("text-classification", model=str(folder))(TEXTS)
    ours = pipeline("text-classification", model=folder)(TEXTS)
    assert ours == rounded(theirs)


@pytest.mark.parametrize(
    "head",
    [
        {"id2label": {0: "sad", 1: "angry", 2: "happy"}, "problem_type": "multi_label_classification"},
        {"id2label": {0: "toxic"}, "problem_type": "multi_label_classification"},
        {"id2label": {0: "toxic"}},
        {"id2label": {0: "stars"}, "problem_type": "regression"},
        {"id2label": {0: "x", 1: "y"}, "problem_type": "regression"},
        {"id2label": {0: "bad", 1: "good"}, "problem_type": "single_label_classification"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "inputs", [TEXTS[0], TEXTS, {"text": TEXTS[0], "text_pair": TEXTS[1]}], ids=["text", "texts", "pair"]
)
def test_scores_follow_the_problem_type_as_in_transformers(
    make_folder: Any, head: dict[str, Any], inputs: Any
) -> None:
    folder = make_folder(AlbertForSequenceClassification, **head)
    ours = pipeline("text-classification", model=folder, device="cpu")
    theirs = transformers.pipeline("text-classification", model=str(folder))
    for arguments in (
        {},
        {"top_k": None},
        {"top_k": 1},
        {"function_to_apply": "sigmoid", "top_k": None},
        {"function_to_apply": "softmax", "top_k": None},
        {"function_to_apply": "none", "top_k": None},
    ):
        assert ours(inputs, **arguments) == rounded(theirs(inputs, **arguments))


def test_scores_of_several_labels_do_not_sum_to_one(make_folder: Any) -> None:
    head = {"id2label": {0: "sad", 1: "angry", 2: "happy"}, "problem_type": "multi_label_classification"}
    folder = make_folder(AlbertForSequenceClassification, **head)
    rows = pipeline("text-classification", model=folder, device="cpu")(TEXTS, top_k=None)
    assert all(abs(sum(row["score"] for row in ranked) - 1) > 1e-3 for ranked in rows)


def test_a_prediction_does_not_depend_on_the_rest_of_its_batch(folder: Path) -> None:
    classify = pipeline("text-classification", model=folder)
    texts = [("a value " * (1 + n % 5)) + str(n) for n in range(40)]
    alone = [classify(text)[0] for text in texts]
    assert classify(texts) == rounded(alone)
    assert list(classify(iter(texts), batch_size=7)) == rounded(alone)


def test_a_text_that_is_too_long_is_an_error_or_truncated(folder: Path) -> None:
    classify = pipeline("text-classification", model=folder)
    with pytest.raises(DataError, match="the model takes 32; give truncation=True"):
        classify("value " * 50)
    assert classify("value " * 50, truncation=True) == rounded(classify("value " * 30))


def test_wrong_arguments_say_what_is_expected(folder: Path) -> None:
    classify = pipeline("text-classification", model=folder)
    with pytest.raises(DataError, match="expected the fields 'text', 'text_pair', found 'text', 'pair'"):
        classify({"text": "a", "pair": "b"})
    with pytest.raises(DataError, match="expected a text, found list"):
        classify([["a", "b", "c"]])
    with pytest.raises(ConfigError, match="function_to_apply is 'tanh'; expected softmax, sigmoid, none"):
        classify("a", function_to_apply="tanh")
