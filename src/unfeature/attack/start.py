"""Where a search begins, and how far it reaches."""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.attack.region import Ball, Region, into_both
from unfeature.seeds import rng


def noises(
    shape: tuple[int, ...], numbers: Tensor, restart: int, seed: int
) -> Float[Tensor, "n *latent"]:
    """Normals for each row: a function of its number alone. None in the first search."""
    if restart == 0:
        return torch.zeros(len(numbers), *shape, device=numbers.device)
    drawn = [
        torch.randn(1, *shape, generator=rng(seed, "attack", int(i), restart)) for i in numbers
    ]
    return torch.cat(drawn).to(numbers.device)


def begin(ball: Ball, region: Region, noise: Tensor) -> Float[Tensor, "n *latent"]:
    """Where searches begin: at the centre, or, where there is noise, somewhere on the ball's
    surface; in an infinite one anywhere among the plausible latents."""
    flat = noise.flatten(1)
    if ball.epsilon == float("inf"):
        anywhere = region.typical(noise).flatten(1)
        begun = torch.where(flat.any(1, keepdim=True), anywhere, ball.centers.flatten(1))
        return begun.view_as(noise)
    size = flat.norm(dim=1, keepdim=True) if ball.norm == "l2" else flat.abs().amax(1, keepdim=True)
    moved = ball.centers + (reach(ball)[:, None] * flat / size.clamp(min=1e-12)).view_as(noise)
    return into_both(moved, ball, region)


def reach(ball: Ball) -> Float[Tensor, " n"]:
    """ε, or for an infinite one the length of each latent (L2), of its typical entry (L∞)."""
    flat = ball.centers.flatten(1)
    if ball.epsilon < float("inf"):
        return flat.new_full((len(flat),), ball.epsilon)
    return flat.norm(dim=1) if ball.norm == "l2" else flat.abs().mean(1)
