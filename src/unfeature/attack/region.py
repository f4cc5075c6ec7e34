"""Where an attacker may search: plausible latents, and a ball around where the search began.

Outside the region its latents come from, any generator draws nonsense, and a figure means nothing.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import scipy
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.config import Norm
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labels import sample_seeds

SLACK = 1e-3
"""Relative error allowed where a rounding error would put a latent outside."""


class Region(ABC):
    """A set of latents."""

    @abstractmethod
    def contains(self, latents: Float[Tensor, "n *latent"]) -> Bool[Tensor, " n"]:
        """Which of them lie in it, up to rounding."""

    @abstractmethod
    def project(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """Latents on its border along a ray from its centre; what lies inside stays as it is."""

    @abstractmethod
    def typical(self, noise: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """Standard normals → latents as the generator's own are spread, inside the region."""

    @abstractmethod
    def log_density(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, " n"]:
        """Of each under the normal distribution it belongs to, per dimension, without its constant;
        −1/2 is usual for N(0, I)."""

    def inside(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "m *latent"]:
        """Those that lie in it.

        Raises:
            UserError: none does.
        """
        kept = latents[self.contains(latents)]
        if not len(kept):
            raise UserError(
                f"none of {len(latents)} latents lies among the plausible ones; attack latents "
                "from the generator's own prior"
            )
        return kept


@dataclass(frozen=True)
class Shell(Region):
    """low ≤ ‖z‖ ≤ high. Nearly all of a Gaussian prior lies in a thin shell of radius √d."""

    low: float
    high: float

    @classmethod
    def of_prior(cls, dimensions: int, *, outside: float = 0.02) -> "Shell":
        """All but a share of N(0, I), half of it left out on either side: ‖z‖ is χ-distributed."""
        low, high = scipy.stats.chi.ppf([outside / 2, 1 - outside / 2], dimensions)
        return cls(float(low), float(high))

    def contains(self, latents: Float[Tensor, "n *latent"]) -> Bool[Tensor, " n"]:
        norm = latents.flatten(1).norm(dim=1)
        return (norm >= self.low * (1 - SLACK)) & (norm <= self.high * (1 + SLACK))

    def project(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        flat = latents.flatten(1)
        norm = flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
        scale = norm.clamp(self.low, self.high) / norm
        kept = self.contains(latents)[:, None]
        return torch.where(kept, flat, flat * scale).view_as(latents)

    def typical(self, noise: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        return self.project(noise)

    def log_density(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, " n"]:
        return -latents.flatten(1).square().mean(1) / 2


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


@dataclass(frozen=True)
class Ball:
    """‖z′ − z‖ ≤ ε, a ball for each row; ε may be infinite."""

    centers: Float[Tensor, "n *latent"]
    epsilon: float
    norm: Norm = "l2"

    def __post_init__(self) -> None:
        if not self.epsilon >= 0:
            raise UserError(f"epsilon is {self.epsilon:g}; give 0 or more, or inf")

    def project(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n *latent"]:
        """The nearest point of each row's ball."""
        if self.epsilon == float("inf"):
            return latents
        apart = (latents - self.centers).flatten(1)
        if self.norm == "linf":
            apart = apart.clamp(-self.epsilon, self.epsilon)
        else:
            norm = apart.norm(dim=1, keepdim=True).clamp(min=1e-12)
            apart = apart * (self.epsilon / norm).clamp(max=1)
        return self.centers + apart.view_as(latents)

    def rows(self, keep: Tensor) -> "Ball":
        """The balls of some rows."""
        return Ball(self.centers[keep], self.epsilon, self.norm)


def into_both(
    latents: Float[Tensor, "n *latent"], ball: Ball, region: Region, *, times: int = 8
) -> Float[Tensor, "n *latent"]:
    """A point of both, near the latents: projections in turn; the ball's centre where none is
    reached, as on a shell's far side. The centres must lie in the region."""
    for _ in range(times):
        latents = ball.project(region.project(latents))
    kept = region.contains(latents).view(-1, *[1] * (latents.ndim - 1))
    return torch.where(kept, latents, ball.centers)


def plausible(generator: Generator, *, samples: int = 10_000) -> Region:
    """The region a generator's latents come from: a shell for z, a Mahalanobis ball for w."""
    if generator.latent_space == "z":
        dimensions = 1
        for side in generator.latent_shape:
            dimensions *= side
        return Shell.of_prior(dimensions)
    seeds = sample_seeds(samples, 0, "plausible").tolist()
    return Ellipsoid.of_samples(generator.latents_from_seeds(seeds))
