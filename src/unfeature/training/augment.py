"""Adaptive discriminator augmentation: Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, "Training
Generative Adversarial Networks with Limited Data" (NeurIPS 2020, arXiv 2006.06676).

Real and generated images pass through the same random changes before the discriminator sees them.
Each change happens with probability p to each image, so the generator still learns the unchanged
images. p grows while the discriminator overfits and falls while it does not.

A subset that is cheap on a CPU (appendix B's strengths): mirror, whole-pixel translation, scale and
rotation in one affine warp; brightness, contrast and saturation as pointwise changes.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def augment(
    images: Float[Tensor, "n c h w"], p: float, rng: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Each change, to each image, with probability p; differentiable. p = 0 returns `images`.

    The random numbers come from `rng` (CPU). The warp cannot be differentiated twice.
    """
    if p == 0:
        return images
    return recolour(warp(images, p, rng), p, rng)


def warp(
    images: Float[Tensor, "n c h w"], p: float, rng: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Mirror, translate by up to ±1/8 in whole pixels, scale by 2^N(0, 0.2²), rotate by U(−π, π).

    The image is taken to go on beyond its edges as its own reflection.
    """
    n, _, _, side = images.shape
    mirror = _chosen(n, p, rng) & (torch.rand(n, generator=rng) < 0.5)
    sign = torch.where(mirror, -1.0, 1.0)
    scale = torch.where(_chosen(n, p, rng), torch.exp2(0.2 * _normal(n, rng)), 1.0)
    angle = torch.where(_chosen(n, p, rng), math.pi * _uniform(n, rng), 0.0)
    pixels = (torch.stack([_uniform(n, rng), _uniform(n, rng)]) * side / 8).round()
    moved = torch.where(_chosen(n, p, rng), pixels * 2 / side, 0.0)  # the image spans [−1, 1]

    cos, sin = angle.cos() / scale, angle.sin() / scale
    rows = [sign * cos, -sign * sin, moved[0], sin, cos, moved[1]]
    matrices = torch.stack(rows, dim=1).view(n, 2, 3).to(images)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    warped = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    still = (matrices.cpu() == torch.eye(2, 3)).all(dim=(1, 2)).to(images.device)
    return torch.where(still[:, None, None, None], images, warped)


def recolour(
    images: Float[Tensor, "n c h w"], p: float, rng: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Add N(0, 0.2²); multiply by 2^N(0, 0.5²); multiply the distance from grey by 2^N(0, 1)."""
    n = len(images)
    added = torch.where(_chosen(n, p, rng), 0.2 * _normal(n, rng), 0.0)
    contrast = torch.where(_chosen(n, p, rng), torch.exp2(0.5 * _normal(n, rng)), 1.0)
    saturation = torch.where(_chosen(n, p, rng), torch.exp2(_normal(n, rng)), 1.0)
    added, contrast, saturation = (
        value.to(images)[:, None, None, None] for value in (added, contrast, saturation)
    )
    grey = images.mean(dim=1, keepdim=True)
    return (images * saturation + grey * (1 - saturation) + added) * contrast


class AugmentController:
    """Keeps r_t = E[sign(D(real))] at `target` by moving p (section 3.2).

    Every `every` batches p moves by (images seen)/`speed`, up when r_t is above the target.

    Args:
        speed: images after which p could have gone from 0 to 1.
        highest: p's upper bound. Up to about 0.8 the changes do not leak into generated images.
        fixed: when given, p stays there.
    """

    def __init__(
        self,
        *,
        target: float = 0.6,
        speed: int = 500_000,
        every: int = 4,
        highest: float = 0.8,
        fixed: float | None = None,
    ):
        self.target, self.speed, self.every = target, speed, every
        self.highest, self.fixed = highest, fixed
        self.p = fixed or 0.0
        self.signs, self.images, self.batches = 0.0, 0, 0

    def update(self, logits: Float[Tensor, " n"]) -> None:
        """Take in the discriminator's logits for a batch of (augmented) real images."""
        if self.fixed is not None:
            return
        self.signs += logits.detach().sign().sum().item()
        self.images += len(logits)
        self.batches += 1
        if self.batches == self.every:
            step = math.copysign(self.images / self.speed, self.signs / self.images - self.target)
            self.p = min(max(self.p + step, 0.0), self.highest)
            self.signs, self.images, self.batches = 0.0, 0, 0

    def state_dict(self) -> dict[str, Any]:
        names = ("p", "signs", "images", "batches")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.fixed is not None:
            self.p = self.fixed


def _chosen(n: int, p: float, rng: torch.Generator) -> Bool[Tensor, " n"]:
    return torch.rand(n, generator=rng) < p


def _uniform(n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
    return torch.rand(n, generator=rng) * 2 - 1


def _normal(n: int, rng: torch.Generator) -> Float[Tensor, " n"]:
    return torch.randn(n, generator=rng)
