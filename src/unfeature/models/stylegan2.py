"""StyleGAN2's generator: Karras, Laine, Aittala, Hellsten, Lehtinen, Aila, "Analyzing and Improving
the Image Quality of StyleGAN" (CVPR 2020, arXiv 1912.04958).

    w = mapping(z)              z ~ N(0, I), brought to unit second moment; a slow MLP
    image = synthesis(w)        a learned 4×4 constant, grown by convolutions whose weights w scales

Two departures, both for speed on a CPU: the modulated convolution scales activations instead of
weights (section 2.2 shows the two equal), and the width falls to 16 channels at full resolution.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.models.equalized import (
    SLOPE,
    SQRT2,
    EqualLinear,
    binomial,
    blur,
    upsample,
    widths,
)

Noise = Literal["const", "random"] | Sequence[Tensor]
"""Fixed buffers, fresh noise from an `rng`, or one (n, 1, r, r) tensor a layer."""


class MappingNetwork(nn.Module):
    """z → w: normalisation, then `layers` linear layers at a hundredth of the learning rate.

    Attributes:
        w_mean: moving mean of w over the training, the centre of truncation.
    """

    w_mean: Tensor

    def __init__(self, latent_dim: int, w_dim: int, layers: int):
        super().__init__()
        sides = [latent_dim] + [w_dim] * layers
        self.layers = nn.ModuleList(
            EqualLinear(i, o, gain=SQRT2, rate=0.01) for i, o in pairwise(sides)
        )
        self.register_buffer("w_mean", torch.zeros(w_dim))

    def forward(self, z: Float[Tensor, "n z"]) -> Float[Tensor, "n w"]:
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        return x

    @torch.no_grad()
    def follow(self, w: Float[Tensor, "n w"], *, decay: float = 0.995) -> None:
        """w_mean ← decay·w_mean + (1 − decay)·mean(w)."""
        if w.isfinite().all():
            self.w_mean.lerp_(w.mean(0), 1 - decay)


class ModulatedConv(nn.Module):
    """A convolution whose weights a style s scales (equations 1 to 3).

    w'_ijk = s_i·w_ijk and w''_ijk = w'_ijk / √(Σ_ik w'²_ijk + ε) for input channel i, output
    channel j, tap k. Instead of building w'' for each image, the input is multiplied by s_i,
    convolved with the shared w, and the result multiplied by d_j = 1/√(Σ_i s_i² Σ_k w²_ijk + ε).

    Args:
        demodulate: multiply by d (all layers but toRGB).
        up: double the side: a strided transposed convolution, then the [1, 3, 3, 1] filter.
        gain: multiplies the result; it is folded into d where there is one.
    """

    binomial: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        w_dim: int,
        *,
        demodulate: bool = True,
        up: bool = False,
        gain: float = 1.0,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.style = EqualLinear(w_dim, inputs, bias=1.0)
        self.scale = 1 / math.sqrt(inputs * kernel * kernel)
        self.padding, self.demodulate, self.up, self.gain = kernel // 2, demodulate, up, gain
        if up:
            self.register_buffer("binomial", binomial(outputs, gain=4.0), persistent=False)

    def forward(
        self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n w_dim"]
    ) -> tuple[Float[Tensor, "n o h2 w2"], Float[Tensor, "#n o 1 1"]]:
        """The convolution and the factor d it is still to be multiplied by."""
        s = self.style(w)
        weight = self.weight * (self.scale if self.demodulate else self.scale * self.gain)
        x = x * s[:, :, None, None]
        if self.up:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = blur(x, self.binomial, pad=1)
        else:
            x = F.conv2d(x, weight, padding=self.padding)
        if not self.demodulate:
            return x, x.new_ones(1, x.shape[1], 1, 1)
        power = s.square() @ weight.square().sum(dim=(2, 3)).T
        return x, ((power + 1e-8).rsqrt() * self.gain)[:, :, None, None]


class StyledLayer(nn.Module):
    """√2·lrelu(modulated convolution + bias + strength · noise); the strength starts at zero."""

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, w_dim: int, size: int, *, up: bool):
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, w_dim, up=up, gain=SQRT2)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(1, 1, size, size))

    def forward(
        self,
        x: Float[Tensor, "n i h w"],
        w: Float[Tensor, "n w_dim"],
        noise: Float[Tensor, "#n 1 h2 w2"],
    ) -> Float[Tensor, "n o h2 w2"]:
        x, factor = self.conv(x, w)
        x = torch.addcmul((self.bias * SQRT2)[:, None, None], x, factor)
        x = x + noise * (self.strength * SQRT2)
        return F.leaky_relu(x, SLOPE, inplace=True)


class ToRGB(nn.Module):
    """A 1×1 modulated convolution without demodulation: features → what they add to the image."""

    def __init__(self, inputs: int, channels: int, w_dim: int):
        super().__init__()
        self.conv = ModulatedConv(inputs, channels, 1, w_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n w_dim"]
    ) -> Float[Tensor, "n c h w"]:
        return self.conv(x, w)[0] + self.bias[:, None, None]


class SynthesisNetwork(nn.Module):
    """w → images: two styled layers a resolution (one at 4×4), skip connections to RGB (figure 7b).

    Attributes:
        num_ws: how many layers take a w of their own: 2·log₂(size) − 2. A toRGB takes the same w as
            the layer after it.
    """

    def __init__(self, w_dim: int, channels: int, size: int, width: int, max_width: int):
        super().__init__()
        at = widths(size, width, max_width)
        self.constant = nn.Parameter(torch.randn(1, at[4], 4, 4))
        self.layers = nn.ModuleList([StyledLayer(at[4], at[4], w_dim, 4, up=False)])
        self.to_rgb = nn.ModuleList([ToRGB(at[4], channels, w_dim)])
        for side in list(at)[1:]:
            self.layers.append(StyledLayer(at[side // 2], at[side], w_dim, side, up=True))
            self.layers.append(StyledLayer(at[side], at[side], w_dim, side, up=False))
            self.to_rgb.append(ToRGB(at[side], channels, w_dim))
        self.num_ws = len(self.layers) + 1

    def forward(
        self,
        w: Float[Tensor, "n w_dim"] | Float[Tensor, "n layers w_dim"],
        noise: Noise = "const",
        rng: torch.Generator | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """Images of about [−1, 1], not clamped.

        Args:
            w: one for all layers, or one for each of `num_ws`.
            noise: "const" makes an image a function of w alone; "random" needs `rng` (CPU).
        """
        ws = w[:, None].expand(-1, self.num_ws, -1) if w.ndim == 2 else w
        noises = self.noises(len(w), noise, rng)
        x = self.layers[0](self.constant.expand(len(w), -1, -1, -1), ws[:, 0], noises[0])
        image = self.to_rgb[0](x, ws[:, 1])
        for k, to_rgb in enumerate(list(self.to_rgb)[1:]):
            i = 2 * k + 1
            x = self.layers[i](x, ws[:, i], noises[i])
            x = self.layers[i + 1](x, ws[:, i + 1], noises[i + 1])
            image = upsample(image) + to_rgb(x, ws[:, i + 2])
        return image

    def noises(self, n: int, noise: Noise, rng: torch.Generator | None) -> list[Tensor]:
        """One tensor a styled layer."""
        fixed = [layer.get_buffer("noise") for layer in self.layers]
        if noise == "const":
            return fixed
        if noise == "random":
            assert rng is not None, "random noise needs an rng"
            return [torch.randn(n, *b.shape[1:], generator=rng).to(b.device) for b in fixed]
        return list(noise)


class StyleGAN2Generator(nn.Module):
    """z of `latent_dim` normals → `channels` × `size` × `size` images of about [−1, 1].

    Args:
        size: a power of two from 8 on.
        width: channels at full resolution; they double with each halving, up to `max_width`.
    """

    def __init__(
        self,
        latent_dim: int = 256,
        w_dim: int = 256,
        channels: int = 3,
        size: int = 64,
        width: int = 16,
        max_width: int = 256,
        mapping_layers: int = 4,
    ):
        super().__init__()
        self.latent_shape = (latent_dim,)
        self.image_shape = (channels, size, size)
        self.synthesis = SynthesisNetwork(w_dim, channels, size, width, max_width)
        self.mapping = MappingNetwork(latent_dim, w_dim, mapping_layers)

    def forward(self, z: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        return self.synthesis(self.mapping(z))

    def truncate(self, w: Float[Tensor, "*n w_dim"], psi: float) -> Float[Tensor, "*n w_dim"]:
        """w_mean + ψ·(w − w_mean): nearer to the average picture for ψ < 1 (ψ = 1: w itself)."""
        if psi == 1:
            return w
        mean = self.mapping.w_mean
        return mean + psi * (w - mean)
