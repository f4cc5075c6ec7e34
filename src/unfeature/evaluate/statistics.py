"""Shares with the interval that belongs to them."""

from dataclasses import dataclass

from jaxtyping import Bool
from scipy.stats import binomtest
from torch import Tensor


@dataclass(frozen=True)
class Ratio:
    """A share in [0, 1], its Wilson 95% interval, and how many it is a share of."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}]"


def wilson(hits: Bool[Tensor, " n"]) -> Ratio:
    """The share of true entries with its 95% score interval (Wilson, JASA 1927)."""
    k, n = int(hits.sum()), len(hits)
    interval = binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
    return Ratio(k / n, float(interval.low), float(interval.high), n)
