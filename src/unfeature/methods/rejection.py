"""Rejection sampling at run time: draw again where the labeller sees the feature.

No weight changes: whoever holds the file can leave the filter out and has the feature back.
"""

import hashlib
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from unfeature.config import Settings
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator
from unfeature.labelers.base import Labeler
from unfeature.methods.base import Problem


class Rejection(Settings):
    """A filter behind the original."""

    kind: Literal["rejection"] = "rejection"
    tries: int = Field(10, ge=1)
    """Pictures drawn at most for one latent; the last is given out whatever it shows."""


class RejectionSampler(Generator):
    """f behind a filter. What is drawn instead depends on the latent alone, not on its batch."""

    def __init__(self, original: Generator, labeler: Labeler, tries: int):
        super().__init__(original.module, original.spec)
        self.original, self.labeler, self.tries = original, labeler, tries

    def __call__(self, latents: Float[Tensor, "n *latent"]) -> Float[Tensor, "n c h w"]:
        images = self.original(latents)
        left = (judged(self.labeler, images) > 0).nonzero().squeeze(1)
        for attempt in range(1, self.tries):
            if not len(left):
                break
            again = self.original.latents_from_seeds(
                [_seed(latents[row], attempt) for row in left.tolist()]
            )
            drawn = self.original(again)
            images = images.index_copy(0, left, drawn)
            left = left[judged(self.labeler, drawn) > 0]
        return images


def _seed(latent: Tensor, attempt: int) -> int:
    content = latent.detach().cpu().contiguous().numpy().tobytes() + attempt.to_bytes(2, "big")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1


@torch.no_grad()
def rejection(problem: Problem, config: Rejection) -> Generator:
    """The original behind a filter."""
    return RejectionSampler(problem.original, problem.labeler, config.tries)
