"""The unlearning loss.

Moon, Cho, Kim, "Feature Unlearning for Pre-trained GANs and VAEs" (AAAI 2024), section 3.3. With f
the frozen original, g the copy that learns, sim ∈ {0, 1} the gate and ẑ the erased latent:

    L_recon   = E[ (1 − sim) · |g(z) − f(z)|₁ ]
    L_unlearn = E[ sim · |g(z) − f(ẑ)|₁ ]
    L_percep  = E[ sim · (1 − MS-SSIM(g(z), f(ẑ))) ]
    L         = α · (L_unlearn + L_percep) + L_recon

|·|₁ is the mean over an image's pixels, and E the mean over the batch. Three terms are ours, and
off unless they are asked for: with ∇ the differences between neighbouring pixels, s the labeller's
score, A its log-odds of other attributes, or those of a keeper beside it, and λ `config.edges`,
`config.gone` and `config.keep`,

    L_edges   = λ · E[ α · sim · |∇(g(z) − f(ẑ))|₁ ]
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
    """The loss and its parts, each a scalar tensor."""

    total: Float[Tensor, ""]
    recon: Float[Tensor, ""]
    unlearn: Float[Tensor, ""]
    percep: Float[Tensor, ""]
    edges: Float[Tensor, ""]


def unlearning_loss(
    drawn: Float[Tensor, "n c h w"],
    taught: Float[Tensor, "n c h w"],
    sim: Bool[Tensor, " n"],
    *,
    alpha: float,
    msssim: MSSSIM,
    edges: float = 0.0,
) -> Loss:
    """L with L_edges, and their parts, for one batch.

    Where g cannot draw f(ẑ), |·|₁ is content with every second pixel of a stroke as with none, and
    leaves specks; L_edges is not (a gradient difference loss, as in Mathieu, Couprie, LeCun, "Deep
    multi-scale video prediction beyond mean square error", ICLR 2016, arXiv 1511.05440).

    Args:
        drawn: g(z).
        taught: f(ẑ) where sim holds, f(z) elsewhere (there ẑ = z).
        sim: whether z carries the feature.
        alpha: α, the weight of unlearning against reconstruction.
        edges: λ of L_edges.
    """
    n = len(drawn)
    distance = (drawn - taught).abs().flatten(1).mean(1)
    unlearn = torch.where(sim, distance, 0).sum() / n
    recon = torch.where(sim, 0, distance).sum() / n
    rows = sim.nonzero().squeeze(1)
    percep = rough = torch.zeros_like(recon)
    if len(rows):  # both are multiplied by sim, so the rest need not be computed
        chosen = drawn.index_select(0, rows), taught.index_select(0, rows)
        percep = (1 - msssim(*chosen)).sum() / n
        if edges:
            rough = edges * alpha * roughness(chosen[0] - chosen[1]).sum() / n
    total = alpha * (unlearn + percep) + recon + rough
    return Loss(total, recon, unlearn, percep, rough)


def roughness(images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """|∇x|₁: absolute differences between pixels that are neighbours, down and across, summed, over
    c·h·w."""
    down = (images[..., 1:, :] - images[..., :-1, :]).abs().flatten(1).sum(1)
    across = (images[..., 1:] - images[..., :-1]).abs().flatten(1).sum(1)
    return (down + across) / images[0].numel()


@dataclass(frozen=True)
class Question:
    """What the labeller is asked of g's pictures: for L_gone and L_keep.

    Attributes:
        labeler: can be differentiated; it may see attributes in `look`.
        gone, keep: the terms' weights λ.
        sharpen: for the feature, the pictures are looked at sharpened, too, as the search does.
    """

    labeler: Labeler
    gone: float
    keep: float
    sharpen: float = 0.0

    def answer(
        self, images: Float[Tensor, "n c h w"], sim: Bool[Tensor, " n"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n k"]]:
        """Scores s and log-odds A. Only where the gate is open does the score count, so the others
        are not looked at as closely."""
        return look_closely(self.labeler, images, self.sharpen if self.gone else 0.0, sim)


@dataclass(frozen=True)
class Asked:
    """What the labeller says of g's pictures against the teacher's: L_gone and L_keep, each a
    scalar tensor."""

    gone: Float[Tensor, ""]
    keep: Float[Tensor, ""]


def asked_loss(
    question: Question,
    drawn: Float[Tensor, "n c h w"],
    scores: Float[Tensor, " n"],
    odds: Float[Tensor, "n k"],
    sim: Bool[Tensor, " n"],
    *,
    alpha: float,
) -> Asked:
    """How far g's pictures show more of the feature than the teacher's, where the gate is open, and
    how far attributes have strayed from the teacher's (`unfeature.search.strayed`); a picture
    counts as much as in the paper's loss.

    Args:
        scores, odds: the answer (`Question.answer`) for the teacher's pictures.

    Raises:
        UserError: attributes are to be kept, and the labeller sees none.
    """
    if question.keep and not odds.shape[1]:
        raise UserError(
            "unlearn.keep needs a labeller that sees other attributes; "
            f"'{question.labeler.name}' sees none"
        )
    seen, now = question.answer(drawn, sim)
    more = torch.where(sim, (seen - scores).clamp(min=0), 0)
    weight = torch.where(sim, alpha, 1.0)
    gone = question.gone * (alpha * more.mean())
    return Asked(gone, question.keep * (weight * strayed(now, odds)).mean())
