"""Without each private operator of torch the numbers are the same, or an error names the alternative."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.model import kernels
from albert.model.language_models import AlbertForMaskedLM
from albert.model.linear import LinearWeights, linear, prepare, prepare_for_inference
from albert.training.devices import autocast_dtype
from albert.training.speed import apply_switches

CONFIG = AlbertConfig(
    vocab_size=31, embedding_size=6, hidden_size=12, num_hidden_layers=3, num_attention_heads=2,
    intermediate_size=20,
)  # fmt: skip


@pytest.fixture
def layers() -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    return nn.Linear(12, 20), nn.Linear(12, 8)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(9, 12, generator=torch.Generator().manual_seed(1))


def missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(kernels, name, lambda *_: None)


def gradients(layers: tuple[nn.Linear, ...], x: Tensor) -> tuple[Tensor, ...]:
    leaf = x.clone().requires_grad_()
    product = linear(leaf, prepare(layers, torch.float32))
    parameters = [p for layer in layers for p in layer.parameters()]
    return product.detach(), *torch.autograd.grad(product.square().sum(), [leaf, *parameters])


def test_without_onednns_product_a_layer_has_the_same_output_and_gradients(
    monkeypatch: pytest.MonkeyPatch, layers: tuple[nn.Linear, nn.Linear], x: Tensor
) -> None:
    expected = gradients(layers, x)
    missing(monkeypatch, "onednn_product")
    assert not prepare(layers, torch.float32).onednn
    torch.testing.assert_close(gradients(layers, x), expected, atol=1e-4, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["onednn_product", "onednn_order"])
def test_without_onednns_order_or_product_a_prepared_layer_has_the_same_output(
    monkeypatch: pytest.MonkeyPatch, layers: tuple[nn.Linear, nn.Linear], x: Tensor, name: str
) -> None:
    expected = linear(x, prepare_for_inference(layers, "float32"))
    missing(monkeypatch, name)
    weights = prepare_for_inference(layers, "float32")
    assert isinstance(weights, LinearWeights)
    assert weights.onednn == (name == "onednn_order")
    torch.testing.assert_close(linear(x, weights), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("lacking", ["kernel", "avx2"])
def test_without_its_kernel_or_instructions_int8_is_refused(
    monkeypatch: pytest.MonkeyPatch, layers: tuple[nn.Linear, nn.Linear], lacking: str
) -> None:
    if lacking == "kernel":
        missing(monkeypatch, "onednn_int8")
    else:
        monkeypatch.setattr(kernels, "cpu_has", lambda feature: feature != lacking)
    with pytest.raises(ConfigError, match="needs a processor with AVX2 and a torch with oneDNN; use float32"):
        prepare_for_inference(layers, "int8")


@torch.no_grad()
def test_without_vnni_int8_stays_near_float32(
    monkeypatch: pytest.MonkeyPatch, layers: tuple[nn.Linear, nn.Linear], x: Tensor
) -> None:
    monkeypatch.setattr(kernels, "cpu_has", lambda feature: feature != "vnni")
    found = linear(x, prepare_for_inference(layers, "int8"))
    expected = linear(x, prepare(layers, torch.float32))
    assert 0 < (found - expected).norm() / expected.norm() < 0.02


def test_a_processor_without_bf16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(kernels, "cpu_has", lambda feature: feature not in {"avx512_bf16", "amx_tile"})
    assert autocast_dtype("auto", cpu) is None
    monkeypatch.setattr(kernels, "cpu_has", lambda feature: feature == "avx512_bf16")
    assert autocast_dtype("auto", cpu) == torch.bfloat16


@pytest.fixture
def lookups() -> Iterator[None]:
    """Clear the caches of lookups, before and after the test."""
    cached = (kernels.onednn_product, kernels.onednn_order, kernels.onednn_int8, kernels.cpu_has)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.mark.usefixtures("lookups")
def test_what_torch_does_not_have_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        """A namespace without operators."""

    monkeypatch.setattr(torch, "ops", type("Ops", (), {"mkldnn": Nothing(), "onednn": Nothing()})())
    monkeypatch.setattr(torch, "cpu", Nothing())
    assert kernels.onednn_product() is None
    assert kernels.onednn_order() is None
    assert kernels.onednn_int8() is None
    assert not kernels.cpu_has("avx2")


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_without_marked_sizes_a_compiled_model_has_the_same_output(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    model = AlbertForMaskedLM(CONFIG).eval()
    ids = torch.arange(60) % 31

    def logits() -> list[Tensor]:
        with torch.no_grad():
            return [
                model.packed_logits(ids[:n], torch.zeros_like(ids[:n]), torch.tensor([n]), torch.arange(4))
                for n in (11, 30, 60)
            ]

    expected = logits()
    apply_switches(model, compile=True, activation_checkpointing=False, tf32=False)
    monkeypatch.setattr(torch._dynamo, "maybe_mark_dynamic", None)
    torch.testing.assert_close(logits(), expected, atol=1e-5, rtol=0)
    torch.compiler.reset()
