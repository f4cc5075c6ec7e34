"""Where w lies: a Mahalanobis ball around what a mapping network gives."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.attack.region import SLACK, Region


@dataclass(frozen=True)
class Ellipsoid(Region):
    """‖L⁻¹(w − w̄)‖ ≤ radius, with LLᵀ the covariance: a Mahalanobis ball.

    Attributes:
        mean: w̄, flattened.
        factor: L, lower triangular.
    """

    mean: Float[Tensor, " d"]
    factor: Float[Tensor, "d d"]
    radius: float

    @classmethod
    def of_samples(
        cls, latents: Float[Tensor, "n *latent"], *, outside: float = 0.01
    ) -> "Ellipsoid":
        """Around sampled latents, all but a share of which lie in it."""
        flat = latents.flatten(1).double()
        covariance = torch.cov(flat.T)
        ridge = 1e-3 * covariance.trace() / len(covariance)  # mapped latents fill few dimensions
        covariance = covariance + ridge * torch.eye(len(covariance)).to(covariance)
        made = cls(flat.mean(0).float(), torch.linalg.cholesky(covariance).float(), 1.0)
        radius = made._whitened(latents).norm(dim=1).quantile(1 - outside).item()
        return cls(made.mean, made.factor, radius)

    def contains(self, latents: Float[Tensor, "n *latent"]) -> Bool[Tensor, " n"]:
        return self._whitened(latents).norm(dim=1) <= self.radius * (1 + SLACK)

    def project(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        flat = latents.flatten(1)
        norm = self._whitened(latents).norm(dim=1, keepdim=True).clamp(min=1e-12)
        inward = (self.radius / norm).clamp(max=1)
        kept = self.contains(latents)[:, None]
        moved = self.mean + (flat - self.mean) * inward
        return torch.where(kept, flat, moved).view_as(latents)

    def typical(self, noise: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        return self.project((self.mean + noise.flatten(1) @ self.factor.T).view_as(noise))

    def log_density(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, " n"]:
        return -self._whitened(latents).square().mean(1) / 2

    def _whitened(self, latents: Tensor) -> Float[Tensor, "n d"]:
        apart = latents.flatten(1) - self.mean
        return torch.linalg.solve_triangular(self.factor, apart.T, upper=False).T
