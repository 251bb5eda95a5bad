"""LAMB and AdamW against the original's traces, their plain formulas, and laws that they obey."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from albert.checkpoint.names import from_original, name_of_original
from albert.config import AlbertConfig
from albert.model.language_models import AlbertForPreTraining
from albert.optim import foreach, formula
from albert.optim.optimizers import AdamW, Lamb, clip_gradients, global_norm, parameter_groups

OPTIMIZERS = {"lamb": Lamb, "adamw": AdamW}
FORMULAS = {"lamb": formula.lamb, "adamw": formula.adamw}
OPERATORS = [
    "_foreach_norm", "_foreach_mul_", "_foreach_add_", "_foreach_addcmul_", "_foreach_copy_", "_fused_adamw_",
]  # fmt: skip


@pytest.fixture(params=["fused", "without private operators"])
def _operators(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch as it is, and a torch that has none of the private operators."""
    if request.param != "fused":
        for name in OPERATORS:
            monkeypatch.delattr(torch, name)


@pytest.mark.usefixtures("_operators")
@pytest.mark.parametrize("decay", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_several_steps_equal_the_plain_formula(name: str, decay: float) -> None:
    torch.manual_seed(0)
    begin = [torch.randn(7, 5), 1e-3 * torch.randn(4, 3), torch.zeros(3, 2), torch.randn(6)]
    ours = [nn.Parameter(tensor.clone()) for tensor in begin]
    moments = [(torch.zeros_like(tensor), torch.zeros_like(tensor)) for tensor in begin]
    optimizer = OPTIMIZERS[name](ours, lr=0.02, betas=(0.9, 0.98), eps=1e-6, weight_decay=decay)
    for step in range(6):
        gradients = [torch.randn_like(tensor) for tensor in begin]
        gradients[3] *= step > 2  # an update of 0, where there is no decay
        for parameter, gradient in zip(ours, gradients, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
        for x, g, (m, v) in zip(begin, gradients, moments, strict=True):
            FORMULAS[name](x, g, m, v, lr=0.02, betas=(0.9, 0.98), eps=1e-6, decay=decay)
        for parameter, x in zip(ours, begin, strict=True):
            torch.testing.assert_close(parameter.detach(), x, atol=1e-6, rtol=2e-5)


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_on_lists_is_the_one_on_each_tensor(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def results() -> list[torch.Tensor]:
        torch.manual_seed(0)
        tensors, others = ([torch.randn(3, 4), torch.randn(5)] for _ in range(2))
        scales = torch.tensor([2.0, 3.0])
        norms = foreach.norms(tensors)
        foreach.multiply(tensors, torch.tensor(0.5))
        foreach.add(tensors, others, factor=0.1)
        foreach.add_scaled(tensors, others, scales, factor=0.1)
        copies = [torch.empty_like(tensor) for tensor in tensors]
        foreach.copy(copies, tensors)
        moments = ([torch.zeros_like(t) for t in tensors], [torch.zeros_like(t) for t in tensors])
        foreach.adam(tensors, others, moments, rate=0.1, betas=(0.9, 0.99), eps=1e-6, decay=0.1)
        return [norms, *tensors, *copies, *moments[0], *moments[1]]

    expected = results()
    monkeypatch.delattr(torch, name)
    torch.testing.assert_close(results(), expected, atol=1e-6, rtol=1e-6)


def test_gradients_are_clipped_to_exactly_the_norm_as_in_the_original() -> None:
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(2))]
    for parameter in parameters[:2]:
        parameter.grad = torch.randn_like(parameter)
    together = torch.cat([p.grad.flatten() for p in parameters[:2] if p.grad is not None])
    norm = global_norm(parameters)
    torch.testing.assert_close(norm, together.norm())
    clip_gradients(parameters, norm, max_norm=2 * float(norm))
    torch.testing.assert_close(global_norm(parameters), norm, atol=0, rtol=0)
    clip_gradients(parameters, norm, max_norm=1e-6)
    torch.testing.assert_close(global_norm(parameters), torch.tensor(1e-6), atol=0, rtol=1e-6)


@pytest.mark.parametrize("name", ["lamb", "adamw"])
def test_variables_after_every_step_equal_the_original(golden: Path, name: str) -> None:
    trace = np.load(golden / "optimizers.npz")
    start = f"{name}/start/"
    variables = [key.removeprefix(start) for key in trace.files if key.startswith(start)]
    parameters = {v: nn.Parameter(torch.tensor(trace[start + v])) for v in variables}
    optimizer = OPTIMIZERS[name](parameter_groups(nn.ParameterList(parameters.values()), weight_decay=0.01))
    for step, rate in enumerate(trace[f"{name}/learning_rate"]):
        norm = torch.tensor(trace[f"{name}/global_norm_used"][step])
        for variable, parameter in parameters.items():
            parameter.grad = torch.tensor(trace[f"{name}/step{step}/grad/{variable}"])
        clip_gradients(list(parameters.values()), norm, max_norm=1.0)
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.step()
        for variable, parameter in parameters.items():
            expected = torch.tensor(trace[f"{name}/step{step}/var/{variable}"])
            torch.testing.assert_close(parameter.detach(), expected, atol=3e-6, rtol=0)


@pytest.mark.reference
@pytest.mark.parametrize("name", ["lamb_onehot", "adamw_onehot", "lamb_onehot_unclipped"])
def test_whole_model_follows_the_trace_of_the_original(reference: Path, name: str) -> None:
    """Train the model of the trace step by step, with our own gradients and norm."""
    trace = dict(np.load(reference / "optim" / f"{name}.npz"))
    meta = json.loads(str(trace["meta"]))
    folder = reference / "ckpt_tiny"
    batch = {key: torch.tensor(value) for key, value in np.load(folder / "outputs.npz").items()}
    model = AlbertForPreTraining(AlbertConfig.from_json(folder / "albert_config.json")).eval()
    variables = {key: torch.tensor(value) for key, value in np.load(folder / "variables.npz").items()}
    model.load_state_dict(from_original(variables))
    optimizer = OPTIMIZERS[meta["optimizer"]](parameter_groups(model, weight_decay=0.01))
    parameters = list(model.parameters())
    compared = 0
    for step, rate in enumerate(trace["learning_rate"]):
        optimizer.zero_grad()
        loss = pretraining_loss(model, batch) * meta["loss_scale"]
        loss.backward()
        norm = global_norm(parameters)
        clip_gradients(parameters, norm, max_norm=1.0)
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.step()
        state = model.state_dict()
        for key, value in trace.items():
            if key.startswith(f"step{step}/var/"):
                variable = key.split("/var/")[1]
                expected = torch.tensor(value.T if variable.endswith("/kernel") else value)
                torch.testing.assert_close(state[name_of_original(variable)], expected, atol=3e-6, rtol=0)
                compared += 1
    assert compared >= len(variables)


def pretraining_loss(model: AlbertForPreTraining, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    labels = torch.full_like(batch["input_ids"], -100).long()
    for row in range(len(labels)):
        keep = batch["masked_lm_weights"][row] > 0
        labels[row, batch["masked_lm_positions"][row][keep].long()] = batch["masked_lm_ids"][row][keep].long()
    outputs = model(
        batch["input_ids"].long(),
        batch["input_mask"],
        batch["segment_ids"].long(),
        labels=labels,
        sentence_order_label=batch["next_sentence_labels"].flatten().long(),
    )
    assert outputs.loss is not None
    return outputs.loss


def test_lamb_changes_every_tensor_by_the_same_share_of_its_norm() -> None:
    torch.manual_seed(0)
    small, large = nn.Parameter(1e-3 * torch.randn(7, 5)), nn.Parameter(1e3 * torch.randn(5, 3))
    before = [small.detach().clone(), large.detach().clone()]
    for parameter in (small, large):
        parameter.grad = torch.randn_like(parameter)
    Lamb(parameter_groups(nn.ParameterList([small, large]), weight_decay=0.01), lr=0.01).step()
    for parameter, start in zip((small, large), before, strict=True):
        share = (parameter.detach() - start).norm() / start.norm()
        torch.testing.assert_close(share, torch.tensor(0.01), atol=1e-6, rtol=0)


def test_lamb_takes_a_plain_adam_step_for_tensors_of_norm_zero() -> None:
    parameter = nn.Parameter(torch.zeros(2, 3))
    twin = nn.Parameter(torch.zeros(2, 3))
    parameter.grad = torch.ones(2, 3)
    twin.grad = torch.ones(2, 3)
    Lamb([parameter], lr=0.5).step()
    AdamW([twin], lr=0.5).step()
    torch.testing.assert_close(parameter, twin)


def test_biases_and_norms_are_neither_decayed_nor_adapted() -> None:
    model = AlbertForPreTraining(
        AlbertConfig(
            vocab_size=31, embedding_size=6, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=12,
        )
    )  # fmt: skip
    decayed, rest = parameter_groups(model, weight_decay=0.01)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert len(decayed["params"]) + len(rest["params"]) == len(names)
    for parameter in rest["params"]:
        assert "bias" in names[id(parameter)] or "orm.weight" in names[id(parameter)]
    for parameter in decayed["params"]:
        assert "bias" not in names[id(parameter)]
        assert "orm" not in names[id(parameter)]
    assert (decayed["weight_decay"], decayed["adapt"]) == (0.01, True)
    assert (rest["weight_decay"], rest["adapt"]) == (0.0, False)


def test_optimizer_state_survives_a_round_trip() -> None:
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.randn(4, 3))
    first = Lamb([parameter])
    parameter.grad = torch.randn(4, 3)
    first.step()
    twin = nn.Parameter(parameter.detach().clone())
    second = Lamb([twin])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    parameter.grad = torch.randn(4, 3)
    twin.grad = parameter.grad.clone()
    first.step()
    second.step()
    assert torch.equal(parameter, twin)


@pytest.mark.parametrize("rate", [1e-6, 3e-6, 1e-5, 2e-5])
def test_weights_decay_correctly_at_the_rates_of_fine_tuning(rate: float) -> None:
    torch.manual_seed(0)
    begin, steps = torch.rand(400, 100) + 0.5, 300
    parameter = nn.Parameter(begin.clone())
    optimizer = AdamW([parameter], lr=rate, weight_decay=0.01)
    moved = 0.0
    for _ in range(steps):
        parameter.grad = torch.randn(400, 100)
        optimizer.step()
        state = optimizer.state[parameter]
        moved = moved + rate * state["exp_avg"].double() / (state["exp_avg_sq"].double().sqrt() + 1e-6)
    decayed = (begin.double() - moved - parameter.detach().double()).sum()
    assert decayed / (steps * rate * 0.01 * begin.double().sum()) == pytest.approx(1, abs=0.02)
