"""Switches of speed and memory: the same numbers, no compilation for other batch shapes, less memory."""

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from albert.config import AlbertConfig
from albert.errors import ConfigError
from albert.model import kernels
from albert.model.language_models import AlbertForPreTraining
from albert.model.losses import cross_entropy_sum
from albert.training.speed import apply_switches

# torch warns about what its own compiler imports and does.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]

OFF = {"compile": False, "activation_checkpointing": False, "tf32": False}


@pytest.fixture
def compiler() -> Iterator[None]:
    """A compiler without the kernels of other tests."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def make_model(*, dropout: float = 0.0, groups: int = 1) -> AlbertForPreTraining:
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=31, embedding_size=6, hidden_size=12, num_hidden_layers=3, num_attention_heads=2,
        num_hidden_groups=groups, intermediate_size=20, hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    return AlbertForPreTraining(config).train()


def loss_of(model: AlbertForPreTraining, lengths: list[int], *, seed: int) -> Tensor:
    """Return both losses of a batch that is easy to learn: five tokens in turn."""
    generator = torch.Generator().manual_seed(seed)
    count = sum(lengths)
    ids = torch.arange(count) % 5 + 5
    masked = torch.randperm(count, generator=generator)[: max(1, count // 6)]
    labels = ids[masked]
    inputs = ids.index_fill(0, masked, 4)
    masked_lm, order = model.packed_logits(inputs, torch.zeros_like(ids), torch.tensor(lengths), masked)
    order_labels = torch.arange(len(lengths)) % 2
    masked_loss = cross_entropy_sum(masked_lm, labels).total / len(masked)
    return masked_loss + cross_entropy_sum(order, order_labels).total / len(lengths)


def losses(model: AlbertForPreTraining, *, steps: int, bf16: bool = False) -> Tensor:
    """Train on batches of varying size and return the loss of each step, (steps,)."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    found = []
    for step in range(steps):
        torch.manual_seed(step)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = loss_of(model, [9 + step, 30, 11 + 2 * step], seed=step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.detach())
    return torch.stack(found)


def gradients(model: AlbertForPreTraining, *, bf16: bool = False) -> tuple[Tensor, list[Tensor]]:
    """Return the loss of one batch and all gradients."""
    torch.manual_seed(5)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = loss_of(model, [9, 30, 11], seed=5)
    return loss.detach(), list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("bf16", [False, True])
def test_a_compiled_model_learns_like_the_eager_one_for_50_steps(*, bf16: bool) -> None:
    plain, compiled = make_model(), make_model()
    apply_switches(compiled, **{**OFF, "compile": True})
    expected, found = losses(plain, steps=50, bf16=bf16), losses(compiled, steps=50, bf16=bf16)
    assert expected[-5:].mean() < expected[:5].mean() - 0.5
    torch.testing.assert_close(found, expected, atol=0.02 if bf16 else 1e-4, rtol=0)


SHAPES = ([1], [3], [64, 64], [200, 3, 150, 77], [11, 30, 13])
"""Lengths of batches that differ in the number of sequences, of tokens, and in being a grid."""


def outputs(model: AlbertForPreTraining) -> list[Tensor]:
    """Return, for batches of several shapes, the losses in evaluation and in training, and a gradient."""
    found = []
    for lengths in SHAPES:
        with torch.no_grad():
            found.append(loss_of(model.eval(), lengths, seed=0))
        loss = loss_of(model.train(), lengths, seed=1)
        gradient = torch.autograd.grad(loss, model.predictions.dense.weight)[0]
        found += [loss.detach(), gradient]
    return found


def compile_and_run_once(*, groups: int) -> AlbertForPreTraining:
    model = make_model(groups=groups)
    apply_switches(model, **{**OFF, "compile": True})
    losses(model, steps=1)
    with torch.no_grad():
        loss_of(model.eval(), [7, 9], seed=0)
    return model


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("groups", [1, 3])
def test_after_the_first_step_no_batch_compiles_again_and_all_give_the_eager_numbers(groups: int) -> None:
    model = compile_and_run_once(groups=groups)
    eager = make_model(groups=groups)
    eager.load_state_dict(model.state_dict())
    with torch.compiler.set_stance("fail_on_recompile"):
        found = outputs(model)
    torch.testing.assert_close(found, outputs(eager), atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("compiler")
def test_without_marked_sizes_another_batch_would_compile_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "mark_dynamic", lambda *_: None)
    model = compile_and_run_once(groups=1)
    with (
        torch.compiler.set_stance("fail_on_recompile"),
        pytest.raises(RuntimeError, match="fail_on_recompile"),
    ):
        outputs(model)


@pytest.mark.usefixtures("compiler")
def test_a_compiled_model_keeps_its_names_and_can_be_copied() -> None:
    model = make_model()
    names = list(model.state_dict())
    apply_switches(model, compile=True, activation_checkpointing=True, tf32=False)
    expected, _ = gradients(model)
    assert list(model.state_dict()) == names
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(gradients(twin)[0], expected)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
def test_recomputing_with_dropout_gives_the_same_loss_and_gradients_to_the_bit(
    *, compiled: bool, bf16: bool
) -> None:
    model = make_model(dropout=0.2)
    apply_switches(model, compile=compiled, activation_checkpointing=False, tf32=False)
    expected, expected_gradients = gradients(model, bf16=bf16)
    apply_switches(model, compile=compiled, activation_checkpointing=True, tf32=False)
    found, found_gradients = gradients(model, bf16=bf16)
    assert torch.equal(found, expected)
    assert all(torch.equal(a, b) for a, b in zip(found_gradients, expected_gradients, strict=True))
    assert not torch.equal(loss_of(model, [9, 30, 11], seed=5), expected)  # Dropout was on.


MEMORY = """
import sys
import torch
from albert.model.language_models import AlbertForPreTraining
from albert.config import AlbertConfig
from albert.training.speed import apply_switches

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

config = AlbertConfig(
    vocab_size=31, embedding_size=16, hidden_size=64, num_hidden_layers=48, num_attention_heads=1,
    intermediate_size=256,
)
model = AlbertForPreTraining(config).train()
apply_switches(model, compile=False, activation_checkpointing=sys.argv[1] == "on", tf32=False)

def step(sequences):
    ids = torch.zeros(sequences * 32, dtype=torch.long)
    logits, _ = model.packed_logits(ids, ids, torch.full((sequences,), 32), torch.arange(8))
    logits.sum().backward()

step(1)
before = peak()
step(64)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from /proc")
def test_recomputing_takes_less_than_a_third_of_the_memory_of_a_deep_model() -> None:
    kilobytes = {
        switch: int(
            subprocess.run(
                [sys.executable, "-c", MEMORY, switch], check=True, capture_output=True, text=True
            ).stdout
        )
        for switch in ("off", "on")
    }
    # About 0.23; the peak of a process varies by a tenth between runs.
    assert kilobytes["on"] < kilobytes["off"] / 3


def test_bf16_follows_float32_for_50_steps_and_keeps_float32_weights() -> None:
    model = make_model()
    expected, found = losses(make_model(), steps=50), losses(model, steps=50, bf16=True)
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_tf32_on_a_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="without effect on cpu"):
        apply_switches(make_model(), **{**OFF, "tf32": True})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tf32_on_a_gpu_is_switched_on() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        apply_switches(make_model().cuda(), **{**OFF, "tf32": True})
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("compiler")
def test_a_missing_compiler_is_reported_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = make_model()
    with (
        torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(ConfigError, match="leave --compile out"),
    ):
        apply_switches(model, **{**OFF, "compile": True})
    assert torch.equal(gradients(model)[0], gradients(make_model())[0])
