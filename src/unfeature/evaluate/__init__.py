"""Evaluation: target ratio with intervals, what else changed, and picture quality."""

from unfeature.evaluate.features import Extractor, extractor
from unfeature.evaluate.statistics import Ratio, wilson
from unfeature.evaluate.verdict import (
    Pairs,
    Quality,
    Verdict,
    draw_pairs,
    evaluate,
    judged,
    verdict,
)

__all__ = [
    "Extractor",
    "Pairs",
    "Quality",
    "Ratio",
    "Verdict",
    "draw_pairs",
    "evaluate",
    "extractor",
    "judged",
    "verdict",
    "wilson",
]
