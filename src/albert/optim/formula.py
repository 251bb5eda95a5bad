"""LAMB and the original's AdamW as plain formulas, one tensor at a time.

This is the readable statement of what `optimizers` computes, and the reference that it is tested against.
Training uses the fused ones: they go over memory once, where each line here goes over it again.
Letters: x the parameter, g its gradient, m and v the moments, r the update, as in the paper.
Source: `LAMBOptimizer` (lamb_optimizer.py), `AdamWeightDecayOptimizer` (optimization.py); You et al. (2020),
algorithm 2, without its bias correction, as in the original.
"""

import torch
from torch import Tensor


def adamw(
    x: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> None:
    """Take one step of AdamW, in place."""
    m.copy_(betas[0] * m + (1 - betas[0]) * g)
    v.copy_(betas[1] * v + (1 - betas[1]) * g**2)
    r = m / (v.sqrt() + eps) + decay * x
    x.sub_(lr * r)


def lamb(
    x: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
) -> None:
    """Take one step of LAMB, in place: AdamW's update, scaled by the trust ratio |x| / |r|."""
    m.copy_(betas[0] * m + (1 - betas[0]) * g)
    v.copy_(betas[1] * v + (1 - betas[1]) * g**2)
    r = m / (v.sqrt() + eps) + decay * x
    x_norm, r_norm = x.norm(), r.norm()
    ratio = torch.where((x_norm > 0) & (r_norm > 0), x_norm / r_norm, 1.0)
    x.sub_(lr * ratio * r)
