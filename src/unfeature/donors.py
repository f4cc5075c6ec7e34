"""From a picture that shows the feature towards the most similar ones that do not.

The way to the "nearest unlike neighbour" is how case-based counterfactuals are found: Keane, Smyth,
"Good Counterfactuals and Where to Find Them" (ICCBR 2020, arXiv 2005.13997). Here it is walked in
latent space, so what lies on it are the generator's own pictures, where a walk down a classifier's
gradient may end among pictures that only fool the classifier. It needs no gradient.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unfeature.errors import UserError
from unfeature.search import STRAYED_BACK, Draw, Found, Look, strayed

SIDE = 8
"""Pictures are compared as thumbnails of so many pixels a side."""
STRAYED_APART = 0.1
"""Weight of attributes that differ, against the mean L1 of thumbnails."""


@dataclass(frozen=True)
class Donors:
    """The generator's pictures that lack the feature, to look the most similar up in.

    Attributes:
        latents: theirs.
        thumbnails: of their pictures, flattened.
        odds: the log-odds of the attributes that are to be kept.
    """

    latents: Float[Tensor, "m *latent"]
    thumbnails: Float[Tensor, "m p"]
    odds: Float[Tensor, "m k"]

    @classmethod
    @torch.inference_mode()
    def among(
        cls, latents: Float[Tensor, "n *latent"], draw: Draw, look: Look, *, margin: float
    ) -> "Donors":
        """Those of some latents whose pictures lack the feature by the margin.

        Raises:
            UserError: none does.
        """
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for part in latents.split(256):
            images = draw(part)
            scores, odds = look(images)
            without = scores < -margin
            found.append((part[without], thumbnails(images[without]), odds[without]))
        donors = cls(*(torch.cat(parts) for parts in zip(*found, strict=True)))
        if not len(donors):
            raise UserError(
                f"of {len(latents)} pictures none lacks the feature by a margin of {margin:g}; "
                "lower erase.margin or raise erase.donors"
            )
        return donors

    def __len__(self) -> int:
        return len(self.latents)

    def nearest(
        self, images: Float[Tensor, "n c h w"], kept: Float[Tensor, "n k"], count: int
    ) -> Int[Tensor, "n c2"]:
        """For each picture the numbers of the `count` most similar donors, the nearest first."""
        apart = torch.cdist(thumbnails(images), self.thumbnails, p=1) / self.thumbnails.shape[1]
        apart = apart + STRAYED_APART * strayed(self.odds[None], kept[:, None])
        return apart.topk(min(count, len(self)), largest=False, dim=1).indices


@torch.inference_mode()
def towards_donors(
    latents: Float[Tensor, "n *latent"],
    images: Float[Tensor, "n c h w"],
    draw: Draw,
    look: Look,
    *,
    kept: Float[Tensor, "n k"],
    donors: Donors,
    margin: float,
    candidates: int = 3,
    bisections: int = 4,
) -> Found:
    """The shortest way from each latent to its similar donors after which the score is < −margin.

    Of the ends of the ways to its `candidates` nearest donors it is the one whose picture differs
    least: mean L1, plus what attributes that are to be kept have strayed. A donor's own picture
    lacks the feature, so every way arrives.

    Args:
        latents, images: at least one, and their pictures.
        draw: latents → images.
        look: images → scores, above 0 where the feature shows, and log-odds of k attributes.
        kept: what those are for `images`; k may be 0.
        bisections: of each way; the latent found is at most 2^−bisections of it too far.
    """
    latents_found, pictures = latents.clone(), images.clone()
    scores = latents.new_empty(len(latents))
    least = latents.new_full((len(latents),), torch.inf)
    for numbers in donors.nearest(images, kept, candidates).unbind(1):
        end = donors.latents[numbers].flatten(1)
        start = latents.flatten(1)
        enough = start.new_ones(len(start), 1)
        short = torch.zeros_like(enough)
        for _ in range(bisections):
            middle = (short + enough) / 2
            gone = look(draw(start.lerp(end, middle).view_as(latents)))[0][:, None] < -margin
            enough, short = torch.where(gone, middle, enough), torch.where(gone, short, middle)
        now = start.lerp(end, enough).view_as(latents)
        drawn = draw(now)
        value, odds = look(drawn)
        away = (drawn - images).abs().flatten(1).mean(1) + STRAYED_BACK * strayed(odds, kept)
        better = away < least
        latents_found[better], pictures[better] = now[better], drawn[better]
        scores[better], least[better] = value[better], away[better]
    return Found(latents_found, pictures, scores)


def thumbnails(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n p"]:
    """Means over `SIDE` × `SIDE` blocks, flattened."""
    return F.adaptive_avg_pool2d(images, SIDE).flatten(1)
