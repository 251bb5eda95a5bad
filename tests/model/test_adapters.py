"""Layers that are replaced, adapted, hooked or parametrized take effect, as in transformers."""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.nn.utils import parametrize

import albert
from albert.errors import ConfigError
from albert.model.layer import AlbertLayer

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
IDS = torch.tensor([[2, 7, 9, 12, 3, 0], [2, 8, 5, 11, 20, 3]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]])
LABELS = torch.tensor([0, 1])
LAYERS = ["query", "key", "value", "dense", "ffn", "ffn_output"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that transformers wrote."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("classifier")
    transformers.AlbertForSequenceClassification(transformers.AlbertConfig(**SHAPE)).save_pretrained(path)
    return path


def open_ours(folder: Path) -> albert.AlbertForSequenceClassification:
    return albert.AlbertForSequenceClassification.from_pretrained(folder)


def open_theirs(folder: Path) -> Any:
    return transformers.AlbertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()


def block_of(model: Any) -> Any:
    return model.albert.encoder.albert_layer_groups[0].albert_layers[0]


def logits_of(model: Any) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(input_ids=IDS, attention_mask=MASK).logits
    return logits


ADAPTERS: dict[str, Callable[[], peft.PeftConfig]] = {
    "LoRA": lambda: peft.LoraConfig(
        task_type="SEQ_CLS",
        r=2,
        target_modules=[*LAYERS, "pooler", "embedding_hidden_mapping_in", "word_embeddings"],
        init_lora_weights=False,
    ),
    "LoRA on one of three joined layers": lambda: peft.LoraConfig(
        task_type="SEQ_CLS", r=2, target_modules=["query"], init_lora_weights=False
    ),
    "DoRA": lambda: peft.LoraConfig(
        task_type="SEQ_CLS", r=2, target_modules=["key", "ffn"], use_dora=True, init_lora_weights=False
    ),
    "IA3": lambda: peft.IA3Config(
        task_type="SEQ_CLS",
        target_modules=["key", "value", "ffn_output"],
        feedforward_modules=["ffn_output"],
        init_ia3_weights=False,
    ),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_changes_the_logits_as_in_transformers_and_is_stored_and_merged(
    folder: Path, tmp_path: Path, name: str
) -> None:
    plain = logits_of(open_ours(folder))
    adapted = []
    for model in (open_theirs(folder), open_ours(folder)):
        torch.manual_seed(1)
        adapted.append(peft.get_peft_model(model, ADAPTERS[name]()).eval())
    expected, found = map(logits_of, adapted)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (found - plain).abs().max() > 1e-3
    adapted[1].save_pretrained(tmp_path / "adapter")
    opened = peft.PeftModel.from_pretrained(open_ours(folder), tmp_path / "adapter")
    torch.testing.assert_close(logits_of(opened), expected, atol=1e-5, rtol=0)
    merged = opened.merge_and_unload()
    assert isinstance(merged, albert.AlbertForSequenceClassification)
    merged.save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits_of(open_theirs(tmp_path / "merged")), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_learns_and_the_model_beneath_does_not(folder: Path, name: str) -> None:
    gradients = []
    for model in (open_theirs(folder), open_ours(folder)):
        torch.manual_seed(1)
        adapted = peft.get_peft_model(model, ADAPTERS[name]())
        adapted(input_ids=IDS, attention_mask=MASK, labels=LABELS).loss.backward()
        gradients.append({key: p.grad for key, p in adapted.named_parameters() if p.requires_grad})
        assert all(p.grad is None for p in adapted.parameters() if not p.requires_grad)
    expected, found = gradients
    assert expected.keys() == found.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-5, rtol=1e-4, msg=key)


def test_learned_prompts_go_in_as_embeddings(folder: Path) -> None:
    settings = peft.PromptTuningConfig(
        task_type="SEQ_CLS", num_virtual_tokens=2, token_dim=8, num_layers=3, num_attention_heads=2
    )
    adapted = []
    for model in (open_theirs(folder), open_ours(folder)):
        torch.manual_seed(1)
        adapted.append(peft.get_peft_model(model, settings).eval())
    expected, found = map(logits_of, adapted)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", ["float32", "bf16"])
def test_an_adapter_on_a_model_prepared_for_inference_takes_effect(folder: Path, dtype: Any) -> None:
    model = open_ours(folder).prepare_for_inference(dtype)
    plain = logits_of(model)
    torch.manual_seed(1)
    adapted = peft.get_peft_model(open_theirs(folder), ADAPTERS["LoRA"]())
    expected = logits_of(adapted.eval())
    torch.manual_seed(1)
    # Put into the layers alone: no call of peft's that would end the preparation.
    peft.inject_adapter_in_model(ADAPTERS["LoRA"](), model)
    tolerance = 1e-5 if dtype == "float32" else 0.2
    torch.testing.assert_close(logits_of(model), expected, atol=tolerance, rtol=0)
    assert (logits_of(model) - plain).abs().max() > tolerance


def test_an_adapter_on_an_int8_model_is_refused(folder: Path) -> None:
    model = open_ours(folder)
    peft.inject_adapter_in_model(ADAPTERS["LoRA"](), model)
    with pytest.raises(ConfigError, match="merge the adapter into the model first"):
        model.prepare_for_inference("int8")


@pytest.mark.parametrize("layer", LAYERS)
def test_a_hook_runs_and_its_result_counts(folder: Path, layer: str) -> None:
    results = []
    for model in (open_theirs(folder), open_ours(folder)):
        module = next(m for name, m in block_of(model).named_modules() if name.split(".")[-1] == layer)
        plain = logits_of(model)
        handle = module.register_forward_hook(lambda _, __, output: output * 0.5)
        results.append(logits_of(model))
        handle.remove()
        assert torch.equal(logits_of(model), plain)
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=0)


def test_a_hook_for_all_modules_sees_every_linear_layer(folder: Path) -> None:
    seen = []
    model = open_ours(folder)
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(module))
    logits_of(model)
    handle.remove()
    block = block_of(model)
    for module in (block.attention.query, block.attention.dense, block.ffn, block.ffn_output):
        assert module in seen


def test_a_hook_on_a_holder_of_layers_is_warned_of(folder: Path) -> None:
    attention = block_of(open_ours(folder)).attention
    with pytest.warns(UserWarning, match="AlbertAttention is not called, so this hook will never run"):
        attention.register_forward_hook(print)


def test_a_parametrized_layer_computes_with_its_parametrization(folder: Path) -> None:
    class Halved(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight / 2

    results = []
    for model in (open_theirs(folder), open_ours(folder)):
        parametrize.register_parametrization(block_of(model).ffn, "weight", Halved())
        results.append(logits_of(model))
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=0)


def test_a_layer_that_is_replaced_is_called(folder: Path) -> None:
    results = []
    for model in (open_theirs(folder), open_ours(folder)):
        torch.manual_seed(1)
        block_of(model).attention.value = nn.Sequential(nn.Linear(16, 4), nn.Tanh(), nn.Linear(4, 16))
        results.append(logits_of(model))
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=0)


def test_another_plain_layer_replaces_the_prepared_one(folder: Path) -> None:
    model = open_ours(folder).prepare_for_inference()
    torch.manual_seed(1)
    block_of(model).ffn = nn.Linear(16, 20)
    expected = logits_of(copy.deepcopy(model))
    torch.testing.assert_close(logits_of(model), expected, atol=1e-6, rtol=0)


def test_a_method_that_is_replaced_on_one_layer_is_called(folder: Path) -> None:
    model = open_ours(folder)
    block_of(model).ffn.forward = lambda x: x.new_zeros(*x.shape[:-1], 20)
    block = block_of(copy.deepcopy(open_ours(folder)))
    with torch.no_grad():
        block.ffn.weight.zero_(), block.ffn.bias.zero_()
    other = open_ours(folder)
    other.albert.encoder.albert_layer_groups[0].albert_layers[0] = block
    torch.testing.assert_close(logits_of(model), logits_of(other), atol=1e-6, rtol=0)


def test_a_block_that_is_replaced_is_refused_by_name(folder: Path) -> None:
    model = open_ours(folder)
    group: Any = model.albert.encoder.albert_layer_groups[0]
    group.albert_layers[0] = nn.Identity()
    with pytest.raises(ConfigError, match="a block of the encoder is a Identity, expected an AlbertLayer"):
        logits_of(model)
    assert all(isinstance(block, AlbertLayer) for block in open_ours(folder).albert.encoder.layers())


@pytest.mark.filterwarnings("ignore")
def test_dynamic_quantization_gives_the_numbers_of_transformers(folder: Path) -> None:
    results = []
    for model in (open_theirs(folder), open_ours(folder)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            smaller = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
        results.append(logits_of(smaller))
    # Activations are quantised over the whole batch, which is padded there and packed here.
    torch.testing.assert_close(results[1], results[0], atol=0.05, rtol=0)
    assert not torch.equal(results[1], logits_of(open_ours(folder)))
