"""MobileNetV3-small: Howard et al., "Searching for MobileNetV3" (ICCV 2019, arXiv 1905.02244),
table 2. The paper on feature unlearning labels and judges with it; at 64×64 pixels and half the
width it costs a CPU little.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Row(NamedTuple):
    """One line of table 2: kernel, channels within and after, squeeze-excite, h-swish, stride."""

    kernel: int
    expanded: int
    outputs: int
    squeezed: bool
    hard_swish: bool
    stride: int


SMALL = (
    Row(3, 16, 16, True, False, 2),
    Row(3, 72, 24, False, False, 2),
    Row(3, 88, 24, False, False, 1),
    Row(5, 96, 40, True, True, 2),
    Row(5, 240, 40, True, True, 1),
    Row(5, 240, 40, True, True, 1),
    Row(5, 120, 48, True, True, 1),
    Row(5, 144, 48, True, True, 1),
    Row(5, 288, 96, True, True, 2),
    Row(5, 576, 96, True, True, 1),
    Row(5, 576, 96, True, True, 1),
)
STEM, LAST, HIDDEN = 16, 576, 1024


def whole(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, 8 at least, and never below nine tenths of it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class SqueezeExcite(nn.Module):
    """x · h-σ(W₂ ReLU(W₁ mean(x))): every channel weighed by what the whole picture holds."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, whole(channels / 4), 1)
        self.excite = nn.Conv2d(whole(channels / 4), channels, 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        weights = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))))
        return x * F.hardsigmoid(weights)


class InvertedResidual(nn.Module):
    """Expand (1×1), filter each channel, squeeze-excite, project (1×1, linear); + x where the
    shape stays.
    """

    def __init__(self, inputs: int, row: Row):
        super().__init__()
        self.residual = row.stride == 1 and inputs == row.outputs
        layers: list[nn.Module] = []
        if row.expanded != inputs:
            layers += _conv(inputs, row.expanded, 1, hard_swish=row.hard_swish)
        layers += _conv(
            row.expanded,
            row.expanded,
            row.kernel,
            stride=row.stride,
            groups=row.expanded,
            hard_swish=row.hard_swish,
        )
        if row.squeezed:
            layers.append(SqueezeExcite(row.expanded))
        layers += _conv(row.expanded, row.outputs, 1, hard_swish=None)
        self.block = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        return x + self.block(x) if self.residual else self.block(x)


class MobileNetV3(nn.Module):
    """Images in [−1, 1] of any size from 32×32 up → `outputs` logits.

    `features` gives the activations before the last layer, 1024 · `width` of them. The paper's
    dropout is left out: it would draw from the global generator.

    Args:
        width: multiplies the channels of every layer.
        stem_stride: stride of the first convolution; 2 as in the paper.
        first_stride: stride of the first block; 2 as in the paper. With 1, 64×64 pictures end as
            4×4 and not as 2×2.
    """

    def __init__(
        self,
        outputs: int = 1000,
        channels: int = 3,
        width: float = 1.0,
        stem_stride: int = 2,
        first_stride: int = 2,
    ):
        super().__init__()
        self.image_channels = channels
        inputs = whole(STEM * width)
        layers = _conv(channels, inputs, 3, stride=stem_stride, hard_swish=True)
        for i, row in enumerate(SMALL):
            scaled = row._replace(
                expanded=whole(row.expanded * width),
                outputs=whole(row.outputs * width),
                stride=row.stride if i else first_stride,
            )
            layers.append(InvertedResidual(inputs, scaled))
            inputs = scaled.outputs
        last, hidden = whole(LAST * width), whole(HIDDEN * width)
        layers += _conv(inputs, last, 1, hard_swish=True)
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, hidden), nn.Hardswish()]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(hidden, outputs)

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.trunk(images.contiguous(memory_format=torch.channels_last))  # faster on CPUs

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.head(self.features(images))


def _conv(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    hard_swish: bool | None,
) -> list[nn.Module]:
    """Convolution, batch normalisation, and h-swish, ReLU or (None) nothing."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=0.001),
    ]
    if hard_swish is not None:
        layers.append(nn.Hardswish(inplace=True) if hard_swish else nn.ReLU(inplace=True))
    return layers
