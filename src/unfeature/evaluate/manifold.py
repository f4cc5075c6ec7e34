"""Precision, recall, density and coverage of generated pictures, by nearest neighbours.

Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models"
(NeurIPS 2019, arXiv 1904.06991), equations 1 and 2; Naeem et al., "Reliable Fidelity and Diversity
Metrics for Generative Models" (ICML 2020, arXiv 2002.09797), equations 3 and 4.

With B(x) the ball around x whose radius is the distance to x's k-th nearest neighbour in x's own
set, X the real and Y the generated features:

    precision = share of y in some B(x)          density  = mean over y of #{x : y in B(x)} / k
    recall    = share of x in some B(y)          coverage = share of x whose B(x) holds some y
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

ROWS = 1024
"""Rows of the distance matrix held at once."""


@dataclass(frozen=True)
class Manifold:
    """Precision, recall and coverage in [0, 1]; density from 0, about 1 for equal distributions."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(
    real: Float[Tensor, "n d"], generated: Float[Tensor, "m d"], *, k: int = 3, k_density: int = 5
) -> Manifold:
    """All four figures.

    Args:
        real, generated: features, more than `k` and `k_density` of each; as many of both, for
            comparable figures.
        k: for precision and recall, as its paper has it.
        k_density: for density and coverage, as theirs has it.
    """
    near, near_density = _radii(real, k, k_density)
    own, _ = _radii(generated, k, k_density)
    recalled = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    covered = recalled.clone()
    precise = inside = 0
    start = 0
    for part in generated.split(ROWS):
        distances = torch.cdist(part, real)
        radii = own[start : start + len(part)]
        precise += int((distances <= near).any(1).sum())
        balls: Int[Tensor, ...] = (distances <= near_density).sum()
        inside += int(balls)
        recalled |= (distances <= radii[:, None]).any(0)
        covered |= (distances <= near_density).any(0)
        start += len(part)
    return Manifold(
        precision=precise / len(generated),
        recall=recalled.double().mean().item(),
        density=inside / (k_density * len(generated)),
        coverage=covered.double().mean().item(),
    )


def _radii(
    members: Tensor, k: int, k_density: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Each member's distances to its k-th and k_density-th nearest other members."""
    most = max(k, k_density) + 1  # the nearest is itself
    parts = [
        torch.cdist(part, members).topk(most, dim=1, largest=False).values
        for part in members.split(ROWS)
    ]
    nearest = torch.cat(parts)
    return nearest[:, k], nearest[:, k_density]
