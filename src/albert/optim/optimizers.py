"""LAMB and the original's AdamW: Adam moments without bias correction, decoupled weight decay.

Both follow the original exactly: betas 0.9 and 0.999, epsilon 1e-6 outside the root, decay 0.01 for
everything but biases and layer normalisations. LAMB scales each tensor's update by |parameter| / |update| (1
where either is 0), again except for biases and normalisations. `formula` states both rules plainly; here
moments and parameters move in one pass over memory, by torch's fused kernel. Where weights are decayed or
scaled it moves a copy of them, which becomes the update; nothing else is allocated.
Source: `AdamWeightDecayOptimizer` (optimization.py), `LAMBOptimizer` (lamb_optimizer.py); You et al. (2020).
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from albert.optim import foreach


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups: what is decayed and given a trust ratio, and what is not.

    Biases and layer normalisations, which the original excludes by name, are exactly the parameters
    with one dimension.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {
            "params": [p for p in parameters if p.ndim > 1],
            "weight_decay": weight_decay,
            "adapt": True,
        },
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, "adapt": False},
    ]


class AdamW(Optimizer):
    """The original's Adam with decoupled weight decay and without bias correction.

    Args:
        params: Parameters, or groups from `parameter_groups`.
        lr: Learning rate.
        betas: Decay of the first and second moment.
        eps: Added to the root of the second moment.
        weight_decay: Decay of groups that do not set their own.
    """

    adapts = False
    """Whether updates are scaled by a trust ratio."""

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "adapt": True,
        }
        super().__init__(params, defaults)
        self._ratios: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure result
        """Move every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            adapts = self.adapts and group["adapt"]
            if not (adapts or group["weight_decay"]):
                self._move(parameters, parameters, group, rate=group["lr"], decay=0.0)
                continue
            # With lr 1 and decay 1 + wd the copy ends as -(m / (sqrt(v) + eps) + wd * p), minus the update.
            # Moving the parameter itself would multiply it by 1 - lr * wd, which float32 rounds badly.
            updates = [p.detach().clone() for p in parameters]
            self._move(updates, parameters, group, rate=1.0, decay=1.0 + group["weight_decay"])
            if adapts:
                self._ratios = _trust_ratios(updates, parameters)  # one per tensor
                foreach.add_scaled(parameters, updates, self._ratios, factor=group["lr"])
            else:
                foreach.add(parameters, updates, factor=group["lr"])

    @property
    def trust_ratios(self) -> tuple[float, float] | None:
        """The smallest and the largest trust ratio of the last step; None without any."""
        return None if self._ratios is None else (float(self._ratios.min()), float(self._ratios.max()))

    def _move(
        self,
        moved: list[Tensor],
        parameters: list[Tensor],
        group: dict[str, Any],
        *,
        rate: float,
        decay: float,
    ) -> None:
        """Advance the moments of `parameters`, and move `moved` by -rate * (update + decay * moved)."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        foreach.adam(
            moved,
            [p.grad for p in parameters if p.grad is not None],
            (
                [self.state[p]["exp_avg"] for p in parameters],
                [self.state[p]["exp_avg_sq"] for p in parameters],
            ),
            rate=rate,
            betas=group["betas"],
            eps=group["eps"],
            decay=decay,
        )


class Lamb(AdamW):
    """Layer-wise adaptive moments: `AdamW`, each tensor's update scaled by its trust ratio."""

    adapts = True


def _trust_ratios(updates: list[Tensor], parameters: list[Tensor]) -> Tensor:
    """Return |parameter| / |update| of each tensor, 1 where either is 0."""
    parameter_norms, update_norms = foreach.norms(parameters), foreach.norms(updates)  # one number per tensor
    usable = (parameter_norms > 0) & (update_norms > 0)
    return torch.where(usable, parameter_norms / update_norms, torch.ones_like(update_norms))


def make_optimizer(
    name: Literal["lamb", "adamw"], model: nn.Module, *, weight_decay: float, beta2: float = 0.999
) -> AdamW:
    """Return the optimiser `name` over the parameters of `model`, grouped by `parameter_groups`."""
    groups = parameter_groups(model, weight_decay=weight_decay)
    return {"lamb": Lamb, "adamw": AdamW}[name](groups, betas=(0.9, beta2))


def global_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Return the L2 norm over all gradients together, a scalar on their device."""
    return get_total_norm([p.grad for p in parameters if p.grad is not None])


def clip_gradients(parameters: Iterable[Tensor], norm: Tensor, *, max_norm: float) -> None:
    """Scale all gradients by `max_norm / norm` if their global `norm` exceeds `max_norm`.

    torch's `clip_grads_with_norm_` adds 1e-6 to the norm, which the original does not.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    foreach.multiply(gradients, max_norm / norm.clamp(min=max_norm))
