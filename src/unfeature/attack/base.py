"""What every search in the latent has in common: who is asked, what counts, what was found."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unfeature.attack.region import Region
from unfeature.config import AttackConfig
from unfeature.errors import UserError

Draw = Callable[[Tensor], Tensor]
Score = Callable[[Tensor], Tensor]
Objective = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Images → the classifier's scores, and what is maximised in their place."""
GOLDEN = 0.6180339887
"""Its multiples, modulo 1, are spread evenly over [0, 1] however many there are: so who has more of
them has the others, too."""


@dataclass(frozen=True)
class Found:
    """What a search came to, a row a latent.

    Attributes:
        latents: where the classifier's score was highest.
        scores: the classifier's there.
        success: whether it saw the feature.
        queries: pictures drawn until it first did, or in all.
        confidence: the score at which a row's search ends.
    """

    latents: Float[Tensor, "n *latent"]
    scores: Float[Tensor, " n"]
    success: Bool[Tensor, " n"]
    queries: Int[Tensor, " n"]
    confidence: float

    @classmethod
    def start(cls, latents: Float[Tensor, "n *latent"], confidence: float) -> "Found":
        """Nothing tried yet."""
        n, device = len(latents), latents.device
        return cls(
            latents.clone(),
            torch.full((n,), -torch.inf, device=device),
            torch.zeros(n, dtype=torch.bool, device=device),
            torch.zeros(n, dtype=torch.int64, device=device),
            confidence,
        )

    def see(self, rows: Int[Tensor, " m"], latents: Tensor, scores: Tensor) -> None:
        """Take in what one query of some rows gave."""
        better = scores > self.scores[rows]
        chosen = rows[better]
        self.latents[chosen], self.scores[chosen] = latents[better], scores[better]
        self.queries[rows] += (~self.success[rows]).long()
        self.success[rows] |= scores > 0

    @property
    def left(self) -> Int[Tensor, " m"]:
        """The rows whose search goes on."""
        return (self.scores <= self.confidence).nonzero().squeeze(1)


def in_batches(
    latents: Float[Tensor, "n *latent"],
    region: Region,
    config: AttackConfig,
    search: Callable[[Found, Tensor, int], None],
) -> Found:
    """A search of many latents, `config.batch_size` at a time.

    Args:
        latents: where it begins; in the region.
        search: fills in what is found from some latents, given them and the number of the first.

    Raises:
        UserError: latents outside the region, where a figure would mean nothing.
    """
    outside = int((~region.contains(latents)).sum())
    if outside:
        raise UserError(
            f"{outside} of {len(latents)} latents lie outside the plausible region; attack those "
            "of region.inside(latents)"
        )
    parts = []
    for start in range(0, len(latents), config.batch_size):
        part = latents[start : start + config.batch_size]
        found = Found.start(part, config.confidence)
        search(found, part, start)
        parts.append(found)
    return Found(
        torch.cat([part.latents for part in parts]),
        torch.cat([part.scores for part in parts]),
        torch.cat([part.success for part in parts]),
        torch.cat([part.queries for part in parts]),
        parts[0].confidence,
    )
