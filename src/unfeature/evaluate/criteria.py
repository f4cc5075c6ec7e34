"""Pass, fail, or not enough samples: measured figures against limits set beforehand.

A figure passes when its whole 95% interval keeps the limit, fails when the whole interval breaks
it, and is otherwise, and where there are fewer than two samples, undecided: more would tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "not enough samples"]
OUTCOMES: tuple[Outcome, ...] = ("fail", "not enough samples", "pass")
"""Worst first."""
STATUS: dict[Outcome, int] = {"pass": 0, "fail": 3, "not enough samples": 4}
"""The exit status of a command that decides; 1 and 2 are errors."""


@dataclass(frozen=True)
class Criterion:
    """One figure and its limit.

    Attributes:
        name: of the setting, e.g. "target_ratio".
        limit: what it may be at most.
        value, low, high: the figure and its 95% interval.
        n: how many pictures it was measured on.
    """

    name: str
    limit: float
    value: float
    low: float
    high: float
    n: int

    @property
    def outcome(self) -> Outcome:
        if self.n < 2:  # of one value there is no interval
            return "not enough samples"
        if self.high <= self.limit:
            return "pass"
        return "fail" if self.low > self.limit else "not enough samples"

    @property
    def more(self) -> int | None:
        """About how many pictures would decide, the interval's width falling with the root of
        their number; none where the figure is decided or equals its limit."""
        if self.outcome != "not enough samples" or self.value == self.limit or self.n < 2:
            return None
        side = self.high - self.value if self.value < self.limit else self.value - self.low
        return round(self.n * (side / abs(self.limit - self.value)) ** 2)

    def __str__(self) -> str:
        if not self.n:
            return f"{self.name}: no picture to measure it on: {self.outcome}"
        text = (
            f"{self.name}: {self.value:.4g} [{self.low:.4g}, {self.high:.4g}], "
            f"at most {self.limit:g}: {self.outcome}"
        )
        return f"{text} (about {self.more:,} would do)" if self.more else text


def decide(
    limits: Mapping[str, float | None], figures: Mapping[str, tuple[float, float, float, int]]
) -> tuple[Criterion, ...]:
    """A criterion for every limit that is set.

    Args:
        limits: by figure's name, at most how much; None sets no limit.
        figures: value, low, high and number of pictures; one that is missing, since there was no
            picture to measure it on, is undecided.
    """
    nothing = (float("nan"), float("nan"), float("nan"), 0)
    return tuple(
        Criterion(name, limit, *figures.get(name, nothing))
        for name, limit in limits.items()
        if limit is not None
    )


def overall(criteria: tuple[Criterion, ...]) -> Outcome | None:
    """The worst outcome; none when nothing was to be decided."""
    found = {criterion.outcome for criterion in criteria}
    return next((outcome for outcome in OUTCOMES if outcome in found), None)
