"""Stroke thickness and slant of handwritten digits, as plain functions on images.

The paper unlearns both on MNIST; the measures follow Castro et al., "Morpho-MNIST" (JMLR 2019,
arXiv 1809.10780) in spirit, in a form that needs no thresholding and no skeleton, so that it works
on a batch and changes smoothly with the pixels.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def ink(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w"]:
    """Images in [−1, 1] → ink in [0, 1], channels averaged."""
    return ((images.mean(dim=1) + 1) / 2).clamp(0, 1)


def thickness(images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Mean stroke width in pixels: twice the area of the ink over the length of its outline.

    The outline's length is the total variation of the ink, so a faint stroke is as thick as a
    black one. An empty image has thickness 0.
    """
    p = ink(images)
    padded = torch.nn.functional.pad(p, (1, 1, 1, 1))
    down = (padded[:, 1:, :-1] - padded[:, :-1, :-1]).square()
    right = (padded[:, :-1, 1:] - padded[:, :-1, :-1]).square()
    outline = (down + right + 1e-12).sqrt().flatten(1).sum(1)
    area = p.flatten(1).sum(1)
    return torch.where(area > 1, 2 * area / outline.clamp(min=1e-3), torch.zeros_like(area))


def slant(images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """How far a digit leans, in degrees from upright: negative to the left, positive to the right.

    The angle of the shear that would stand it upright: atan of the ink's covariance of x and y
    over its variance in y (the usual moment-based deskewing of MNIST). Empty images are upright.
    """
    p = ink(images)
    _, h, w = p.shape
    y = torch.arange(h, dtype=p.dtype, device=p.device).view(1, h, 1)
    x = torch.arange(w, dtype=p.dtype, device=p.device).view(1, 1, w)
    mass = p.sum(dim=(1, 2), keepdim=True).clamp(min=1e-3)
    dy = y - (p * y).sum(dim=(1, 2), keepdim=True) / mass
    dx = x - (p * x).sum(dim=(1, 2), keepdim=True) / mass
    covariance = (p * dx * dy).sum(dim=(1, 2))
    variance = (p * dy * dy).sum(dim=(1, 2)).clamp(min=1e-3)
    return torch.rad2deg(torch.atan(-covariance / variance))
