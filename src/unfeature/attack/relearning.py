"""Relearning: how quickly does the feature come back when somebody fine-tunes the weights?

Adversarially, with a fresh discriminator (`unfeature.methods.adversarial`), on k pictures that have
the feature beside pictures that lack it; with k = 0 on the latter alone, which should bring nothing
back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.evaluate.statistics import Ratio, wilson
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator, draw
from unfeature.labelers.base import Labeler
from unfeature.labels import sample_seeds
from unfeature.methods.adversarial import AdversarialConfig, Duel
from unfeature.methods.base import pick


@dataclass(frozen=True)
class Relearned:
    """The course of one lesson.

    Attributes:
        pictures: k, how many pictures with the feature were shown.
        steps: updates at which was looked (`looks`).
        ratios: share of pictures that then show the feature.
        half: updates until half of the original's share was back; None if it never was.
    """

    pictures: int
    steps: tuple[int, ...]
    ratios: tuple[Ratio, ...]
    half: int | None


def relearned(
    generator: Generator,
    having: Float[Tensor, "k c h w"],
    lacking: Float[Tensor, "m c h w"],
    judge: Labeler,
    *,
    steps: int,
    share: float,
    n: int = 500,
    seed: int = 0,
) -> Relearned:
    """Teach a copy of the generator the feature again.

    Args:
        having: the k pictures that have it; half of what is shown, if there are any.
        lacking: pictures that lack it.
        share: of the original's pictures that show the feature.
        n: pictures a look.
    """

    def wanted(count: int, random: torch.Generator) -> Tensor:
        if not len(having):
            return pick(lacking, count, random)
        half = count // 2
        return torch.cat([pick(having, half, random), pick(lacking, count - half, random)])

    latents = generator.latents_from_seeds(sample_seeds(n, seed, "relearn").tolist())

    def ratio(student: Generator) -> Ratio:
        return wilson(judged(judge, draw(student, latents)) > 0)

    config = AdversarialConfig(steps=steps, head_start=min(steps, 100))
    duel = Duel(generator, config, wanted, seed=seed)
    seen, ratios = looks(steps), [ratio(generator)]
    for step, student in enumerate(duel.steps(), start=1):
        if step in seen:
            ratios.append(ratio(student))
    half = half_back(seen, [found.value for found in ratios], share)
    return Relearned(len(having), seen, tuple(ratios), half)


def looks(steps: int) -> tuple[int, ...]:
    """0, 1, 2, 5, 10, 20, 50 and so on, and the last: what comes back, comes back early."""
    series = (digit * 10**power for power in range(len(str(steps))) for digit in (1, 2, 5))
    return (0, *(step for step in series if step < steps), steps)


def half_back(steps: Sequence[int], ratios: Sequence[float], share: float) -> int | None:
    """The first step at which half of the original's share is back."""
    return next((s for s, r in zip(steps, ratios, strict=True) if r >= share / 2), None)
