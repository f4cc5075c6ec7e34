"""Elastic weight consolidation: Kirkpatrick et al., "Overcoming catastrophic forgetting in neural
networks" (PNAS 2017, arXiv 1612.00796), equation 3:

    penalty(θ) = λ/2 · Σ_i F_i · (θ_i − θ*_i)²

with F the diagonal of the Fisher information at θ*.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Weights = list[Tensor]


def fisher(module: nn.Module, losses: Iterable[Tensor]) -> Weights:
    """The mean square of each weight's gradient of −log p, one sample a loss.

    Args:
        losses: scalars, each the −log p of one sample, made one by one as they are asked for.
    """
    parameters = list(module.parameters())
    totals = [torch.zeros_like(p) for p in parameters]
    count = 0
    for loss in losses:
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for total, gradient in zip(totals, gradients, strict=True):
            if gradient is not None:
                total.addcmul_(gradient, gradient)
        count += 1
    return [total / count for total in totals]


def consolidation(
    weight: float, importance: Weights, start: nn.Module
) -> Callable[[nn.Module], Tensor]:
    """The penalty, as a function of the module that learns.

    Args:
        weight: λ.
        importance: F.
        start: holds θ*.
    """
    anchors = [p.detach().clone() for p in start.parameters()]

    def penalty(module: nn.Module) -> Tensor:
        rows = zip(importance, module.parameters(), anchors, strict=True)
        return weight / 2 * torch.stack([(f * (p - a).square()).sum() for f, p, a in rows]).sum()

    return penalty
