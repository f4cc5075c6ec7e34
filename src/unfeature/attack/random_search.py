"""Random search with as many queries as gradient ascent has: what is the gradient worth?"""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.attack.base import Draw, Found, Score, joined
from unfeature.attack.pgd import begin, noises
from unfeature.attack.region import Ball, Region
from unfeature.config import AttackConfig


@torch.inference_mode()
def random_search(
    draw: Draw,
    score: Score,
    latents: Float[Tensor, "n *latent"],
    region: Region,
    config: AttackConfig,
    *,
    seed: int = 0,
    first: int = 0,
) -> Found:
    """Try steps × restarts latents drawn around each, at lengths uniform up to ε.

    Args: as `unfeature.attack.pgd.pgd` has them; nothing needs to be differentiable.
    """
    parts = []
    for start in range(0, len(latents), config.batch_size):
        part = latents[start : start + config.batch_size]
        found = Found.start(part, config.confidence)
        total = config.steps * config.restarts
        for query in range(total):
            rows = found.left
            if not len(rows):
                break
            length = (
                config.epsilon
                if config.epsilon == float("inf")
                else (config.epsilon * ((query * 0.6180339887) % 1 if query else 0))
            )
            ball = Ball(part[rows], length, config.norm)
            noise = noises(part.shape[1:], rows + first + start, query, seed)
            tried = begin(ball, region, noise)
            found.see(rows, tried, score(draw(tried)))
        parts.append(found)
    return joined(parts)
