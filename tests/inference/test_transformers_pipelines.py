"""What people type: pipelines take options and inputs as those of transformers do, with equal results."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from transformers.pipelines.pt_utils import KeyDataset

import albert
from albert import AlbertTokenizer, pipeline
from albert.errors import ConfigError, DataError
from albert.inference.pipeline_base import ONLY, REFUSED, WITHOUT_EFFECT
from albert.inference.pipelines import REFUSED as REFUSED_ARGUMENTS
from albert.inference.pipelines import WITHOUT_EFFECT as ARGUMENTS_WITHOUT_EFFECT

SHAPE = {
    "vocab_size": 2000,
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 32,
    "initializer_range": 0.4,
}
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}
NLI = {0: "contradiction", 1: "neutral", 2: "entailment"}
CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "fill-mask": ("AlbertForMaskedLM", {}),
    "feature-extraction": ("AlbertModel", {}),
    "text-classification": ("AlbertForSequenceClassification", {"id2label": {0: "bad", 1: "good", 2: "so"}}),
    "token-classification": ("AlbertForTokenClassification", {"id2label": TAGS}),
    "zero-shot-classification": (
        "AlbertForSequenceClassification",
        {"id2label": NLI, "label2id": {name: index for index, name in NLI.items()}},
    ),
}
TEXT, OTHER = "the type of value is not one", "takes a module"


@pytest.fixture(scope="module")
def folders(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model for each pipeline, written by transformers, with our tokenizer."""
    found = {}
    for task, (name, settings) in CLASSES.items():
        torch.manual_seed(0)
        found[task] = tmp_path_factory.mktemp(task)
        config = transformers.AlbertConfig(**SHAPE, **settings)
        getattr(transformers, name)(config).eval().save_pretrained(found[task])
        AlbertTokenizer.from_pretrained(tokenizer_folder).save_pretrained(found[task])
    return found


def rounded(value: Any) -> Any:
    """Return a result in plain types, its numbers rounded."""
    if isinstance(value, Iterator):
        return rounded(list(value))
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    if hasattr(value, "tolist"):
        return rounded(value.tolist())
    return round(value, 4) if isinstance(value, float) else value


CALLS: dict[str, tuple[str, dict[str, Any], Callable[[Any], Any]]] = {
    "top_k when made": ("fill-mask", {"top_k": 2}, lambda p: p("the [MASK] of value")),
    "top_k when called": ("fill-mask", {"top_k": 2}, lambda p: p("the [MASK] of value", top_k=3)),
    "targets when made": ("fill-mask", {"targets": ["value", "type"]}, lambda p: p("a [MASK]")),
    "texts with masks": ("fill-mask", {}, lambda p: p(["a [MASK]", "the [MASK] is [MASK]"])),
    "a label": ("text-classification", {}, lambda p: p(TEXT)),
    "labels of texts": ("text-classification", {}, lambda p: p([TEXT, OTHER])),
    "all labels": ("text-classification", {"top_k": None}, lambda p: p(TEXT)),
    "two labels": ("text-classification", {}, lambda p: p([TEXT, OTHER], top_k=2)),
    "a function": ("text-classification", {"function_to_apply": "sigmoid"}, lambda p: p(TEXT)),
    "a pair": ("text-classification", {}, lambda p: p({"text": TEXT, "text_pair": OTHER})),
    "pairs": ("text-classification", {}, lambda p: p([{"text": TEXT, "text_pair": OTHER}] * 2)),
    "cut texts": ("text-classification", {"truncation": True, "max_length": 5}, lambda p: p([TEXT, OTHER])),
    "a batch size": ("text-classification", {"batch_size": 2}, lambda p: p([TEXT, OTHER, "a"])),
    "a dataset": (
        "text-classification",
        {},
        lambda p: p(KeyDataset([{"text": TEXT}, {"text": OTHER}], "text")),
    ),
    "a generator": ("text-classification", {}, lambda p: p(text for text in (TEXT, OTHER))),
    "tags": ("token-classification", {}, lambda p: p(TEXT)),
    "entities when made": ("token-classification", {"aggregation_strategy": "simple"}, lambda p: p(TEXT)),
    "entities when called": ("token-classification", {}, lambda p: p([TEXT], aggregation_strategy="max")),
    "labels that are left out": (
        "token-classification",
        {"ignore_labels": ["O", "B-LOC"]},
        lambda p: p(TEXT),
    ),
    "states": ("feature-extraction", {}, lambda p: p(TEXT)),
    "states as tensors": ("feature-extraction", {"return_tensors": True}, lambda p: p([TEXT, OTHER])),
    "states of cut texts": (
        "feature-extraction",
        {"tokenize_kwargs": {"truncation": True, "max_length": 5}},
        lambda p: p(TEXT),
    ),
    "labels without training": ("zero-shot-classification", {}, lambda p: p(TEXT, ["type", "value", "one"])),
    "labels in a text": ("zero-shot-classification", {}, lambda p: p(TEXT, candidate_labels="type, value")),
    "several labels": (
        "zero-shot-classification",
        {"multi_label": True},
        lambda p: p([TEXT, OTHER], candidate_labels=["type", "value"]),
    ),
    "one label": ("zero-shot-classification", {}, lambda p: p(TEXT, ["type"])),
    "a template": (
        "zero-shot-classification",
        {"hypothesis_template": "the {} of"},
        lambda p: p(TEXT, ["type", "value"]),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_what_transformers_gives(folders: dict[str, Path], name: str) -> None:
    task, options, call = CALLS[name]
    theirs = transformers.pipeline(task, str(folders[task]), dtype=torch.float32, device=-1, **options)
    ours = pipeline(task, folders[task], device=-1, **options)
    assert rounded(call(ours)) == rounded(call(theirs))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("delimiter", [" ", "|"])
def test_words_are_tagged_as_in_transformers(folders: dict[str, Path], delimiter: str) -> None:
    task = "token-classification"
    words = [["the", "type", "of"], ["value"]]
    options: dict[str, Any] = {"is_split_into_words": True, "delimiter": delimiter}
    theirs = transformers.pipeline(task, str(folders[task]), dtype=torch.float32, device=-1, ignore_labels=[])
    ours = pipeline(task, folders[task], ignore_labels=[])
    expected, found = rounded(theirs(words, **options)), rounded(ours(words, **options))
    for row in (*expected, *found):
        for token in row:
            del token["start"], token["end"]  # A lone space has no width here.
    assert found == expected
    assert ours(words, aggregation_strategy="first", **options)[0][0]["start"] == 0
    with pytest.raises(DataError, match="expected a list of words, found str"):
        ours(["the type"], is_split_into_words=True)


def test_a_pair_is_also_a_tuple(folders: dict[str, Path]) -> None:
    classify = pipeline("text-classification", folders["text-classification"])
    expected = classify([{"text": TEXT, "text_pair": OTHER}])
    assert classify([(TEXT, OTHER)]) == classify([[TEXT, OTHER]]) == expected


def test_a_pipeline_is_named_by_its_model(folders: dict[str, Path]) -> None:
    for task, folder in folders.items():
        found = pipeline(model=folder)
        assert found.task == ("text-classification" if task == "zero-shot-classification" else task)
    with pytest.raises(ConfigError, match="there is no default model"):
        pipeline("fill-mask")
    with pytest.raises(ConfigError, match="no pipeline 'text-generation'"):
        pipeline("text-generation", folders["fill-mask"])


def test_models_and_tokenizers_are_given_as_objects(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders["text-classification"]
    model = albert.AlbertForSequenceClassification.from_pretrained(folder)
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    expected = pipeline("text-classification", folder)(TEXT)
    for ours in (
        pipeline("text-classification", model, tokenizer=tokenizer),
        pipeline(model=model, tokenizer=folder, device=torch.device("cpu")),
        pipeline("text-classification", folder, tokenizer=tokenizer),
    ):
        assert rounded(ours(TEXT)) == rounded(expected)
    assert ours.model.config.id2label[1] == "good"
    assert (ours.device, ours.dtype) == (torch.device("cpu"), torch.float32)
    ours.save_pretrained(tmp_path)
    assert rounded(pipeline(model=tmp_path)(TEXT)) == rounded(expected)
    states = pipeline("feature-extraction", model, tokenizer=tokenizer)(TEXT)
    assert np.shape(states)[0] == 1
    with pytest.raises(ConfigError, match="a model object comes without its tokenizer"):
        pipeline("text-classification", model)
    with pytest.raises(ConfigError, match="needs a model of the class AlbertForMaskedLM of this package"):
        pipeline("fill-mask", model, tokenizer=tokenizer)
    theirs: Any = transformers.AlbertForSequenceClassification(
        model.config.__class__ and transformers.AlbertConfig(**SHAPE)
    )
    with pytest.raises(
        ConfigError, match="found transformers's AlbertForSequenceClassification; give its folder"
    ):
        pipeline("text-classification", theirs, tokenizer=tokenizer)
    with pytest.raises(ConfigError, match="expected a folder, or an AlbertTokenizer of this package"):
        pipeline("text-classification", folder, tokenizer=transformers.AutoTokenizer.from_pretrained(folder))


@pytest.mark.parametrize("dtype", ["auto", None, torch.float32, "bfloat16", torch.bfloat16, "int8"])
def test_the_type_of_products_has_the_names_of_torch_too(folders: dict[str, Path], dtype: Any) -> None:
    ours = pipeline("text-classification", folders["text-classification"], dtype=dtype)
    expected = {"bfloat16": "bf16", torch.bfloat16: "bf16", "int8": "int8"}.get(dtype, "float32")
    assert ours.model.encoder_of_layers.prepared.dtype == expected


def test_unknown_and_refused_options_are_named(folders: dict[str, Path]) -> None:
    folder = folders["text-classification"]
    for name in WITHOUT_EFFECT:
        pipeline("text-classification", folder, **{name: True})(TEXT, **{name: True})
    for name in ARGUMENTS_WITHOUT_EFFECT:
        pipeline("text-classification", folder, **{name: "x"})
    for name, (accepted, _) in ONLY.items():
        pipeline("text-classification", folder, **{name: accepted})(TEXT, **{name: accepted})
        with pytest.raises(ConfigError, match=f"has no option {name}={not accepted}: "):
            pipeline("text-classification", folder)(TEXT, **{name: not accepted})
    for name in REFUSED:
        with pytest.raises(ConfigError, match=f"has no option '{name}': "):
            pipeline("text-classification", folder)(TEXT, **{name: True})
    for name in REFUSED_ARGUMENTS:
        with pytest.raises(ConfigError, match=f"pipeline has no argument '{name}': "):
            pipeline("text-classification", folder, **{name: "x"})
    with pytest.raises(ConfigError, match="text-classification has no option 'topk'; did you mean 'top_k'"):
        pipeline("text-classification", folder, topk=2)


def test_zero_shot_needs_a_model_of_inference(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="one label that starts with entail, found bad, good, so"):
        pipeline("zero-shot-classification", folders["text-classification"])
    classify = pipeline("zero-shot-classification", folders["zero-shot-classification"])
    with pytest.raises(ConfigError, match="expected one label or more"):
        classify(TEXT, " , ")
    with pytest.raises(ConfigError, match="hypothesis_template is 'a label'"):
        classify(TEXT, ["a", "b"], hypothesis_template="a label")
    with pytest.raises(DataError, match="expected texts"):
        classify(TEXT, [1, 2])


def test_contradiction_is_found_by_its_name(folders: dict[str, Path]) -> None:
    folder = folders["zero-shot-classification"]
    moved = {0: "neutral", 1: "contradiction", 2: "entailment"}
    model = albert.AlbertForSequenceClassification.from_pretrained(folder, id2label=moved)
    with torch.no_grad():
        model.classifier.weight[:2] = model.classifier.weight[:2].flip(0)
        model.classifier.bias[:2] = model.classifier.bias[:2].flip(0)
    tokenizer = AlbertTokenizer.from_pretrained(folder)
    found = pipeline("zero-shot-classification", model, tokenizer=tokenizer)(
        TEXT, ["type", "value"], multi_label=True
    )
    expected = pipeline("zero-shot-classification", folder)(TEXT, ["type", "value"], multi_label=True)
    assert rounded(found) == rounded(expected)


def test_similarities_are_those_of_sentence_transformers(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders["feature-extraction"]
    theirs = SentenceTransformer(str(folder), device="cpu")
    theirs.save(str(tmp_path))
    vectors = theirs.encode([TEXT, OTHER, "a"])
    expected = [float(x) for x in theirs.similarity(vectors[:1], vectors[1:])[0]]
    for source in (folder, tmp_path):
        compare = pipeline("sentence-similarity", source)
        given = {"source_sentence": TEXT, "sentences": [OTHER, "a"]}
        np.testing.assert_allclose(compare(given), expected, atol=1e-5)
        np.testing.assert_allclose(compare(TEXT, [OTHER, "a"]), expected, atol=1e-5)
        np.testing.assert_allclose(compare([given, given]), [expected, expected], atol=1e-5)
    model = albert.AlbertModel.from_pretrained(folder)
    objects = pipeline("sentence-similarity", model, tokenizer=AlbertTokenizer.from_pretrained(folder))
    np.testing.assert_allclose(objects(given), expected, atol=1e-5)
    with pytest.raises(DataError, match="expected a dict with 'source_sentence' and 'sentences'"):
        compare({"source_sentence": TEXT})
    with pytest.raises(DataError, match="expected texts, found int"):
        compare(TEXT, [3])
