"""What else changed: other attributes of a picture, or its class, before and after, by a judge.

The paper's human study counts, for pairs of pictures from the same latent, how many attributes
besides the target differ (section 4.3); here a judge counts, and `unfeature.evaluate.human` lets a
person count.
"""

from collections.abc import Collection
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from unfeature.evaluate.statistics import Mean, Ratio, corrected, mcnemar, mean_count, wilson
from unfeature.labelers.classifier import AttributeJudge


@dataclass(frozen=True)
class Change:
    """What became of one attribute.

    Attributes:
        share: of pairs in which it differs; the intervals of all attributes hold together.
        before, after: shares of pictures that have it.
        q: that as many gained as lost it, by McNemar's exact test, corrected for the number of
            attributes; small where the attribute became rarer or more frequent.
    """

    share: Ratio
    before: float
    after: float
    q: float


@dataclass(frozen=True)
class Collateral:
    """How many other attributes differ between two pictures of one latent.

    Attributes:
        judge: who looked.
        pairs: how many pairs were compared.
        changed: number of attributes that differ in a pair, over all pairs; of classes the share of
            pairs of two classes.
        attributes: how many were compared.
        changes: for each of them, what became of it.
        exclusive: whether they are classes, of which a picture shows one.
    """

    judge: str
    pairs: int
    changed: Mean | Ratio
    attributes: int
    changes: dict[str, Change]
    exclusive: bool = False


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
    names = [judge.names[i] for i in kept]
    return compare_attributes(judge, names, judge(before)[:, kept], judge(after)[:, kept])


def compare_attributes(
    judge: AttributeJudge,
    names: Collection[str],
    before: Bool[Tensor, "n k"],
    after: Bool[Tensor, "n k"],
) -> Collateral:
    """The same from what the judge saw."""
    differ = before != after
    counts = changed(differ, exclusive=judge.exclusive)
    p = [mcnemar(a, b) for a, b in zip(before.T, after.T, strict=True)]
    rows = zip(names, differ.T, before.T, after.T, corrected(p), strict=True)
    return Collateral(
        judge=judge.reference,
        pairs=len(differ),
        changed=wilson(counts > 0) if judge.exclusive else mean_count(counts),
        attributes=len(names),
        changes={
            name: Change(
                wilson(d, of=len(names)), a.double().mean().item(), b.double().mean().item(), q
            )
            for name, d, a, b, q in rows
        },
        exclusive=judge.exclusive,
    )


def changed(differ: Bool[Tensor, "n k"], *, exclusive: bool) -> Float[Tensor, " n"]:
    """How many attributes differ in a pair; of classes, of which two differ at a time, 1 or 0."""
    return (differ.any(1) if exclusive else differ.sum(1)).double()
