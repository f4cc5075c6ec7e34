"""What a user should know about a target direction before training on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from unfeature.erase import threshold_for
from unfeature.labels import LatentSet
from unfeature.seeds import derive, rng
from unfeature.target import Method, TargetVector, binary, raw_direction


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
    method: Method = "mean",
    seed: int = 0,
) -> Diagnosis:
    """Measure a direction on the labels it came from, held out where it matters."""
    auc = held_out_auc(labels, method=method, seed=seed)
    auc_half = held_out_auc(labels, method=method, share=0.5, seed=seed)
    stability = bootstrap_cosine(labels, method=method, seed=seed)
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
        more_labels=stability < 0.9 or auc - auc_half > 0.01,
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
    labels: LatentSet, *, method: Method = "mean", share: float = 1.0, seed: int = 0
) -> float:
    """Mean AUC over 5 folds; each direction is fitted on `share` of the other four."""
    sure = labels.require_both().sure()
    x, y = binary(sure)
    folds = StratifiedKFold(5, shuffle=True, random_state=derive(seed, "folds") % 2**32)
    areas = []
    for fold, (train, test) in enumerate(folds.split(x.numpy(), y.numpy())):
        kept = sure.where(torch.from_numpy(train))
        if share < 1:
            kept, _ = kept.split(share, rng(seed, "share", fold))
        if min(kept.counts["yes"], kept.counts["no"]) < 8:
            continue
        direction = raw_direction(kept, method=method)
        areas.append(roc_auc_score(y[test].numpy(), (x[test] @ direction).numpy()))
    return float(np.mean(areas)) if areas else float("nan")


def bootstrap_cosine(
    labels: LatentSet, *, method: Method = "mean", resamples: int = 20, seed: int = 0
) -> float:
    """Mean cosine between the direction and those fitted to resamples with replacement."""
    sure = labels.sure()
    whole = raw_direction(sure, method=method)
    cosines = []
    for i in range(resamples):
        rows = torch.randint(len(sure), (len(sure),), generator=rng(seed, "bootstrap", i))
        again = sure.where(rows)
        if min(again.counts["yes"], again.counts["no"]) >= 8:
            cosines.append((whole @ raw_direction(again, method=method)).item())
    return float(np.mean(cosines)) if cosines else float("nan")


def entanglement(target: TargetVector, attribute: LatentSet) -> Entanglement:
    """How much of another attribute the direction carries."""
    x, y = binary(attribute.require_both())
    cosine = (target.direction @ raw_direction(attribute)).item()
    return Entanglement(
        attribute.feature, cosine, float(roc_auc_score(y.numpy(), (x @ target.direction).numpy()))
    )
