"""What an attack is worth: how often the attacked classifier sees the feature, how often somebody
else does, and whether the pictures are still pictures.

A gradient that climbs a classifier also finds what only fools it. So another judge, that the attack
never asked, decides; and a picture counts only if it is no nonsense
(`unfeature.attack.picture_gate`).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.attack.base import Found
from unfeature.attack.picture_gate import PictureGate
from unfeature.evaluate.statistics import Ratio, wilson
from unfeature.evaluate.verdict import judged
from unfeature.labelers.base import Labeler

Seen = dict[str, Bool[Tensor, " n"]]
"""Rows in which a judge saw the feature: "judged" is of the one that decides, "rests" of one that
looks closely, where there is one."""


@dataclass(frozen=True)
class Outcome:
    """One attack on one generator.

    Attributes:
        naive: share of latents from which the attacked classifier came to see the feature.
        judged: share from which the judge sees it, in a picture that passes.
        passed: share of all attacked pictures that pass.
        queries: mean number of pictures drawn a latent.
        rests: share from which a judge that looks closely sees it or a rest of it, in a picture
            that passes; None where nobody does.
    """

    naive: Ratio
    judged: Ratio
    passed: Ratio
    queries: float
    rests: Ratio | None = None


def outcome(
    found: Found,
    images: Float[Tensor, "n c h w"],
    judge: Labeler,
    gate: PictureGate | None,
    before: Seen | None = None,
    *,
    closer: Labeler | None = None,
) -> tuple[Outcome, Seen]:
    """The figures of an attack, and the rows in which each judge saw the feature.

    Args:
        images: of the latents found.
        judge: not the classifier that was attacked.
        gate: none lets every picture pass.
        before: rows in which it was seen with a smaller budget; they count for this one.
        closer: a judge that minds a rest of the feature, too; it decides nothing.
    """
    judges = {"judged": judge} | ({"rests": closer} if closer is not None else {})
    seen = {name: judged(who, images) > 0 for name, who in judges.items()}
    passed = gate.passes(images) if gate else torch.ones_like(seen["judged"])
    seen = {name: rows & passed for name, rows in seen.items()}
    seen = union(seen, before)
    made = Outcome(
        naive=wilson(found.success),
        passed=wilson(passed),
        queries=found.queries.double().mean().item(),
        **{name: wilson(rows) for name, rows in seen.items()},
    )
    return made, seen


def union(seen: Seen, before: Seen | None) -> Seen:
    """The rows in which it was seen in either, of two radii or of two attacks."""
    if before is None:
        return seen
    return {name: rows | before[name] for name, rows in seen.items()}
