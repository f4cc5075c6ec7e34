"""StyleGAN2's discriminator (arXiv 1912.04958, figure 7c): residual blocks that blur before they
stride, and the standard deviation of each small group of images as one more feature (Karras et al.,
ICLR 2018, arXiv 1710.10196, section 3)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.models.equalized import SLOPE, SQRT2, EqualConv, EqualLinear, widths


class ResidualBlock(nn.Module):
    """(conv(conv(x)) + skip(x))/√2 at half the side; the factor is folded into the weights."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first = EqualConv(inputs, inputs, 3, gain=SQRT2)
        self.second = EqualConv(inputs, outputs, 3, gain=SQRT2 / SQRT2, down=True)
        self.skip = EqualConv(inputs, outputs, 1, gain=1 / SQRT2, bias=False, down=True)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        y = F.leaky_relu(self.first(x), SLOPE, inplace=True)
        y = F.leaky_relu(self.second(y), SLOPE, inplace=True)
        return y + self.skip(x)


class StyleGAN2Discriminator(nn.Module):
    """Images in [−1, 1] → one logit each, positive for 'real'. Widths mirror the generator's."""

    def __init__(self, channels: int = 3, size: int = 64, width: int = 16, max_width: int = 256):
        super().__init__()
        at = widths(size, width, max_width)
        sides = list(at)[::-1]
        self.from_rgb = EqualConv(channels, at[size], 1, gain=SQRT2)
        self.blocks = nn.Sequential(*(ResidualBlock(at[r], at[r // 2]) for r in sides[:-1]))
        self.conv = EqualConv(at[4] + 1, at[4], 3, gain=SQRT2)
        self.dense = EqualLinear(16 * at[4], at[4], gain=SQRT2)
        self.out = EqualLinear(at[4], 1)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        x = F.leaky_relu(self.from_rgb(images), SLOPE, inplace=True)
        x = with_group_deviation(self.blocks(x))
        x = F.leaky_relu(self.conv(x), SLOPE, inplace=True)
        x = F.leaky_relu(self.dense(x.flatten(1)), SLOPE)
        return self.out(x).squeeze(1)


def with_group_deviation(
    x: Float[Tensor, "n c h w"], *, group: int = 4
) -> Float[Tensor, "n c2 h w"]:
    """One more channel, the same number all over an image: how much its group varies.

    Image i is grouped with those n/group further on; the number is the standard deviation over
    the group, averaged over channels and pixels. Batches that `group` does not divide make smaller
    groups.
    """
    n, _, height, width = x.shape
    group = math.gcd(n, group)
    groups = x.unflatten(0, (group, n // group))
    variance = (groups - groups.mean(dim=0)).square().mean(dim=0)  # ten times faster than var()
    deviation = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))
    channel = deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, channel], dim=1)
