"""Inversion: is there still a latent from which g draws a picture that has the feature?

Published work brought "forgotten" classes of unlearned generators back this way: the weights no
longer answer the old latents with the feature, but others do.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from unfeature.attack.region import plausible
from unfeature.evaluate.statistics import Mean, Ratio, mean, wilson
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator
from unfeature.invert import invert
from unfeature.labelers.base import Labeler


@dataclass(frozen=True)
class Inverted:
    """What became of pictures that have the feature.

    Attributes:
        l1: mean distance of the picture found to the one wanted; images in [−1, 1].
        back: share of the pictures found in which the judge sees the feature.
        likely: log-density of the latents found, per dimension, without its constant, under N(0, I)
            or, in w, under a normal fitted to sampled w; −1/2 is usual.
    """

    l1: Mean
    back: Ratio
    likely: Mean


def inverted(
    generator: Generator,
    pictures: Float[Tensor, "n c h w"],
    judge: Labeler,
    *,
    steps: int,
    seed: int = 0,
) -> Inverted:
    """Look pictures with the feature up in a generator's latents."""
    found = invert(generator, pictures, steps=steps, seed=seed)
    likely = mean(plausible(generator).log_density(found.latents))
    return Inverted(mean(found.l1), wilson(judged(judge, found.images) > 0), likely)
