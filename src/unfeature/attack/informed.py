"""The attacker who has the original and knows z_e and the threshold t.

Where f shows the feature, g was taught another picture. So he looks f up, which costs no query of
g: on the way from each latent to where f shows the feature most clearly, g may draw it from points
at which it was not yet, or no longer, taught otherwise. Where a linear gate z·z_e > t decided who
was, every other point is moved to its near side.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.attack.base import Draw, Found, Objective, Score, in_batches
from unfeature.attack.pgd import pgd
from unfeature.attack.region import Ball, Region, into_both
from unfeature.config import AttackConfig


def informed(
    draw: Draw,
    score: Score,
    latents: Float[Tensor, "n *latent"],
    region: Region,
    config: AttackConfig,
    *,
    original: Draw,
    direction: Float[Tensor, "*latent"],
    threshold: float | None = None,
    objective: Objective | None = None,
    seed: int = 0,
) -> Found:
    """Ask g (`draw`) at `steps` points of the way to where `pgd` on f ends.

    Args:
        original: f, latents → images, differentiable.
        direction: z_e.
        threshold: t of a linear gate; None where pictures decided.
        objective: what `pgd` maximises on f, as it takes it.
    """
    unit = direction / direction.norm()
    found = pgd(original, score, latents, region, config, objective=objective, seed=seed)
    goals = found.latents

    @torch.inference_mode()
    def search(found: Found, part: Tensor, start: int) -> None:
        ends = goals[start : start + len(part)]
        for query in range(config.steps):
            rows = found.left
            if not len(rows):
                break
            share = query / max(1, config.steps - 1)
            tried = part[rows] + share * (ends[rows] - part[rows])
            if threshold is not None and query % 2:
                over = (tried.flatten(1) @ unit.flatten() - threshold).clamp(min=0)
                tried = tried - over.view(-1, *[1] * unit.ndim) * unit
            tried = into_both(tried, Ball(part[rows], config.epsilon, config.norm), region)
            found.see(rows, tried, score(draw(tried)))

    return in_batches(latents, region, config, search)
