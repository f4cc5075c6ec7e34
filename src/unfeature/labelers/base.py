"""What every labeller that a program can call has in common."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Labeler(Protocol):
    """Says how clearly a picture shows the feature."""

    @property
    def name(self) -> str:
        """Who this is and with what settings, for provenance."""

    def score(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        """Images → scores: above 0 the picture shows the feature.

        A generator's images may lie a little beyond [−1, 1]: they are looked at as they are shown,
        clamped to it.

        The unit is such that 1 is a clear difference: one standard deviation of the function's
        value, or of the classifier's log-odds, over the generator's pictures.
        """


@runtime_checkable
class AttributeLabeler(Labeler, Protocol):
    """A labeller that sees other attributes in the same pass, so that they can be kept."""

    def look(
        self, images: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n k"]]:
        """Scores, and the log-odds of k attributes, of the images as they are shown."""


def differentiable(labeler: Labeler, images: Float[Tensor, "n c h w"]) -> bool:
    """Whether its score of these images has a gradient."""
    with torch.inference_mode(False), torch.enable_grad():
        return labeler.score(images.detach().clone().requires_grad_()).requires_grad


def look(
    labeler: Labeler, images: Float[Tensor, "n c h w"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n k"]]:
    """Scores, and the log-odds of attributes that are to be kept: none for most labellers."""
    if isinstance(labeler, AttributeLabeler):
        return labeler.look(images)
    return labeler.score(images), images.new_empty(len(images), 0)
