"""What a larger budget buys: of radii, and of queries."""

from dataclasses import asdict, replace
from typing import Any

import torch

from unfeature.attack.base import Found
from unfeature.evaluate.statistics import wilson


def stronger(smaller: Found, larger: Found) -> Found:
    """Row by row what came nearer to the feature; of equals, the smaller radius's. A row that the
    smaller radius did not bring there has cost the queries of both."""
    better = larger.scores > smaller.scores
    shape = (-1, *[1] * (smaller.latents.ndim - 1))
    return replace(
        smaller,
        latents=torch.where(better.view(shape), larger.latents, smaller.latents),
        scores=torch.where(better, larger.scores, smaller.scores),
        success=smaller.success | larger.success,
        queries=smaller.queries + torch.where(smaller.success, 0, larger.queries),
    )


def spent(found: Found, most: int, points: int = 12) -> list[dict[str, Any]]:
    """Naive success against queries: the share of rows that had succeeded within so many, with its
    Wilson interval, as plain values."""
    numbers = sorted({max(1, round(most ** (i / (points - 1)))) for i in range(points)})
    return [
        {"queries": n, "success": asdict(wilson(found.success & (found.queries <= n)))}
        for n in numbers
    ]
