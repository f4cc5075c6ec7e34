"""From a latent whose picture shows the feature to the nearest one whose picture does not.

Both searches run on a batch and drop every latent as soon as it has arrived.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

HINGE, SLACK = 0.2, 0.05
"""`approach`: weight of the score against the mean L1, and how far past −margin it aims."""
SURE = 2.0
"""Log-odds beyond which an attribute that is to be kept may move freely."""
STRAYED_DOWN, STRAYED_BACK = 0.05, 0.02
"""Weight of what attributes have strayed: against the score in `descent`, against the mean L1 in
`approach`."""

Draw = Callable[[Tensor], Tensor]
Score = Callable[[Tensor], Tensor]
Look = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Found:
    """Where the search ended: latents, their pictures and the labeller's scores of these."""

    latents: Float[Tensor, "n *latent"]
    images: Float[Tensor, "n c h w"]
    scores: Float[Tensor, " n"]


@torch.inference_mode()
def line(
    latents: Float[Tensor, "n *latent"],
    draw: Draw,
    score: Score,
    *,
    direction: Float[Tensor, " d"],
    margin: float,
    reach: float,
    coarse: int,
    fine: int,
) -> Found:
    """The smallest shift s with score(draw(z − s·z_e)) < −margin.

    First in `coarse` steps up to `reach`, then by `fine` bisections inside the step that crossed.
    Where no shift is enough, the one with the lowest score.

    Args:
        latents: at least one.
        draw: latents → images.
        score: images → scores, above 0 where the feature shows.
        direction: the unit vector z_e.
    """
    step = reach / coarse
    shifts = latents.new_zeros(len(latents))
    lowest = torch.full_like(shifts, torch.inf)
    pictures: Tensor | None = None
    left = torch.arange(len(latents), device=latents.device)
    for k in range(1, coarse + 1):
        images = draw(moved(latents[left], direction, torch.full_like(shifts[left], k * step)))
        scores = score(images)
        if pictures is None:
            pictures = torch.empty_like(images)
        better = scores < lowest[left]
        rows = left[better]
        lowest[rows], shifts[rows], pictures[rows] = scores[better], k * step, images[better]
        left = left[scores >= -margin]
        if len(left) == 0:
            break
    assert pictures is not None
    crossed = (lowest < -margin).nonzero().squeeze(1)
    below = shifts[crossed] - step
    for _ in range(fine if len(crossed) else 0):
        middle = (below + shifts[crossed]) / 2
        images = draw(moved(latents[crossed], direction, middle))
        scores = score(images)
        enough = scores < -margin
        rows = crossed[enough]
        lowest[rows], shifts[rows], pictures[rows] = scores[enough], middle[enough], images[enough]
        below = torch.where(enough, below, middle)
    return Found(moved(latents, direction, shifts), pictures, lowest)


def descent(
    latents: Float[Tensor, "n *latent"],
    draw: Draw,
    look: Look,
    *,
    kept: Float[Tensor, "n k"],
    margin: float,
    reach: float,
    steps: int,
    longest: float = 0.4,
) -> Found:
    """Down the gradient of draw(z)'s score until it is below −margin.

    Where attributes are to be kept, what they have strayed (`strayed`) counts beside the score.

    Each step is Newton's for a score that were linear, aimed a little past −margin, and at most
    `longest` long; the way ends at distance `reach` from z. Where it does not arrive, the latent
    with the lowest score on the way.

    Args:
        latents: at least one.
        draw: as for `line`, and differentiable, as is `look`.
        look: images → scores, and log-odds of k attributes that are to be kept.
        kept: what those are for the latents' own pictures; k may be 0.
        steps: how many at most.
    """
    now = latents.clone()
    best = latents.clone()
    lowest = latents.new_full((len(latents),), torch.inf)
    pictures: Tensor | None = None
    left = torch.arange(len(latents), device=latents.device)
    for _ in range(steps + 1):
        with torch.inference_mode(False), torch.enable_grad():
            at = now[left].clone().requires_grad_()
            images = draw(at)
            scores, odds = look(images)
            away = scores + STRAYED_DOWN * strayed(odds, kept[left])
            (slope,) = torch.autograd.grad(away.sum(), at)
        images, scores = images.detach(), scores.detach()
        if pictures is None:
            pictures = torch.empty_like(images)
        better = scores < lowest[left]
        rows = left[better]
        lowest[rows], best[rows], pictures[rows] = scores[better], now[rows], images[better]
        going = scores >= -margin
        left = left[going]
        if len(left) == 0:
            break
        slope = slope[going].flatten(1)
        steepness = slope.norm(dim=1, keepdim=True).clamp(min=1e-8)
        length = (scores[going, None] + 1.1 * margin + 0.01) / steepness
        step = slope / steepness * length.clamp(0, longest)
        now[left] = within(latents[left], (now[left].flatten(1) - step).view_as(now[left]), reach)
    assert pictures is not None
    return Found(best, pictures, lowest)


def approach(
    found: Found,
    goal: Float[Tensor, "n c h w"],
    draw: Draw,
    look: Look,
    *,
    kept: Float[Tensor, "n k"],
    margin: float,
    steps: int,
    stride: float = 1.0,
) -> Found:
    """From latents without the feature to ones whose pictures are nearer to `goal`.

    Gradient descent with momentum on |draw(z) − goal|₁ plus hinges on the score and on the
    attributes that are to be kept (`strayed`). Of all latents on the way whose score is below
    −margin, the one with the least of this is kept, and the start where there is none.

    Args:
        found: where a search ended.
        goal: one picture each.
        look, kept: as for `descent`.
        steps: how many latents are looked at, the start among them.
        stride: length of the steps between them, against that for one latent; √k for k layers that
            move apart.
    """
    latents, images, scores = found.latents.clone(), found.images.clone(), found.scores.clone()
    least = torch.full_like(scores, torch.inf)
    now, push = found.latents, torch.zeros_like(found.latents)
    for step in range(steps):
        with torch.inference_mode(False), torch.enable_grad():
            at = now.clone().requires_grad_()
            drawn = draw(at)
            value, odds = look(drawn)
            away = (drawn - goal.clone()).abs().flatten(1).mean(1) + STRAYED_BACK * strayed(
                odds, kept
            )
            hinge = (value + margin + SLACK).clamp(min=0)
            if step + 1 < steps:
                (slope,) = torch.autograd.grad((away + HINGE * hinge).sum(), at)
        better = (value < -margin) & (away < least)
        latents[better], images[better] = now[better], drawn.detach()[better]
        scores[better], least[better] = value.detach()[better], away.detach()[better]
        if step + 1 == steps:
            break
        flat = slope.flatten(1)
        unit = (flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-8)).view_as(slope)
        push = 0.6 * push + unit
        now = now - stride * (0.12 * (1 - step / steps) + 0.02) * push
    return Found(latents, images, scores)


def strayed(odds: Float[Tensor, "*n k"], kept: Float[Tensor, "*m k"]) -> Float[Tensor, "*o"]:
    """Σ over k of max(0, min(|kept|, SURE) − sign(kept)·odds): nothing while every attribute is as
    sure to be there, or not, as it was. The arguments are broadcast."""
    sure = kept.abs().clamp(max=SURE)
    return (sure - kept.sign() * odds).clamp(min=0).sum(-1)


def within(start: Tensor, end: Tensor, reach: float) -> Tensor:
    """`end`, drawn back towards `start` where it is farther away than `reach`."""
    way = (end - start).flatten(1)
    shrink = (reach / way.norm(dim=1, keepdim=True).clamp(min=1e-8)).clamp(max=1)
    return start + (way * shrink).view_as(start)


def moved(
    latents: Float[Tensor, "n *latent"],
    direction: Float[Tensor, " d"],
    shifts: Float[Tensor, " n"],
) -> Float[Tensor, "n *latent"]:
    """z − s·z_e for each latent."""
    step = shifts[:, None] * direction.to(latents.device)
    return (latents.flatten(1) - step).view_as(latents)
