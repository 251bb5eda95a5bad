"""One optimiser step on the parameters of a model with given gradients.

No library we compare with has LAMB, so ours is compared with a direct implementation of the paper: a loop
over the tensors. torch's AdamW is measured too, for speed only: it computes no norms, and it corrects biases,
which the original's AdamW does not.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from albert.benchmarks.timing import Candidate, Job, Outcome, Run
from albert.benchmarks.workload import PRETRAINING, Workload
from albert.optim.optimizers import make_optimizer, parameter_groups

LEARNING_RATE = 0.1
"""Far too high for training: each step must move the weights by much more than the tolerance."""
WEIGHT_DECAY = 0.01
TOLERANCE = 1e-6
PROBE_SIZE = 64
"""How many numbers of each tensor are compared."""

Step = Callable[[], Any]


def optimizer_job(work: Workload) -> Job:
    """Return the job: one step of LAMB, and of other optimisers on the same parameters."""
    rows: list[tuple[str, Callable[[Any], Step], float | None, str]] = [
        ("albert, LAMB", partial(_our_step, "lamb"), TOLERANCE, ""),
        ("LAMB, tensor by tensor", _plain_lamb, TOLERANCE, "written from the paper"),
        ("albert, AdamW", partial(_our_step, "adamw"), None, "no trust ratios"),
        (
            "torch, AdamW, foreach",
            partial(_torch_step, fused=False),
            None,
            "no trust ratios, biases corrected",
        ),
        ("torch, AdamW, fused", partial(_torch_step, fused=True), None, "no trust ratios, biases corrected"),
    ]
    candidates = [
        Candidate(name=name, make=partial(_run, work, make), tolerance=tolerance, note=note)
        for name, make, tolerance, note in rows
    ]
    return Job(name="optimiser step", unit="step", candidates=candidates)


def _run(work: Workload, make: Callable[[Any], Step]) -> Run:
    """Return a run that makes one step on its own model; all models have the same weights."""
    model = work.new_model(PRETRAINING)
    generator = torch.Generator(work.device).manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, device=work.device)
    step = make(model)

    def run() -> Outcome:
        step()
        probes = [parameter.detach().flatten()[:PROBE_SIZE].cpu() for parameter in model.parameters()]
        return torch.cat(probes).double().numpy()

    return run


def _our_step(name: Any, model: Any) -> Step:
    optimizer = make_optimizer(name, model, weight_decay=WEIGHT_DECAY)
    for group in optimizer.param_groups:
        group["lr"] = LEARNING_RATE
    return optimizer.step


def _torch_step(model: Any, *, fused: bool) -> Step:
    groups = [
        {key: group[key] for key in ("params", "weight_decay")}
        for group in parameter_groups(model, weight_decay=WEIGHT_DECAY)
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, fused=fused, foreach=not fused).step


def _plain_lamb(model: Any) -> Step:
    """Return the step of You et al. (2020), algorithm 2, without bias correction, as in the original."""
    moments: dict[Tensor, tuple[Tensor, Tensor]] = {
        p: (torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()
    }

    @torch.no_grad()
    def step() -> None:
        for parameter, (first, second) in moments.items():
            gradient = parameter.grad
            assert gradient is not None
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            update = first / (second.sqrt() + 1e-6)
            ratio = 1.0
            if parameter.ndim > 1:
                update += WEIGHT_DECAY * parameter
                norm, update_norm = parameter.norm().item(), update.norm().item()
                ratio = norm / update_norm if norm > 0 and update_norm > 0 else 1.0
            parameter.sub_(update, alpha=LEARNING_RATE * ratio)

    return step
