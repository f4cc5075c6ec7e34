"""What both networks of StyleGAN2 are built from: layers with an equalised learning rate, and
resampling with the binomial filter [1, 3, 3, 1].

Equalised learning rate (Karras et al., ICLR 2018, arXiv 1710.10196, section 4.1): weights are drawn
from N(0, 1) and multiplied by gain/√fan_in each time they are used, so that Adam, whose steps do
not depend on the gradient's scale, moves every layer at the same relative speed. A multiplier λ < 1
slows a layer down: weights start at N(0, 1/λ²) and are used times λ.

Leaky ReLU(0.2) is followed by a gain of √2 throughout. It is positively homogeneous,
√2·lrelu(x) = lrelu(√2·x), so layers fold the gain into their weights: one pass over the
activations less.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.errors import UserError

SLOPE = 0.2
SQRT2 = math.sqrt(2)


def widths(size: int, width: int, max_width: int) -> dict[int, int]:
    """Channels at each resolution r = 4, 8, … `size`: min(max_width, width · size / r).

    Raises:
        UserError: `size` is no power of two from 8 on.
    """
    if size < 8 or size & (size - 1):
        raise UserError(
            f"size is {size}; StyleGAN2 draws images whose side is a power of two from 8 on, "
            "e.g. 32 or 64"
        )
    powers = range(2, size.bit_length())
    return {2**k: min(max_width, width * size // 2**k) for k in powers}


class EqualLinear(nn.Module):
    """y = (λ·gain/√in)·W·x + (λ·gain)·b, with W ~ N(0, 1/λ²) and b = `bias`/λ at the start."""

    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, gain: float = 1.0, rate: float = 1.0
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.bias_scale = gain * rate / math.sqrt(inputs), gain * rate

    def forward(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        return F.linear(x, self.weight * self.scale, self.bias * self.bias_scale)


class EqualConv(nn.Module):
    """A convolution with weights gain/√fan_in · N(0, 1), blurred and strided when `down`."""

    binomial: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        gain: float = 1.0,
        bias: bool = True,
        down: bool = False,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain, self.scale = gain, gain / math.sqrt(inputs * kernel * kernel)
        self.down, self.kernel = down, kernel
        if down:
            self.register_buffer("binomial", binomial(inputs), persistent=False)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        bias = None if self.bias is None else self.bias * self.gain
        weight = self.weight * self.scale
        if not self.down:
            return F.conv2d(x, weight, bias, padding=self.kernel // 2)
        if self.kernel == 1:  # the pixels that a stride would skip need no filter
            return F.conv2d(blur(x, self.binomial, pad=1, stride=2), weight, bias)
        return F.conv2d(blur(x, self.binomial, pad=2), weight, bias, stride=2)


def binomial(channels: int, *, gain: float = 1.0) -> Float[Tensor, "c 1 4 4"]:
    """The outer product of [1, 3, 3, 1]/8 with itself, times `gain`, once a channel."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return (gain * line.outer(line)).repeat(channels, 1, 1, 1)


def blur(
    x: Float[Tensor, "n c h w"], kernel: Float[Tensor, "c 1 4 4"], *, pad: int, stride: int = 1
) -> Float[Tensor, "n c h2 w2"]:
    """Each channel filtered by itself, zeros around the edge."""
    return F.conv2d(x, kernel, stride=stride, padding=pad, groups=x.shape[1])


def upsample(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Twice the side: zeros in between, then [1, 3, 3, 1]/4 along both axes, the edges repeated.

    That is bilinear interpolation: each new pixel is 3/4 of the nearer old one and 1/4 of the next.
    """
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
