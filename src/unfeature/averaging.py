"""Exponential moving average of weights (Polyak averaging)."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, decay: float, step: int) -> None:
    """average ← d·average + (1 − d)·model, with d = min(decay, (1 + step)/(10 + step)).

    The ramp lets the average follow the model during its first steps. Buffers (batch statistics,
    counters) are averaged where they are real numbers and copied where they are not.
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
