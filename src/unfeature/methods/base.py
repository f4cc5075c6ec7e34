"""What every method to compare with is given: a generator, labels, a labeller, perhaps data."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from unfeature.config import Settings
from unfeature.errors import UserError
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator, draw
from unfeature.labelers.base import Labeler
from unfeature.labels import LatentSet


class TrainedConfig(Settings):
    """What all methods that train have in common."""

    steps: int = Field(500, ge=0)
    """Updates of the generator."""
    batch_size: int = Field(32, ge=2)
    """Pictures an update."""
    learning_rate: float = Field(5e-4, gt=0)
    """Adam's step size for the generator."""


@dataclass(frozen=True)
class Problem:
    """One feature of one generator, to be unlearned.

    Attributes:
        original: f; a method returns another generator and leaves it as it is.
        labels: of the original's own pictures.
        labeler: who gave them, or a classifier distilled from them; can be asked about others.
        seed: everything random in a method follows from it.
        data: training pictures in [−1, 1], with and without the feature, where there are any.
    """

    original: Generator
    labels: LatentSet
    labeler: Labeler
    seed: int = 0
    data: Float[Tensor, "n c h w"] | None = None

    def own(self, having: bool) -> Float[Tensor, "m c h w"]:
        """The original's labelled pictures that show the feature, or that do not."""
        latents = self.labels.positives if having else self.labels.negatives
        return draw(self.original, latents.to(self.original.device))

    def sorted_data(self) -> tuple[Float[Tensor, "a c h w"], Float[Tensor, "b c h w"]]:
        """Training pictures with the feature, as the labeller sees it, and those without.

        Raises:
            UserError: there is no data, it is of another shape, or one kind is missing.
        """
        if self.data is None:
            raise UserError("this method needs training data; name it under 'data'")
        if tuple(self.data.shape[1:]) != self.original.image_shape:
            raise UserError(
                f"the data's pictures are {list(self.data.shape[1:])}, the generator's "
                f"{list(self.original.image_shape)}; give data of the same size"
            )
        shows = judged(self.labeler, self.data) > 0
        if not shows.any() or shows.all():
            raise UserError(
                f"the labeller ({self.labeler.name}) sees the feature in {int(shows.sum())} of "
                f"{len(shows)} pictures of the data; this method needs both kinds"
            )
        return self.data[shows], self.data[~shows]


def pick(
    images: Float[Tensor, "m c h w"], n: int, rng: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """`n` of the pictures, at random."""
    return images[torch.randint(len(images), (n,), generator=rng)]
