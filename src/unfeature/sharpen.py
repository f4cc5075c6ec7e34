"""Unsharp masking, so that a classifier sees what is only faint."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.labelers.base import Labeler, look


def sharpened(images: Float[Tensor, "n c h w"], amount: float) -> Float[Tensor, "n c h w"]:
    """x + amount · (x − the mean over 3×3 pixels); x and the result clamped to [−1, 1]."""
    seen = images.clamp(-1, 1)
    smooth = F.avg_pool2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return (seen + amount * (seen - smooth)).clamp(-1, 1)


def look_closely(
    labeler: Labeler,
    images: Float[Tensor, "n c h w"],
    amount: float,
    where: Bool[Tensor, " n"] | None = None,
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n k"]]:
    """What the labeller says of images (`look`); above 0, the score is that of the image sharpened
    by `amount` where that is higher.

    Args:
        where: the images that are sharpened; all of them when not given.
    """
    scores, odds = look(labeler, images)
    if amount > 0 and where is None:
        scores = scores.maximum(labeler.score(sharpened(images, amount)))
    elif amount > 0 and where is not None and where.any():
        rows = where.nonzero().squeeze(1)
        closer = labeler.score(sharpened(images.index_select(0, rows), amount))
        scores = scores.index_copy(0, rows, scores.index_select(0, rows).maximum(closer))
    return scores, odds
