"""The attacker who knows the direction: along z_e, and along one that is found anew in g.

Moon et al. remove what lies along z_e. If g only moved the feature elsewhere along a line, walking
that line finds it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.attack.base import GOLDEN, Draw, Found, Score, in_batches
from unfeature.attack.region import Ball, Region, into_both
from unfeature.attack.start import reach
from unfeature.config import AttackConfig


@torch.inference_mode()
def along(
    draw: Draw,
    score: Score,
    latents: Float[Tensor, "n *latent"],
    region: Region,
    config: AttackConfig,
    *,
    direction: Float[Tensor, "*latent"],
) -> Found:
    """Ask at the latent, and at points along a direction on either side of it up to the ball's
    edge, `steps` in all. Of more steps those of fewer are the first."""
    unit = direction / (direction.abs().max() if config.norm == "linf" else direction.norm())

    def search(found: Found, part: Tensor, start: int) -> None:
        for query in range(config.steps):
            rows = found.left
            if not len(rows):
                break
            ball = Ball(part[rows], config.epsilon, config.norm)
            number, side = (query - 1) // 2, 1 if query % 2 else -1
            share = 1 - number * GOLDEN % 1 if query else 0.0  # the edges first
            far = (side * share * reach(ball)).view(-1, *[1] * unit.ndim)
            tried = into_both(ball.centers + far * unit, ball, region)
            found.see(rows, tried, score(draw(tried)))

    return in_batches(latents, region, config, search)


def refitted(
    latents: Float[Tensor, "n *latent"], scores: Float[Tensor, " n"], *, share: float = 0.1
) -> Float[Tensor, "*latent"]:
    """A unit vector towards the feature in g: mean of the latents whose pictures come nearest to it
    minus the mean of the others. It exists even where no picture of g shows the feature.

    Args:
        scores: of g's pictures.
        share: how many count as near.
    """
    top = scores >= scores.quantile(1 - share)
    apart = latents[top].mean(0) - latents[~top].mean(0)
    return apart / apart.norm().clamp(min=1e-12)
