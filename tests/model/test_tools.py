"""What a model can be asked, and its table of embeddings, against transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import albert
from albert.errors import ConfigError

SHAPE = {
    "vocab_size": 31,
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
IDS = torch.tensor([[2, 7, 9, 12, 3]])
LABELS = torch.tensor([[-100, 7, -100, 12, -100]])


@pytest.fixture
def models(tmp_path: Path) -> tuple[Any, Any]:
    """A masked LM of transformers, and ours with the same weights."""
    torch.manual_seed(0)
    theirs = transformers.AlbertForMaskedLM(transformers.AlbertConfig(**SHAPE)).eval()
    theirs.save_pretrained(tmp_path)
    return theirs, albert.AlbertForMaskedLM.from_pretrained(tmp_path)


def test_facts_about_a_model_are_those_of_transformers(models: tuple[Any, Any]) -> None:
    for facts in (
        lambda model: model.num_parameters(),
        lambda model: model.num_parameters(only_trainable=True),
        lambda model: model.num_parameters(exclude_embeddings=True),
        lambda model: model.dtype,
        lambda model: model.device,
        lambda model: type(model.base_model).__name__,
        lambda model: type(model.base_model.base_model).__name__,
        lambda model: model.base_model_prefix,
        lambda model: model.main_input_name,
        lambda model: model.can_generate(),
        lambda model: model.get_input_embeddings().weight.shape,
        lambda model: model.get_output_embeddings().weight.shape,
        lambda model: model.get_output_embeddings().bias.shape,
        lambda model: model.get_memory_footprint() // 1000,
    ):
        theirs, ours = map(facts, models)
        assert ours == theirs
    models[1].albert.pooler = nn.Linear(16, 16).requires_grad_(False)
    assert models[1].num_parameters() - models[1].num_parameters(only_trainable=True) == 16 * 17


def test_a_model_without_a_masked_lm_head_has_no_output_embeddings() -> None:
    assert albert.AlbertForTokenClassification(albert.AlbertConfig(**SHAPE)).get_output_embeddings() is None


def test_the_output_embeddings_are_the_table_itself(models: tuple[Any, Any]) -> None:
    ours = models[1]
    with torch.no_grad():
        ours.get_output_embeddings().weight.zero_()
        ours.get_output_embeddings().bias.fill_(2.0)
        assert torch.equal(ours(IDS).logits, torch.full((1, 5, 31), 2.0))
    assert not ours.get_input_embeddings().weight.any()
    with pytest.raises(ConfigError, match="outputs are tied to the word embeddings"):
        ours.set_output_embeddings(nn.Linear(8, 31))


@pytest.mark.parametrize("rows", [40, 20])
def test_a_table_gets_another_number_of_rows_and_keeps_the_old_ones(
    models: tuple[Any, Any], tmp_path: Path, rows: int
) -> None:
    theirs, ours = models
    known = ours(IDS).logits
    for model in models:
        table = model.resize_token_embeddings(rows)
        assert table is model.get_input_embeddings()
        assert table.weight.shape == (rows, 8)
        assert model.config.vocab_size == rows
    torch.testing.assert_close(ours(IDS).logits[..., :20], known[..., :20])
    torch.testing.assert_close(ours(IDS).logits[..., :20], theirs(IDS).logits[..., :20], atol=1e-5, rtol=0)
    ours(IDS, labels=LABELS).loss.backward()
    assert ours.predictions.bias.grad.shape == (rows,)
    ours.save_pretrained(tmp_path / "resized")
    opened = transformers.AlbertForMaskedLM.from_pretrained(tmp_path / "resized", dtype=torch.float32)
    torch.testing.assert_close(opened.eval()(IDS).logits, ours(IDS).logits, atol=1e-5, rtol=0)


def test_new_rows_are_the_mean_of_the_old_or_random(models: tuple[Any, Any]) -> None:
    ours = models[1]
    mean = ours.get_input_embeddings().weight.mean(0)
    grown = ours.resize_token_embeddings(33, pad_to_multiple_of=8).weight
    assert grown.shape == (40, 8)
    torch.testing.assert_close(grown[31:], mean.expand(9, 8))
    random = ours.resize_token_embeddings(48, mean_resizing=False).weight[40:]
    assert random.std(0).min() > 0
    assert ours.resize_token_embeddings() is ours.get_input_embeddings()


def test_a_model_that_is_resized_trains_its_frozen_parts_no_more_than_before(models: tuple[Any, Any]) -> None:
    ours = models[1].requires_grad_(False)
    ours.resize_token_embeddings(40)
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def test_the_table_is_exchanged_where_it_fits(models: tuple[Any, Any]) -> None:
    ours = models[1]
    table = nn.Embedding(31, 8)
    ours.set_input_embeddings(table)
    assert ours.get_input_embeddings() is table
    assert ours.get_output_embeddings().weight is table.weight
    with pytest.raises(ConfigError, match=r"expected embeddings of width 8, found \(31, 9\)"):
        ours.set_input_embeddings(nn.Embedding(31, 9))
    with pytest.raises(ConfigError, match="the table has 40 rows, the masked LM head 31 outputs"):
        ours.set_input_embeddings(nn.Embedding(40, 8))
    with pytest.raises(ConfigError, match="found Identity"):
        ours.set_input_embeddings(nn.Identity())


def test_recomputation_is_switched_by_both_names_and_changes_no_gradient(models: tuple[Any, Any]) -> None:
    ours = models[1]
    ours(IDS, labels=LABELS).loss.backward()
    expected = {name: parameter.grad.clone() for name, parameter in ours.named_parameters()}
    for prefix in ("gradient", "activation"):
        ours.zero_grad()
        getattr(ours, f"{prefix}_checkpointing_enable")()
        assert ours.is_gradient_checkpointing
        ours(IDS, labels=LABELS).loss.backward()
        for name, parameter in ours.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[name])
        getattr(ours, f"{prefix}_checkpointing_disable")()
        assert not ours.is_activation_checkpointing
    with pytest.raises(ConfigError, match="every_n_layers is 2"):
        ours.activation_checkpointing_enable(every_n_layers=2)


def test_a_frozen_model_lets_gradients_through_from_its_embeddings(models: tuple[Any, Any]) -> None:
    ours = models[1].requires_grad_(False)
    ours.enable_input_require_grads()
    assert ours(IDS).logits.requires_grad
    ours.disable_input_require_grads()
    assert not ours(IDS).logits.requires_grad
