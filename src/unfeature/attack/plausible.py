"""The latents that a generator is attacked in."""

from unfeature.attack.ellipsoid import Ellipsoid
from unfeature.attack.region import Region, Shell
from unfeature.generator import Generator
from unfeature.labels import sample_seeds


def plausible(generator: Generator, *, samples: int = 10_000) -> Region:
    """The region a generator's latents come from: a shell for z, a Mahalanobis ball for w."""
    if generator.latent_space == "z":
        dimensions = 1
        for side in generator.latent_shape:
            dimensions *= side
        return Shell.of_prior(dimensions)
    seeds = sample_seeds(samples, 0, "plausible").tolist()
    return Ellipsoid.of_samples(generator.latents_from_seeds(seeds))
