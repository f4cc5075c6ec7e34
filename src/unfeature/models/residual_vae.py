"""A residual VAE for colour pictures, cheap enough to train on one CPU core.

A Gaussian posterior as in Kingma, Welling, "Auto-Encoding Variational Bayes" (ICLR 2014, arXiv
1312.6114); a Gaussian prior, a flow (`unfeature.models.flow`) or one that is learnt afterwards
(`unfeature.models.transport`); the likelihood is `CalibratedLikelihood`. What makes it
cheap:

- No normalisation layers, so an image depends on its own latent alone. Each residual branch
  starts at zero and the network as a linear map, which is what keeps it trainable: Zhang,
  Dauphin, Ma, "Fixup Initialization" (ICLR 2019, arXiv 1901.09321).
- Nothing is computed at full size: pictures are read and drawn in patches of 2×2 pixels, as in
  Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
  Convolutional Neural Network" (CVPR 2016, arXiv 1609.05158). The four pixels of a patch start
  equal, against checkerboards: Aitken et al. (2017, arXiv 1707.02937).
- Activations lie channels last in memory, which more than doubles a CPU's speed where they are
  few.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.errors import UserError
from unfeature.models.flow import Flow, gaussian
from unfeature.models.judge_features import PerceptualDistance
from unfeature.models.transport import Transport, frozen
from unfeature.msssim import MSSSIM

PATCH = 2
SMALLEST = 1e-4
"""The distortion is held above this, below which its logarithm would run away."""


def levels(size: int, width: int, max_width: int) -> list[int]:
    """Channels at sides 4, 8, …, size/2: min(max_width, width · size / side).

    Raises:
        UserError: `size` is no power of two, or less than 16.
    """
    if size < 16 or size & (size - 1):
        raise UserError(
            f"'residual-vae' cannot draw images of {size}×{size}; their side must be a power of "
            "two, 16 or more (give --size)"
        )
    sides = [4 << i for i in range(size.bit_length() - 3)]
    return [min(max_width, width * size // side) for side in sides]


def residual(channels: int, out: int, *, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that starts as zero."""
    conv = nn.Conv2d(channels, out, 3, stride=stride, padding=1)
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


class UpBlock(nn.Module):
    """Twice the side: two residual convolutions, one before and one after the upsampling."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.skip = nn.Conv2d(channels, out, 1)
        self.before = residual(channels, out)
        self.after = residual(out, out)

    def forward(self, x: Float[Tensor, "n a h w"]) -> Float[Tensor, "n b 2*h 2*w"]:
        x = self.skip(x) + self.before(F.silu(x))
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return x + self.after(F.silu(x))


class DownBlock(nn.Module):
    """Half the side: two residual convolutions, the first of stride 2."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.skip = nn.Conv2d(channels, out, 1)
        self.before = residual(channels, out, stride=2)
        self.after = residual(out, out)

    def forward(self, x: Float[Tensor, "n a h w"]) -> Float[Tensor, "n b h//2 w//2"]:
        x = self.skip(F.avg_pool2d(x, 2)) + self.before(F.silu(x))
        return x + self.after(F.silu(x))


class ResidualDecoder(nn.Module):
    """`latent_dim` normals → `channels` × `size` × `size` images in [−1, 1].

    Args:
        size: a power of two, 16 or more.
        width, max_width: at side r there are min(max_width, width · size / r) channels.
        flow: coupling layers of the flow that turns the normals into the latents that are decoded;
            without, these are the normals.
        transport: blocks of a `Transport` that does so instead; it stays as it is.
    """

    def __init__(
        self,
        latent_dim: int = 64,
        channels: int = 3,
        size: int = 64,
        width: int = 16,
        max_width: int = 128,
        flow: int = 0,
        transport: int = 0,
    ):
        super().__init__()
        self.flow = Flow(latent_dim, flow) if flow else None
        self.transport = frozen(Transport(latent_dim, transport)) if transport else None
        self.latent_shape = (latent_dim,)
        self.image_shape = (channels, size, size)
        counts = levels(size, width, max_width)
        self.project = nn.Linear(latent_dim, counts[0] * 4 * 4)
        self.blocks = nn.Sequential(*(UpBlock(a, b) for a, b in pairwise(counts)))
        self.draw = nn.Conv2d(counts[-1], channels * PATCH**2, 3, padding=1)
        with torch.no_grad():
            start = self.draw.weight[:: PATCH**2].repeat_interleave(PATCH**2, dim=0)
            self.draw.weight.copy_(start)
            assert self.draw.bias is not None
            self.draw.bias.zero_()

    def forward(self, latents: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        prior = self.flow if self.transport is None else self.transport
        return self.decode(latents if prior is None else prior(latents))

    def decode(self, latents: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        """The images of what an encoder gives: latents behind the prior, where it is learnt."""
        x = self.project(latents).view(len(latents), -1, 4, 4)
        x = self.blocks(x.contiguous(memory_format=torch.channels_last))
        patches = self.draw(F.silu(x))
        return torch.tanh(F.pixel_shuffle(patches, PATCH)).contiguous()


class ResidualEncoder(nn.Module):
    """Images in [−1, 1] → mean and log-variance of q(z | x), each of shape (n, latent_dim).

    The decoder mirrored. It starts at the prior for every image: mean 0, log-variance 0.
    """

    def __init__(
        self,
        latent_dim: int = 64,
        channels: int = 3,
        size: int = 64,
        width: int = 16,
        max_width: int = 128,
    ):
        super().__init__()
        counts = levels(size, width, max_width)[::-1]
        self.read = nn.Conv2d(channels * PATCH**2, counts[0], 3, padding=1)
        self.blocks = nn.Sequential(*(DownBlock(a, b) for a, b in pairwise(counts)))
        self.head = nn.Linear(counts[-1] * 4 * 4, 2 * latent_dim)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, images: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        patches = F.pixel_unshuffle(images, PATCH)
        x = self.blocks(self.read(patches.contiguous(memory_format=torch.channels_last)))
        mean, log_variance = self.head(F.silu(x).flatten(1)).chunk(2, dim=1)
        return mean, log_variance


class CalibratedLikelihood:
    """−log p(x | z) of a distortion d whose scale s is always the best one for the batch.

        d(x, x̂) = mean|x − x̂| / 2 + (1 − MS-SSIM(x, x̂)) + w · mean|φ(x) − φ(x̂)|
        −log p(x | z) = D · (d / s + log s) + constant,   least at s* = E[d]:
        E[−log p]    = D · (log E[d] + 1)

    With d = mean|x − x̂| this is a Laplace likelihood with its optimal shared scale: Rybkin,
    Daniilidis, Levine, "Simple and Effective VAE Training with Calibrated Decoders" (ICML 2021,
    arXiv 2006.13202), section 3, which has it for Gaussians. L1 with MS-SSIM is the distortion
    of Zhao et al., "Loss Functions for Image Restoration With Neural Networks" (2017, arXiv
    1511.08861). D is the number of values of an image; as neighbouring pixels are far from
    independent, it counts the evidence too high, and β > 1 sets that right.

    Args:
        size: side of the images.
        perceptual: the distance between what a judge sees in them; without, w = 0.
        weight: its w.
    """

    def __init__(
        self,
        size: int,
        *,
        device: torch.device | str = "cpu",
        perceptual: PerceptualDistance | None = None,
        weight: float = 0.0,
    ):
        self.similarity = MSSSIM(size, size, device=device)
        self.perceptual, self.weight = perceptual, weight

    def __call__(
        self,
        encoder: nn.Module,
        decoder: Callable[[Tensor], Tensor],
        images: Tensor,
        noise: Tensor,
        *,
        beta: float = 1.0,
        prior: Flow | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Reconstruction and β-weighted KL terms, each a mean over the batch, in nats an image.

        Args:
            images: (n, c, h, w) in [−1, 1].
            noise: (n, z) standard normals.
            prior: of the latents, where it is not N(0, I); its KL is estimated from the latents
                drawn.
        """
        mean, log_variance = encoder(images)
        latents = mean + (log_variance / 2).exp() * noise
        drawn = decoder(latents)
        distortion = (drawn - images).abs().mean() / 2
        distortion = distortion + 1 - self.similarity(drawn, images).mean()
        if self.perceptual is not None:
            distortion = distortion + self.weight * self.perceptual(drawn, images)
        reconstruction = images[0].numel() * distortion.clamp(min=SMALLEST).log()
        if prior is None:
            kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
        else:
            posterior = gaussian(noise) - log_variance.sum(1) / 2
            kl = posterior - prior.log_density(latents)
        return reconstruction, beta * kl.mean()

    def of_residual(
        self,
        encoder: nn.Module,
        decoder: ResidualDecoder,
        images: Tensor,
        noise: Tensor,
        *,
        beta: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """The same of a decoder that may have a flow for its prior."""
        return self(encoder, decoder.decode, images, noise, beta=beta, prior=decoder.flow)
