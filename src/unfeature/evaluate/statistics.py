"""Shares, means and paired differences with the intervals and p-values that belong to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95% interval, and how many values it is made of."""

    value: float
    low: float
    high: float
    n: int


class Ratio(Estimate):
    """A share in [0, 1], with its Wilson interval."""

    def __str__(self) -> str:
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}]"


class Mean(Estimate):
    """A mean, with its t-interval."""

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def wilson(hits: Bool[Tensor, " n"], *, of: int = 1) -> Ratio:
    """The share of true entries with its 95% score interval (Wilson, JASA 1927).

    Args:
        of: how many such shares are looked at together; with more than one, the intervals hold at
            once in 95% of cases (Bonferroni: each at 1 − 0.05/of).
    """
    k, n = int(hits.sum()), len(hits)
    level = 1 - 0.05 / of
    interval = scipy.stats.binomtest(k, n).proportion_ci(confidence_level=level, method="wilson")
    return Ratio(k / n, float(interval.low), float(interval.high), n)


def mean(values: Float[Tensor, " n"]) -> Mean:
    """The mean with its 95% interval by Student's t; of one value the interval is a point."""
    x = values.double().cpu().numpy()
    middle, n = float(x.mean()), len(x)
    half = float(scipy.stats.t.ppf(0.975, n - 1) * scipy.stats.sem(x)) if n > 1 else 0.0
    return Mean(middle, middle - half, middle + half, n)


def mean_count(counts: Float[Tensor, " n"]) -> Mean:
    """The mean of whole numbers with its 95% interval: Student's t, which of a few noughts would
    make a point, widened to Wilson's for the share that is not nought, which the mean is no less
    than."""
    found = mean(counts)
    some = wilson(counts > 0)
    return Mean(found.value, max(found.low, 0.0), max(found.high, some.high), found.n)


def mcnemar(before: Bool[Tensor, " n"], after: Bool[Tensor, " n"]) -> float:
    """The exact p-value of no change in a share, both seen on the same rows (McNemar, 1947): of
    the rows that differ, as many should have gained as lost."""
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return float(scipy.stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def corrected(p: Sequence[float]) -> list[float]:
    """p-values adjusted for being looked at together (Benjamini and Hochberg, 1995): of those at
    most 0.05, on average at most 5% are false alarms."""
    return [float(q) for q in scipy.stats.false_discovery_control(np.asarray(p))] if len(p) else []
