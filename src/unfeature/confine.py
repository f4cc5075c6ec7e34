"""Only where the feature is: the erased picture inside a region, the original's around it.

f(ẑ) differs from f(z) everywhere, since f has no latent that draws the very same picture without
the feature. What the labeller minds lies in a small part of it. That part is found by integrated
gradients (Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, arXiv
1703.01365, equation 3) along the straight way from f(z) to f(ẑ): they say of every pixel what it
contributes to the score's fall. Keeping a counterfactual to such a region is how Jeanneret, Simon,
Jurie ("Adversarial Counterfactual Visual Explanations", CVPR 2023, arXiv 2303.09962) make theirs
near to the picture they explain; their region is where the two differ most. Nobody has to draw it.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unfeature.errors import UserError
from unfeature.search import Score

POINTS = 6
"""Of the straight way at which the gradient is taken."""
BISECTIONS = 8
"""For the number of pixels; what is found is at most 2^−8 of them too many, where a larger region
never has a higher score."""
BLUR = 0.024
"""Standard deviation of the Gaussian that smooths contributions and the region's edge, of the
picture's longer side."""


def confined(
    before: Float[Tensor, "n c h w"],
    after: Float[Tensor, "n c h w"],
    score: Score,
    *,
    share: float,
    limit: float,
) -> Float[Tensor, "n c h w"]:
    """before + M·(after − before), with M in [0, 1] above 0 in the smallest region that will do.

    The region is made of the pixels that contribute most. It holds at least `share` of what all
    contribute, and the picture's score is below `limit`. Where no such region is found, because
    the pixels that contribute are not enough, it is `after`.

    Args:
        before, after: pictures with the feature, and the same without it; at least one.
        score: images → scores, above 0 where the feature shows; it can be differentiated, and is
            not easily fooled: what is made is no picture of a generator's.
        share: in [0, 1].
        limit: above the scores of `after`.

    Raises:
        UserError: the score's gradient is not finite.
    """
    n, _, height, width = before.shape
    given = smooth(contributions(before, after, score).clamp(min=0))
    if not given.isfinite().all():
        raise UserError(
            "erase.confine: the labeller's gradient is not finite, so nobody can tell where the "
            "feature is; set it to 0"
        )
    sorted_down, order = given.flatten(1).sort(dim=1, descending=True, stable=True)
    known = (sorted_down > 0).sum(1)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(height * width, device=order.device).expand_as(order)
    )
    rank = rank.view(n, 1, height, width)
    summed = sorted_down.cumsum(1)
    least = (summed < share * summed[:, -1:]).sum(1) + 1

    def region(pixels: Tensor) -> Tensor:
        mask = (rank < pixels[:, None, None, None]).to(before.dtype)
        return smooth(F.max_pool2d(mask, 3, stride=1, padding=1)).clamp(0, 1)

    def inside(pixels: Tensor) -> Tensor:
        return before + region(pixels) * (after - before)

    low, high = least - 1, torch.full_like(least, height * width)
    for _ in range(BISECTIONS):
        middle = (low + high + 1) // 2
        enough = score(inside(middle)) < limit
        high, low = torch.where(enough, middle, high), torch.where(enough, low, middle)
    found = (high <= known) & (high < height * width)
    return torch.where(found[:, None, None, None], inside(high), after)


def contributions(
    before: Float[Tensor, "n c h w"], after: Float[Tensor, "n c h w"], score: Score
) -> Float[Tensor, "n 1 h w"]:
    """What each pixel of the way from `before` to `after` takes off the score: their sum is about
    score(before) − score(after)."""
    way = after - before
    total = torch.zeros_like(way[:, :1])
    for point in range(POINTS):
        with torch.inference_mode(False), torch.enable_grad():
            at = (before + (point + 0.5) / POINTS * way).clone().requires_grad_()
            (slope,) = torch.autograd.grad(score(at).sum(), at)
        total = total - (slope * way).sum(1, keepdim=True) / POINTS
    return total


def smooth(maps: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """A Gaussian's weighted means; what lies beyond the edges is like the edges."""
    sigma = BLUR * max(maps.shape[2:])
    reach = max(1, round(3 * sigma))
    weights = torch.exp(-(torch.arange(-reach, reach + 1, device=maps.device) ** 2) / 2 / sigma**2)
    weights = (weights / weights.sum()).to(maps.dtype)
    maps = F.conv2d(F.pad(maps, (0, 0, reach, reach), mode="replicate"), weights.view(1, 1, -1, 1))
    return F.conv2d(F.pad(maps, (reach, reach, 0, 0), mode="replicate"), weights.view(1, 1, 1, -1))
