"""One generator under every attack in the latent, at rising radii."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from unfeature.attack.base import Found
from unfeature.attack.budget import spent, stronger
from unfeature.attack.direction import along, refitted
from unfeature.attack.informed import informed
from unfeature.attack.outcome import Seen, outcome, union
from unfeature.attack.pgd import pgd
from unfeature.attack.picture_gate import PictureGate
from unfeature.attack.plausible import plausible
from unfeature.attack.random_search import random_search
from unfeature.config import AttackTable
from unfeature.errors import UserError
from unfeature.evaluate.features import Extractor
from unfeature.evaluate.quality import fid, inception_score
from unfeature.evaluate.statistics import wilson
from unfeature.evaluate.verdict import judged
from unfeature.generator import Generator, draw
from unfeature.labelers.base import Labeler
from unfeature.labelers.classifier import ClassifierLabeler, ClassifierObjective


@dataclass(frozen=True)
class Siege:
    """Who attacks and who judges, the same for every generator.

    Attributes:
        attacker: h, the classifier that is climbed.
        judge: another, that decides.
        gate: tells pictures from nonsense; None lets all pass.
        direction: z_e, in the original's latents, flattened or not.
        extractor, wanted: for FID and IS of attacked pictures: of what, and against which features.
        original, threshold: f, and t of a linear gate, for the attacker who knows them; without f
            there is no such attack.
        closer: a judge that minds a rest of the feature, too, or None; it decides nothing.
    """

    attacker: Labeler
    judge: Labeler
    gate: PictureGate | None
    direction: Float[Tensor, "*latent"]
    extractor: Extractor | None = None
    wanted: Float[Tensor, "m d"] | None = None
    original: Generator | None = None
    threshold: float | None = None
    closer: Labeler | None = None

    def of(
        self, generator: Generator, seeds: list[int], table: AttackTable, *, seed: int = 0
    ) -> dict[str, Any]:
        """Every attack at every radius: by attack, a row a radius (None: infinite), as
        plain values.

        Latents outside the plausible region are left out. What a smaller radius finds counts for a
        larger one. "any of these" counts a latent from which any of the attacks succeeds, as an
        attacker would who has tried them all (as the ensemble of Croce and Hein, ICML 2020, arXiv
        2003.01690, section 5).

        Raises:
            UserError: a direction of another shape, or no latent in the region.
        """
        if self.direction.numel() != math.prod(generator.latent_shape):
            raise UserError(
                f"the direction has shape {list(self.direction.shape)}, the generator's latents "
                f"{list(generator.latent_shape)}; attack a generator of the same latent space"
            )
        region = plausible(generator)
        latents = region.inside(generator.latents_from_seeds(seeds))
        found: dict[str, Any] = {}
        together: list[Seen | None] = [None] * len(table.epsilons)
        for name, attack in self._attacks(generator, latents, table, seed).items():
            best: Found | None = None
            seen: Seen | None = None
            found[name] = []
            for k, epsilon in enumerate(table.epsilons):
                now = attack(generator, self.attacker.score, latents, region, table.at(epsilon))
                best = now if best is None else stronger(best, now)
                row, seen = self._row(generator, best, seen)
                found[name].append({"epsilon": _radius(epsilon), **row})
                together[k] = union({"naive": best.success, **seen}, together[k])
            if name in ("gradient", "random"):  # the last radius alone
                found[f"{name}, queries"] = spent(now, table.steps * table.restarts)
        found["any of these"] = [
            {
                "epsilon": _radius(epsilon),
                **{name: asdict(wilson(hits)) for name, hits in (rows or {}).items()},
            }
            for epsilon, rows in zip(table.epsilons, together, strict=True)
        ]
        return found

    def _attacks(
        self, generator: Generator, latents: Tensor, table: AttackTable, seed: int
    ) -> dict[str, Callable[..., Found]]:
        """By name, each with what it alone needs."""
        objective = None
        if isinstance(self.attacker, ClassifierLabeler):
            objective = ClassifierObjective(self.attacker, table.loss)
        direction = self.direction.view(generator.latent_shape).to(generator.device)
        again = refitted(latents, judged(self.attacker, draw(generator, latents)))
        attacks: dict[str, Callable[..., Found]] = {
            "gradient": partial(pgd, objective=objective, seed=seed),
            "random": partial(random_search, seed=seed),
            "along z_e": partial(along, direction=direction),
            "along z_e found anew": partial(along, direction=again),
        }
        if self.original is not None:
            attacks["from f's answers"] = partial(
                informed,
                original=self.original,
                objective=objective,
                direction=direction,
                threshold=self.threshold,
                seed=seed,
            )
        return attacks

    def _row(
        self, generator: Generator, found: Found, before: Seen | None
    ) -> tuple[dict[str, Any], Seen]:
        """The figures at one radius, and the rows that the judges granted there or `before`, at a
        smaller one."""
        images = draw(generator, found.latents)
        made, seen = outcome(found, images, self.judge, self.gate, before, closer=self.closer)
        row = {key: value for key, value in asdict(made).items() if value is not None}
        if self.extractor is not None and self.wanted is not None:
            features, logits = self.extractor(images)
            row |= {"fid": fid(features, self.wanted), "is": inception_score(logits)}
        return row, seen


def _radius(epsilon: float) -> float | None:
    """None for an infinite one: JSON has no infinity."""
    return epsilon if epsilon < float("inf") else None
