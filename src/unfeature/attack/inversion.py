"""Inversion: is there still a latent from which g draws a picture that has the feature?

Published work brought "forgotten" classes of unlearned generators back this way: the weights no
longer answer the old latents with the feature, but others do.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from unfeature.attack.plausible import plausible
from unfeature.evaluate.statistics import Mean, Ratio, mean, wilson
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator
from unfeature.invert import invert
from unfeature.labelers.base import Labeler

USUAL = 1000
"""Sampled latents whose density the others' is held against."""


@dataclass(frozen=True)
class Inverted:
    """What became of pictures that have the feature.

    Attributes:
        l1: mean distance of the picture found to the one wanted; images in [−1, 1].
        back: share of the pictures found in which the judge sees the feature.
        likely: log-density of the latents found, per dimension, without its constant, under N(0, I)
            or, in w, under a normal fitted to sampled w.
        usual: the same of sampled latents.
    """

    l1: Mean
    back: Ratio
    likely: Mean
    usual: Mean


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
    region, sampled = plausible(generator), generator.latents_from_seeds(range(USUAL))
    likely, usual = (mean(region.log_density(z)) for z in (found.latents, sampled))
    return Inverted(mean(found.l1), wilson(judged(judge, found.images) > 0), likely, usual)
