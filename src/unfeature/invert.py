"""Inversion: the latent whose picture is nearest to a given one.

Optimisation of the latent itself, as in Abdal, Qin, Wonka, "Image2StyleGAN" (ICCV 2019, arXiv
1904.03189) and appendix D of StyleGAN2 (arXiv 1912.04958), with our L1 and MS-SSIM in place of a
perceptual network.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.generator import Generator, draw
from unfeature.msssim import MSSSIM
from unfeature.seeds import rng

POOL = 1024
"""Random latents of which the one with the nearest picture is the start."""


@dataclass(frozen=True)
class Inversion:
    """Latents, what the generator draws from them, and how far that is from what was wanted.

    Attributes:
        l1: mean |generator(latents) − images| over each picture's pixels; images in [−1, 1].
    """

    latents: Float[Tensor, "n *latent"]
    images: Float[Tensor, "n c h w"]
    l1: Float[Tensor, " n"]


def invert(
    generator: Generator,
    images: Float[Tensor, "n c h w"],
    *,
    steps: int = 150,
    learning_rate: float = 0.05,
    seed: int = 0,
) -> Inversion:
    """Adam on L1 + (1 − MS-SSIM), from the nearest of `POOL` random latents.

    Args:
        images: in [−1, 1].
        steps: how many; the step size falls to zero along a cosine.
        learning_rate: in standard deviations of each latent coordinate.
    """
    images = images.to(generator.device).clone()  # those of inference mode cannot be compared with
    pool = generator.sample_latents(POOL, rng(seed, "inversion"))
    nearest = torch.cdist(_coarse(images), _coarse(draw(generator, pool))).argmin(1)
    spread = pool.std(0, keepdim=True)
    shift = torch.zeros_like(pool[nearest]).requires_grad_()
    optimizer = torch.optim.Adam([shift], learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    similarity = MSSSIM(*images.shape[2:], device=images.device)
    start = pool[nearest]
    for _ in range(steps):
        drawn = generator(start + shift * spread)
        loss = (drawn - images).abs().mean(dim=(1, 2, 3)) + 1 - similarity(drawn, images)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        schedule.step()
    latents = (start + shift * spread).detach()
    found = draw(generator, latents)
    return Inversion(latents, found, (found - images).abs().mean(dim=(1, 2, 3)))


def _coarse(images: Tensor) -> Float[Tensor, "n d"]:
    """Pictures of at most 16×16, as rows."""
    side = min(16, images.shape[2])
    return torch.nn.functional.adaptive_avg_pool2d(images, side).flatten(1)
