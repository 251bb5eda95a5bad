"""Pipelines against transformers' own, and the model-card examples with only the import changed."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from albert import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForPreTraining,
    AlbertModel,
    pipeline,
)
from albert.errors import CheckpointError, ConfigError, DataError, TokenizerError
from albert.text.tokenizer import AlbertTokenizer


def shaken(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def folder(tiny_config: Path, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    config = AlbertConfig.from_json(tiny_config, id2label={0: "bad", 1: "fine", 2: "good"})
    shaken(AlbertForPreTraining(config)).save_pretrained(path)
    AlbertTokenizer.from_pretrained(tokenizer_folder).save_pretrained(path)
    return path


@pytest.mark.parametrize("text", ["The [MASK] of a list.", "[MASK] returns.", "A [MASK] and a [MASK] error."])
def test_fill_mask_equals_the_pipeline_of_transformers(folder: Path, text: str) -> None:
    theirs = transformers.pipeline("fill-mask", model=str(folder), top_k=3)(text)
    ours = pipeline("fill-mask", model=folder)(text, top_k=3)
    flat = [row for rows in theirs for row in rows] if isinstance(theirs[0], list) else theirs
    found = [row for rows in ours for row in rows] if isinstance(ours[0], list) else ours
    assert len(found) == len(flat)
    for mine, other in zip(found, flat, strict=True):
        assert set(mine) == set(other)
        assert mine["score"] == pytest.approx(other["score"], abs=1e-6)
        assert mine["token"] == other["token"]
        assert mine["token_str"] == other["token_str"]
        assert mine["sequence"] == other["sequence"]


def test_fill_mask_takes_a_list_and_keeps_its_order(folder: Path) -> None:
    unmasker = pipeline("fill-mask", model=folder)
    texts = ["The [MASK] of a list.", "[MASK] returns.", "A [MASK] and a [MASK] error."]
    alone = [unmasker(text) for text in texts]

    def near(fillings: Any) -> Any:
        if isinstance(fillings, list):
            return [near(filling) for filling in fillings]
        return {**fillings, "score": pytest.approx(fillings["score"], abs=1e-7)}

    assert unmasker(texts) == near(alone)
    assert unmasker(texts[:1]) == near(alone[:1])
    assert list(unmasker(iter(texts), batch_size=2)) == near(alone)


def test_fill_mask_among_targets_equals_transformers(folder: Path) -> None:
    targets = ["\u2581value", "\u2581list", "s"]
    theirs = transformers.pipeline("fill-mask", model=str(folder))("The [MASK] of it.", targets=targets)
    ours = pipeline("fill-mask", model=folder)("The [MASK] of it.", targets=targets)
    assert [(row["token"], row["sequence"]) for row in ours] == [
        (row["token"], row["sequence"]) for row in theirs
    ]
    assert [row["score"] for row in ours] == pytest.approx([row["score"] for row in theirs], abs=1e-7)


def test_fill_mask_without_a_mask_is_an_error_with_a_remedy(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no \[MASK\] in 'Hello'; write it where a word is missing"):
        pipeline("fill-mask", model=folder)("Hello")


def test_features_equal_the_pipeline_of_transformers(folder: Path) -> None:
    texts = ["The value of a list.", "One returns two. Three takes four."]
    theirs = transformers.pipeline("feature-extraction", model=str(folder))(texts)
    ours = pipeline("feature-extraction", model=folder)(texts)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(torch.tensor(mine), torch.tensor(other), atol=1e-5, rtol=0)


def test_the_model_card_example_runs_with_only_the_import_changed(folder: Path) -> None:
    card = """
from MODULE import AlbertTokenizer, AlbertModel
tokenizer = AlbertTokenizer.from_pretrained(FOLDER)
model = AlbertModel.from_pretrained(FOLDER)
text = "Replace me by any text you'd like."
encoded_input = tokenizer(text, return_tensors='pt')
output = model(**encoded_input)
"""
    results = []
    for module in ("albert", "transformers"):
        scope: dict[str, object] = {}
        exec(card.replace("MODULE", module).replace("FOLDER", repr(str(folder))), scope)
        results.append(scope["output"])
    ours, theirs = results
    torch.testing.assert_close(ours.last_hidden_state, theirs.last_hidden_state, atol=1e-5, rtol=0)  # type: ignore[attr-defined]
    torch.testing.assert_close(ours.pooler_output, theirs.pooler_output, atol=1e-5, rtol=0)  # type: ignore[attr-defined]


def test_features_are_tensors_with_return_tensors(folder: Path) -> None:
    extract = pipeline("feature-extraction", model=folder)
    assert extract("A list.", return_tensors=True).tolist() == extract("A list.")
    assert extract("value " * 50, truncation=True, return_tensors=True).shape == (1, 32, 8)


@pytest.mark.parametrize(
    ("task", "remedy"),
    [
        ("text-classification", "albert finetune --task classification --model"),
        ("token-classification", "albert finetune --task tagging --model"),
        ("question-answering", "albert finetune --task squad1 --model"),
        ("multiple-choice", "albert finetune --task choice --model"),
    ],
)
def test_a_model_without_the_head_is_refused_with_the_command_that_trains_one(
    folder: Path, task: str, remedy: str
) -> None:
    with pytest.raises(CheckpointError, match=f"would predict at random; train it first: {remedy}"):
        pipeline(task, model=folder)


def test_an_encoder_without_a_masked_lm_head_fills_no_masks(make_folder: Any) -> None:
    with pytest.raises(CheckpointError, match="would predict at random; train it first: albert pretrain"):
        pipeline("fill-mask", model=make_folder(AlbertModel))


def test_an_unknown_pipeline_names_the_nearest(folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'fill-mask'"):
        pipeline("fil-mask", model=folder)


def test_a_tokenizer_that_does_not_fit_the_model_is_refused(folder: Path, tmp_path: Path) -> None:
    config = AlbertConfig.from_json(folder / "config.json", vocab_size=1999)
    AlbertForMaskedLM(config).save_pretrained(tmp_path)
    AlbertTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(TokenizerError, match="1999 embeddings, its tokenizer 2000"):
        pipeline("fill-mask", model=tmp_path)
