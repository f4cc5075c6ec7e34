"""Coordinates in which a generator's own latents spread equally in all directions.

In a StyleGAN's w some directions hardly vary. A step along one of these leaves what the generator
was trained on long before it is long, so "the smallest shift" must be measured in the latents' own
spread: the Mahalanobis distance. For z ~ N(0, I) that is the usual one.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.generator import Generator
from unfeature.seeds import rng

SAMPLES = 4096
FLOOR = 0.02
"""No direction is taken to spread less than this share of the widest one."""


@dataclass(frozen=True)
class Whitening:
    """u = Σ^(−½) z for latents z of covariance Σ, without the mean, which no distance needs.

    Attributes:
        root: Σ^½, symmetric.
        inverse: Σ^(−½).
    """

    root: Float[Tensor, "d d"]
    inverse: Float[Tensor, "d d"]

    @classmethod
    def of(cls, generator: Generator, *, seed: int = 0) -> "Whitening":
        """From the covariance of latents sampled from the generator's prior."""
        latents = generator.sample_latents(SAMPLES, rng(seed, "whitening")).flatten(1)
        values, vectors = torch.linalg.eigh(torch.cov(latents.T.double()))
        spread = values.clamp(min=0).sqrt()
        spread = spread.clamp(min=FLOOR * spread.max().item())
        root = (vectors * spread) @ vectors.T
        inverse = (vectors / spread) @ vectors.T
        return cls(root.float(), inverse.float())

    def whiten(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """z → u."""
        return (latents.flatten(1) @ self.inverse).view_as(latents)

    def restore(self, coordinates: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """u → z."""
        return (coordinates.flatten(1) @ self.root).view_as(coordinates)
