"""LAMB and the original's AdamW: Adam moments without bias correction, decoupled weight decay.

Both are the original's to the letter: betas 0.9 and 0.999, epsilon 1e-6 outside the root, decay 0.01 for
everything but biases and layer normalisations. LAMB scales each tensor's update by |parameter| / |update|
(1 where either is 0), again except for biases and normalisations.
Source: `AdamWeightDecayOptimizer` (optimization.py), `LAMBOptimizer` (lamb_optimizer.py); You et al. (2020).
Moments and parameters move in one pass over memory, by torch's fused kernel. It corrects the bias of the
moments by their age, which counts no more at the age of `_OLD`. Where weights are decayed or adapted it moves
a copy of them, which becomes the update; nothing else is allocated.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_OLD = 1e9
"""Steps after which beta to their power is 0, for every beta up to 0.9999999."""


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Returns two parameter groups: what is decayed (and given a trust ratio), and what is not.

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
    """The original's Adam with decoupled weight decay; it corrects no bias.

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
        """Moves every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            adapts = self.adapts and group["adapt"]
            if not (adapts or group["weight_decay"]):
                self._move(parameters, parameters, group, rate=group["lr"], decay=0.0)
                continue
            # A step of 1 whose decay takes the copy itself away: what is left is minus the update. Moving the
            # parameter itself would multiply it by 1 - rate * decay, which float32 rounds to 1 or far off.
            updates = [p.detach().clone() for p in parameters]
            self._move(updates, parameters, group, rate=1.0, decay=1.0 + group["weight_decay"])
            if adapts:
                self._ratios = _trust_ratios(updates, parameters)
                ratios = list(self._ratios.unbind())
                torch._foreach_addcmul_(parameters, updates, ratios, value=group["lr"])
            else:
                torch._foreach_add_(parameters, updates, alpha=group["lr"])

    @property
    def trust_ratios(self) -> tuple[float, float] | None:
        """The smallest and the largest trust ratio of the last step; None where there are none."""
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
        """Advances the moments of `parameters` and moves `moved`: m := m - rate (update + decay m)."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        beta1, beta2 = group["betas"]
        torch._fused_adamw_(
            moved,
            [p.grad for p in parameters if p.grad is not None],
            [self.state[p]["exp_avg"] for p in parameters],
            [self.state[p]["exp_avg_sq"] for p in parameters],
            [],
            [torch.full((), _OLD, dtype=torch.float32, device=parameters[0].device)] * len(parameters),
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=decay,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )


class Lamb(AdamW):
    """Layer-wise adaptive moments: `AdamW`, each tensor's update scaled by its trust ratio."""

    adapts = True


def _trust_ratios(updates: list[Tensor], parameters: list[Tensor]) -> Tensor:
    """Returns |parameter| / |update| of each, 1 where either is 0."""
    parameter_norms = torch.stack(torch._foreach_norm(parameters))
    update_norms = torch.stack(torch._foreach_norm(updates))
    usable = (parameter_norms > 0) & (update_norms > 0)
    return torch.where(usable, parameter_norms / update_norms, torch.ones_like(update_norms))


def make_optimizer(
    name: Literal["lamb", "adamw"], model: nn.Module, *, weight_decay: float, beta2: float = 0.999
) -> AdamW:
    """Returns the optimiser `name` over the parameters of `model`, grouped by `parameter_groups`."""
    groups = parameter_groups(model, weight_decay=weight_decay)
    return {"lamb": Lamb, "adamw": AdamW}[name](groups, betas=(0.9, beta2))


def global_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Returns the L2 norm over all gradients together, a scalar on their device."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def clip_gradients(parameters: Iterable[Tensor], norm: Tensor, *, max_norm: float) -> None:
    """Scales all gradients by `max_norm / norm` where their global `norm` exceeds `max_norm`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    scale = max_norm / norm.clamp(min=max_norm)
    torch._foreach_mul_(gradients, scale)
