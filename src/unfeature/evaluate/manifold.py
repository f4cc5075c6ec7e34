"""Precision and recall of generated pictures, by nearest neighbours in a feature space.

Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models"
(NeurIPS 2019, arXiv 1904.06991), equations 1 and 2.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ROWS = 1024
"""Rows of the distance matrix held at once."""


def precision_recall(
    real: Float[Tensor, "n d"], generated: Float[Tensor, "m d"], *, k: int = 3
) -> tuple[float, float]:
    """Share of generated pictures that look real, and of real ones that could be generated.

    A picture lies on a set's manifold if it is no farther from some member than that member's
    k-th nearest neighbour in the set.

    Args:
        real, generated: features, more than `k` of each; as many of both, for comparable figures.
    """
    precision = _inside(generated, real, k).double().mean().item()
    recall = _inside(real, generated, k).double().mean().item()
    return precision, recall


def _inside(points: Tensor, members: Tensor, k: int) -> Bool[Tensor, " n"]:
    """Which points lie on the manifold of `members`."""
    radii = _radii(members, k)
    parts = [(torch.cdist(part, members) <= radii).any(1) for part in points.split(ROWS)]
    return torch.cat(parts)


def _radii(members: Tensor, k: int) -> Float[Tensor, " n"]:
    """Each member's distance to its k-th nearest other member."""
    parts = [
        torch.cdist(part, members).kthvalue(k + 1, dim=1).values  # the nearest is itself
        for part in members.split(ROWS)
    ]
    return torch.cat(parts)
