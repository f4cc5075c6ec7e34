"""What else changed: other attributes of a picture, before and after, by a judge of many.

The paper's human study counts, for pairs of pictures from the same latent, how many attributes
besides the target differ (section 4.3); here a judge counts.
"""

from collections.abc import Collection
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.evaluate.statistics import Ratio, wilson
from unfeature.labelers.classifier import AttributeJudge


@dataclass(frozen=True)
class Collateral:
    """How many other attributes differ between two pictures of one latent.

    Attributes:
        judge: who looked.
        pairs: how many pairs were compared.
        changed: mean number of attributes that differ in a pair.
        attributes: how many were compared.
        shares: for each attribute, the share of pairs in which it differs.
    """

    judge: str
    pairs: int
    changed: float
    attributes: int
    shares: dict[str, Ratio]


def collateral(
    judge: AttributeJudge,
    before: Float[Tensor, "n c h w"],
    after: Float[Tensor, "n c h w"],
    *,
    leave_out: Collection[str] = (),
) -> Collateral:
    """Compare pictures row by row.

    Args:
        before, after: f(z) and g(z), or f(z) and f(ẑ).
        leave_out: the feature itself, and what cannot be without it.
    """
    kept = [i for i, name in enumerate(judge.names) if name not in leave_out]
    differ: Bool[Tensor, "n k"] = judge(before)[:, kept] != judge(after)[:, kept]
    return Collateral(
        judge=judge.reference,
        pairs=len(differ),
        changed=differ.double().sum(1).mean().item(),
        attributes=len(kept),
        shares={judge.names[i]: wilson(differ[:, j]) for j, i in enumerate(kept)},
    )
