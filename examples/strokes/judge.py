"""Thickness and slant of digits as a network sees them: a second opinion on the functions.

`unfeature.features.digits` labels, and what labels is what g learns to satisfy: a few specks can
tilt the moments that `slant` is made of while the digit leans as before. This network (a narrow
ResNet) learnt both from MNIST's own digits with specks and gaps strewn over them, each to be
answered as the function answers without these; how well it does stands in docs/results.md. Nothing
is ever trained against it. For `evaluate.closely`:

    [evaluate.closely]
    function = "examples.strokes.judge:slant"

Its weights are made by `python -m examples.strokes.train`.
"""

from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from unfeature.models.resnet import ResNet

WEIGHTS = Path(__file__).with_name("judge.safetensors")
THICKNESS, SLANT = 0, 1


class Strokes(nn.Module):
    """Images in [−1, 1], 1×28×28 → (n, 2): thickness in pixels, slant in degrees."""

    middle: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = ResNet(outputs=2, channels=1, width=8, stem_stride=1)
        self.register_buffer("middle", torch.zeros(2))
        self.register_buffer("spread", torch.ones(2))

    def forward(self, images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 2"]:
        return self.network(images) * self.spread + self.middle


@cache
def network() -> Strokes:
    """The trained one, frozen."""
    model = Strokes()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval().requires_grad_(False)


def thickness(images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, " n"]:
    """Stroke width in pixels, as the network sees it."""
    return network().to(images.device)(images)[:, THICKNESS]


def slant(images: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, " n"]:
    """Degrees from upright, negative to the left, as the network sees it."""
    return network().to(images.device)(images)[:, SLANT]
