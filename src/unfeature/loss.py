"""The unlearning loss.

Moon, Cho, Kim, "Feature Unlearning for Pre-trained GANs and VAEs" (AAAI 2024), section 3.3. With f
the frozen original, g the copy that learns, sim ∈ {0, 1} the gate and ẑ the erased latent:

    L_recon   = E[ (1 − sim) · |g(z) − f(z)|₁ ]
    L_unlearn = E[ sim · |g(z) − f(ẑ)|₁ ]
    L_percep  = E[ sim · (1 − MS-SSIM(g(z), f(ẑ))) ]
    L         = α · (L_unlearn + L_percep) + L_recon

|·|₁ is the mean over an image's pixels, and E the mean over the batch. Two terms are ours, and off
unless they are asked for: with s the labeller's score, A its log-odds of other attributes, and λ
`config.gone` and `config.keep`,

    L_gone    = λ · E[ α · sim · max(0, s(g(z)) − s(f(ẑ))) ]
    L_keep    = λ · E[ (1 − sim + α · sim) · strayed(A(g(z)), A(f(ẑ))) ]
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.errors import UserError
from unfeature.labelers.base import Labeler
from unfeature.msssim import MSSSIM
from unfeature.search import strayed
from unfeature.sharpen import look_closely


@dataclass(frozen=True)
class Loss:
    """The loss and its three parts, each a scalar tensor."""

    total: Float[Tensor, ""]
    recon: Float[Tensor, ""]
    unlearn: Float[Tensor, ""]
    percep: Float[Tensor, ""]


def unlearning_loss(
    drawn: Float[Tensor, "n c h w"],
    taught: Float[Tensor, "n c h w"],
    sim: Bool[Tensor, " n"],
    *,
    alpha: float,
    msssim: MSSSIM,
) -> Loss:
    """L and its parts for one batch.

    Args:
        drawn: g(z).
        taught: f(ẑ) where sim holds, f(z) elsewhere (there ẑ = z).
        sim: whether z carries the feature.
        alpha: α, the weight of unlearning against reconstruction.
    """
    n = len(drawn)
    distance = (drawn - taught).abs().flatten(1).mean(1)
    unlearn = torch.where(sim, distance, 0).sum() / n
    recon = torch.where(sim, 0, distance).sum() / n
    rows = sim.nonzero().squeeze(1)
    if len(rows):  # MS-SSIM is multiplied by sim, so the rest need not be computed
        chosen = drawn.index_select(0, rows), taught.index_select(0, rows)
        percep = (1 - msssim(*chosen)).sum() / n
    else:
        percep = torch.zeros_like(recon)
    return Loss(alpha * (unlearn + percep) + recon, recon, unlearn, percep)


@dataclass(frozen=True)
class Asked:
    """What the labeller says of g's pictures against the teacher's: L_gone and L_keep, each a
    scalar tensor."""

    gone: Float[Tensor, ""]
    keep: Float[Tensor, ""]


def asked_loss(
    drawn: Float[Tensor, "n c h w"],
    taught: Float[Tensor, "n c h w"],
    sim: Bool[Tensor, " n"],
    *,
    alpha: float,
    gone: float,
    keep: float,
    labeler: Labeler,
    sharpen: float = 0.0,
) -> Asked:
    """How far g's pictures show more of the feature than the teacher's, where the gate is open, and
    how far attributes have strayed from the teacher's (`unfeature.search.strayed`); a picture
    counts as much as in the paper's loss.

    Args:
        gone, keep: their weights λ.
        labeler: can be differentiated; it may see attributes in `look`.
        sharpen: for the feature, the pictures are looked at sharpened, too, as the search does.

    Raises:
        UserError: attributes are to be kept, and the labeller sees none.
    """
    amount = sharpen if gone else 0.0
    with torch.no_grad():
        wanted, kept = look_closely(labeler, taught, amount)
    if keep and not kept.shape[1]:
        raise UserError(
            f"unlearn.keep needs a labeller that sees other attributes; '{labeler.name}' sees none"
        )
    scores, odds = look_closely(labeler, drawn, amount)
    more = torch.where(sim, (scores - wanted).clamp(min=0), 0)
    weight = torch.where(sim, alpha, 1.0)
    return Asked(gone * (alpha * more.mean()), keep * (weight * strayed(odds, kept)).mean())
