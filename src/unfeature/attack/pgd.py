"""Projected gradient ascent in the latent, with momentum and step sizes that halve.

Madry et al. (ICLR 2018, arXiv 1706.06083), with the momentum of Auto-PGD: Croce and Hein, "Reliable
evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks" (ICML 2020,
arXiv 2003.01690), section 3:

    u     = P(z_k + η·∇̂o(g(z_k)))
    z_k+1 = P(z_k + a·(u − z_k) + (1 − a)·(z_k − z_k−1)),      a = 3/4

o is the objective: the classifier's score, or another of `attack.loss`. ∇̂ is its gradient of unit
length (L2) or its sign (L∞), P the projection into the ball and among plausible latents. η begins
at ε and halves, row by row, where `PATIENCE` steps brought nothing (theirs halves at points that
depend on the number of steps, and goes back to the best point so far; here a longer attack begins
as a shorter one does, so more steps never find less, and a row goes on from where it is).

Libraries of attacks on images clamp to [0, 1], which is wrong for latents.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.attack.base import Draw, Found, Objective, Score, in_batches
from unfeature.attack.region import Ball, Region, into_both
from unfeature.attack.start import begin, noises, reach
from unfeature.config import AttackConfig, Norm

MOMENTUM = 0.75
PATIENCE = 3


def pgd(
    draw: Draw,
    score: Score,
    latents: Float[Tensor, "n *latent"],
    region: Region,
    config: AttackConfig,
    *,
    objective: Objective | None = None,
    seed: int = 0,
    first: int = 0,
) -> Found:
    """Attack each latent until the classifier sees the feature; rows that succeed are left.

    Args:
        draw: latents → images, differentiable.
        score: images → > 0 where the attacker's classifier sees the feature, differentiable.
        latents: where the searches begin; in the region.
        objective: images → scores, and what is maximised in their place, from one pass
            (`unfeature.labelers.classifier.ClassifierObjective`), asked instead of `score`; the
            scores themselves when not given.
        first: the number of the first row, from which, with `seed`, its noise follows.
    """

    def scores(images: Tensor) -> tuple[Tensor, Tensor]:
        found = score(images)
        return found, found

    def search(found: Found, part: Tensor, start: int) -> None:
        for restart in range(config.restarts):
            rows = found.left
            if len(rows):
                ball = Ball(part[rows], config.epsilon, config.norm)
                noise = noises(part.shape[1:], rows + first + start, restart, seed)
                _climb(draw, objective or scores, found, rows, ball, region, config, noise)

    return in_batches(latents, region, config, search)


def _climb(
    draw: Draw,
    objective: Objective,
    found: Found,
    rows: Tensor,
    ball: Ball,
    region: Region,
    config: AttackConfig,
    noise: Tensor,
) -> None:
    """One search of some rows; `found` is filled in."""
    now = begin(ball, region, noise)
    before = now
    size = reach(ball)
    best = torch.full_like(size, -torch.inf)
    waited = torch.zeros_like(rows)
    for step in range(config.steps):
        here = now.detach().requires_grad_(True)
        scores, value = objective(draw(here))
        (slope,) = torch.autograd.grad(value.sum(), here)
        scores, value = scores.detach(), value.detach()
        found.see(rows, now, scores)
        better = value > best
        best = torch.where(better, value, best)
        waited = torch.where(better, 0, waited + 1)
        halve = waited >= PATIENCE
        size, waited = torch.where(halve, size / 2, size), torch.where(halve, 0, waited)
        keep = scores <= config.confidence
        if step + 1 == config.steps or not keep.any():
            return
        if not keep.all():
            rows, ball, now, before = rows[keep], ball.rows(keep), now[keep], before[keep]
            slope, size, best, waited = slope[keep], size[keep], best[keep], waited[keep]
        moved = into_both(now + uphill(slope, config.norm, size), ball, region)
        ahead = now + MOMENTUM * (moved - now) + (1 - MOMENTUM) * (now - before)
        now, before = into_both(ahead if step else moved, ball, region), now


def uphill(slope: Tensor, norm: Norm, size: Tensor) -> Tensor:
    """A step of each row's size along the gradient (L2) or its sign (L∞)."""
    flat = slope.flatten(1)
    length = flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
    steepest = flat.sign() if norm == "linf" else flat / length
    return (steepest * size[:, None]).view_as(slope)
