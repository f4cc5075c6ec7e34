"""What is done to weights beside the optimiser: a moving average, and a pull back to the start."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, decay: float, step: int) -> None:
    """average ← d·average + (1 − d)·model, with d = min(decay, (1 + step)/(10 + step)).

    This is Polyak averaging. The ramp lets the average follow the model during its first steps.
    Buffers (batch statistics, counters) are averaged where they are real numbers and copied where
    they are not.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    targets: list[Tensor] = list(average.parameters())
    sources: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(targets, sources, weight)
    for target, source in zip(average.buffers(), model.buffers(), strict=True):
        if target.is_floating_point():
            target.lerp_(source, weight)
        else:
            target.copy_(source)


@torch.no_grad()
def pull_back(model: nn.Module, start: nn.Module, share: float) -> None:
    """model ← model + share · (start − model), for every parameter.

    The decay of a penalty on the squared distance from pre-trained weights (L²-SP: Li, Grandvalet,
    Davoine, ICML 2018, arXiv 1802.01483), decoupled from the gradient as in AdamW (Loshchilov,
    Hutter, ICLR 2019, arXiv 1711.05101). Unlike AdamW's it does not shrink with the step size, so
    towards the end, when steps are short, what they do not hold comes back.
    """
    weights: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(weights, list(start.parameters()), share)
