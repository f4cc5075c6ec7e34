"""Random search with as many queries as gradient ascent has: what is the gradient worth?"""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.attack.base import GOLDEN, Draw, Found, Score, in_batches
from unfeature.attack.region import Ball, Region
from unfeature.attack.start import begin, noises
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

    def search(found: Found, part: Tensor, start: int) -> None:
        for query in range(config.steps * config.restarts):
            rows = found.left
            if not len(rows):
                break
            share = query * GOLDEN % 1  # nought first: the latent itself
            length = config.epsilon if config.epsilon == float("inf") else config.epsilon * share
            ball = Ball(part[rows], length, config.norm)
            noise = noises(part.shape[1:], rows + first + start, query, seed)
            tried = begin(ball, region, noise)
            found.see(rows, tried, score(draw(tried)))

    return in_batches(latents, region, config, search)
