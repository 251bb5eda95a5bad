"""docs/api.md says of every argument of transformers whether it is honoured, without effect, or refused."""

import inspect
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transformers
from torch import nn
from transformers.tokenization_utils_base import BatchEncoding

import albert
from albert.text.encoding import Encoding

ROOT = Path(__file__).parents[2]
# By position, by position or name, and by name; the others collect what is left.
NAMED = (0, 1, 3)
POP = re.compile(r'kwargs\.(?:pop|get)\("(\w+)"')
TASKS = {
    "`fill-mask`": transformers.FillMaskPipeline,
    "`feature-extraction`": transformers.FeatureExtractionPipeline,
    "`text-classification`": transformers.TextClassificationPipeline,
    "`token-classification`": transformers.TokenClassificationPipeline,
    "`zero-shot-classification`": transformers.ZeroShotClassificationPipeline,
}


@pytest.fixture(scope="module")
def surface() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "surface.py"))


def arguments_of(function: Any) -> set[str]:
    """Return the arguments of a callable of transformers, those that it takes out of **kwargs included."""
    named = {p.name for p in inspect.signature(function).parameters.values() if p.kind in NAMED}
    return (named | set(POP.findall(inspect.getsource(function)))) - {"self", "cls"}


def known_of(row: Any) -> set[str]:
    return {*row.honoured, *row.without_effect, *row.refused}


def calls(surface: dict[str, Any]) -> Iterator[tuple[str, set[str], set[str]]]:
    """Yield each call, the arguments that transformers takes, and those that have a row."""
    tokenizer = transformers.PreTrainedTokenizerFast
    model = transformers.AlbertForSequenceClassification
    # The path comes first, under names of its own; private names belong to its own classes.
    apart = {"pretrained_model_name_or_path"}
    for name, theirs in (
        ("MODEL_LOADING", model.from_pretrained),
        ("TOKENIZER_LOADING", tokenizer.from_pretrained),
    ):
        yield name, {x for x in arguments_of(theirs) - apart if x[0] != "_"}, known_of(surface[name])
    yield (
        "MODEL_SAVING",
        arguments_of(model.save_pretrained) - {"save_directory"},
        known_of(surface["MODEL_SAVING"]),
    )
    yield "TOKENIZER_CALL", arguments_of(tokenizer.__call__), known_of(surface["TOKENIZER_CALL"])
    yield "encode", arguments_of(tokenizer.encode), known_of(surface["TOKENIZER_CALL"])
    for row in surface["TOKENIZER_METHODS"]:
        name = row.name.strip("`").removeprefix("tokenizer.")
        yield name, arguments_of(getattr(tokenizer, name)), known_of(row)
    for row in surface["MODEL_CALLS"]:
        name = row.name.removeprefix("`").removesuffix("(...)`")
        yield name, arguments_of(getattr(transformers, name).forward), known_of(row)
    yield "pipeline", arguments_of(transformers.pipeline) - {"_commit_hash"}, known_of(surface["PIPELINE"])
    for row in surface["PIPELINE_CALLS"]:
        nested = {"tokenizer_kwargs", "tokenize_kwargs"}  # whose content is given flat, or nested as there
        yield row.name, arguments_of(TASKS[row.name]._sanitize_parameters) - nested, known_of(row)


def test_every_argument_of_transformers_has_a_row(surface: dict[str, Any]) -> None:
    compared = {name: (theirs, ours) for name, theirs, ours in calls(surface)}
    assert {name: sorted(theirs - ours) for name, (theirs, ours) in compared.items() if theirs - ours} == {}
    assert sum(len(theirs) for theirs, _ in compared.values()) > 150


@pytest.mark.parametrize("name", [n for n in albert.__all__ if n.startswith(("AlbertFor", "AlbertModel"))])
def test_every_method_of_a_model_is_here_or_left_out_with_a_reason(
    surface: dict[str, Any], name: str
) -> None:
    theirs = getattr(transformers, name, transformers.AlbertModel)
    expected = {n for n in dir(theirs) if n[0] != "_"} - {*dir(nn.Module)}
    left_out = {n for names in surface["LEFT_OUT_OF_MODELS"].values() for n in names}
    assert expected - {*dir(getattr(albert, name))} - left_out == set()
    assert not left_out & {*dir(getattr(albert, name))}


def test_every_method_of_a_tokenizer_is_here_or_left_out_with_a_reason(
    surface: dict[str, Any], tokenizer_folder: Path
) -> None:
    ours = {*dir(albert.AlbertTokenizer.from_pretrained(tokenizer_folder))}
    expected = {n for n in dir(transformers.PreTrainedTokenizerFast) if n[0] != "_"}
    left_out = {n for names in surface["LEFT_OUT_OF_TOKENIZERS"].values() for n in names}
    assert expected - ours - left_out == set()
    assert not left_out & ours
    assert {n for n in dir(BatchEncoding) if n[0] != "_"} <= {*dir(Encoding)}


def test_the_page_has_the_tables(surface: dict[str, Any]) -> None:
    assert surface["make_section"]() in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
