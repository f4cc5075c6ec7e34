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
