"""What a user should know about a target direction before training on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.erase import threshold_for
from unfeature.errors import UserError
from unfeature.labels import LatentSet
from unfeature.seeds import derive, rng
from unfeature.target import TargetVector, binary, raw_direction

Fit = Callable[[LatentSet], Float[Tensor, " d"]]
"""From labels to a unit direction."""


@dataclass(frozen=True)
class ThresholdRow:
    """A linear gate's threshold, the share of latents it edits and of positives it misses."""

    gate: str
    threshold: float
    edited: float
    missed: float


@dataclass(frozen=True)
class Entanglement:
    """How a direction relates to another labelled attribute.

    Attributes:
        cosine: between the direction and the attribute's own difference of means.
        auc: of the direction's score as a detector of the attribute; 0.5 is none at all.
    """

    attribute: str
    cosine: float
    auc: float


@dataclass(frozen=True)
class Diagnosis:
    """All of the above for one direction.

    Attributes:
        auc: held-out (5-fold) area under the ROC curve of the score against the labels.
        auc_half: the same with half of the training labels.
        stability: mean cosine between the direction and those of bootstrap resamples.
        more_labels: whether more labels are likely to help.
    """

    method: str
    counts: dict[str, int]
    auc: float
    auc_half: float
    stability: float
    thresholds: tuple[ThresholdRow, ...]
    entanglement: tuple[Entanglement, ...]
    more_labels: bool

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Diagnosis":
        """What `dataclasses.asdict` made."""
        rows = tuple(ThresholdRow(**row) for row in values["thresholds"])
        others = tuple(Entanglement(**row) for row in values["entanglement"])
        return cls(**{**values, "thresholds": rows, "entanglement": others})


def diagnose(
    labels: LatentSet,
    target: TargetVector,
    *,
    attributes: Mapping[str, LatentSet] | None = None,
    recall: float = 0.95,
    fit: Fit = raw_direction,
    seed: int = 0,
) -> Diagnosis:
    """Measure a direction on the labels it came from, held out where it matters.

    Args:
        fit: how the direction was found; it is found again from parts of the labels.
    """
    auc = held_out_auc(labels, fit=fit, seed=seed)
    auc_half = held_out_auc(labels, fit=fit, share=0.5, seed=seed)
    stability = bootstrap_cosine(labels, fit=fit, seed=seed)
    return Diagnosis(
        method=target.method,
        counts=labels.counts,
        auc=auc,
        auc_half=auc_half,
        stability=stability,
        thresholds=tuple(
            threshold_row(labels, target, gate, recall=recall)
            for gate in ("paper", "midpoint", "calibrated")
        ),
        entanglement=tuple(entanglement(target, other) for other in (attributes or {}).values()),
        more_labels=stability < 0.9 or not auc - auc_half <= 0.01,  # NaN: too few to tell
    )


def threshold_row(
    labels: LatentSet, target: TargetVector, gate: str, *, recall: float
) -> ThresholdRow:
    """What one threshold would do to the labelled latents."""
    threshold = threshold_for(labels, target, gate, recall=recall)
    edited = (target.score(labels.latents) > threshold).float().mean().item()
    missed = (target.score(labels.positives) <= threshold).float().mean().item()
    return ThresholdRow(gate, threshold, edited, missed)


def held_out_auc(
    labels: LatentSet, *, fit: Fit = raw_direction, share: float = 1.0, seed: int = 0
) -> float:
    """Mean AUC over 5 folds; each direction is fitted on `share` of the other four."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    sure = labels.require_both().sure()
    x, y = binary(sure)
    folds = StratifiedKFold(5, shuffle=True, random_state=derive(seed, "folds") % 2**32)
    areas = []
    for fold, (train, test) in enumerate(folds.split(x.numpy(), y.numpy())):
        kept = sure.where(torch.from_numpy(train))
        if share < 1:
            kept, _ = kept.split(share, rng(seed, "share", fold))
        direction = _refitted(fit, kept)
        if direction is None:
            continue
        areas.append(roc_auc_score(y[test].numpy(), (x[test] @ direction).numpy()))
    return float(np.mean(areas)) if areas else float("nan")


def bootstrap_cosine(
    labels: LatentSet, *, fit: Fit = raw_direction, resamples: int = 20, seed: int = 0
) -> float:
    """Mean cosine between the direction and those fitted to resamples with replacement."""
    sure = labels.sure()
    whole = _refitted(fit, sure)
    if whole is None:
        return float("nan")
    cosines = []
    for i in range(resamples):
        rows = torch.randint(len(sure), (len(sure),), generator=rng(seed, "bootstrap", i))
        again = sure.where(rows)
        direction = _refitted(fit, again)
        if direction is not None:
            cosines.append((whole @ direction).item())
    return float(np.mean(cosines)) if cosines else float("nan")


def _refitted(fit: Fit, labels: LatentSet) -> Float[Tensor, " d"] | None:
    """The direction of some of the labels; none where too few are left, or too little of it."""
    try:
        return fit(labels)
    except UserError:
        return None


def entanglement(target: TargetVector, attribute: LatentSet) -> Entanglement:
    """How much of another attribute the direction carries."""
    from sklearn.metrics import roc_auc_score

    x, y = binary(attribute.require_both())
    cosine = (target.direction @ raw_direction(attribute)).item()
    return Entanglement(
        attribute.feature, cosine, float(roc_auc_score(y.numpy(), (x @ target.direction).numpy()))
    )
