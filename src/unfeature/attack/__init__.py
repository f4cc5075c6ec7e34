"""Attacks on a generator: can the feature be brought back?

    region = plausible(generator)
    latents = region.inside(generator.latents_from_seeds(range(500)))
    found = pgd(generator, classifier.score, latents, region, AttackConfig(epsilon=2.0))

`Siege` (in `unfeature.attack.siege`) runs all of them at rising radii and asks a judge.
"""

from unfeature.attack.base import Found
from unfeature.attack.direction import along, refitted
from unfeature.attack.ellipsoid import Ellipsoid
from unfeature.attack.informed import informed
from unfeature.attack.pgd import pgd
from unfeature.attack.plausible import plausible
from unfeature.attack.random_search import random_search
from unfeature.attack.region import Ball, Region, Shell
from unfeature.config import AttackConfig

__all__ = [
    "AttackConfig",
    "Ball",
    "Ellipsoid",
    "Found",
    "Region",
    "Shell",
    "along",
    "informed",
    "pgd",
    "plausible",
    "random_search",
    "refitted",
]
