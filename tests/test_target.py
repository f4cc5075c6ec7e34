import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from unfeature.diagnostics import bootstrap_cosine, diagnose, held_out_auc
from unfeature.errors import UserError
from unfeature.labels import LatentSet
from unfeature.target import TargetVector


def planted(n: int = 2000, noise: float = 0.5, axis: int = 0, seed: int = 0) -> LatentSet:
    """Latents whose label is the sign of one coordinate, with noise."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 6, generator=random)
    score = z[:, axis] + noise * torch.randn(n, generator=random)
    labels = torch.where(score > 0.7, 1, -1).to(torch.int8)
    return LatentSet(z, labels, score, torch.arange(n), f"axis {axis}", "planted", "toy")


@pytest.mark.parametrize("method", ["mean", "logistic", "lda"])
def test_planted_direction_is_found_and_points_towards_the_feature(method: str) -> None:
    target = TargetVector.fit(planted(), method=method)  # type: ignore[arg-type]
    assert target.direction.norm().item() == pytest.approx(1, abs=1e-5)
    assert target.direction[0] > 0.98


def test_lda_sees_through_correlated_coordinates_and_the_mean_does_not() -> None:
    labels = planted()
    z = labels.latents.clone()
    z[:, 1] += 2 * z[:, 0]  # coordinate 1 follows coordinate 0
    skewed = replace(labels, latents=z)
    assert TargetVector.fit(skewed, method="lda").direction[1].abs() < 0.1
    assert TargetVector.fit(skewed).direction[1] > 0.5


def test_protected_attributes_keep_their_scores() -> None:
    labels, other = planted(), planted(axis=1, seed=1)
    mixed = replace(
        labels, labels=torch.where(labels.latents[:, :2].sum(1) > 1, 1, -1).to(torch.int8)
    )
    free = TargetVector.fit(mixed)
    protected = TargetVector.fit(mixed, protect={"one": other})
    attribute = TargetVector.fit(other)
    assert (free.direction @ attribute.direction).item() > 0.5
    assert (protected.direction @ attribute.direction).item() == pytest.approx(0, abs=1e-5)
    assert protected.protected == ("one",)
    with pytest.raises(UserError, match="nearly nothing"):
        TargetVector.fit(mixed, protect={"itself": mixed})


def test_save_and_load(tmp_path: Path) -> None:
    target = TargetVector.fit(planted())
    target.save(tmp_path / "t")
    again = TargetVector.load(tmp_path / "t")
    assert torch.equal(again.direction, target.direction)
    assert (again.method, again.feature, again.generator) == ("mean", "axis 0", "toy")


def test_auc_and_stability_tell_good_labels_from_noise() -> None:
    good = planted(noise=0.1)
    order = torch.randperm(len(good), generator=torch.Generator().manual_seed(3))
    noise = replace(good, labels=good.labels[order])
    assert held_out_auc(good) > 0.97
    assert held_out_auc(noise) == pytest.approx(0.5, abs=0.06)
    assert bootstrap_cosine(good) > 0.99
    assert bootstrap_cosine(noise) < 0.9


def test_diagnosis() -> None:
    labels, other = planted(), planted(axis=0, noise=2.0, seed=0)
    target = TargetVector.fit(labels)
    found = diagnose(labels, target, attributes={"like": other}, recall=0.9)
    assert not found.more_labels
    rows = {row.gate: row for row in found.thresholds}
    assert rows["calibrated"].missed <= 0.1
    assert rows["paper"].edited == pytest.approx(0.5, abs=0.1)
    assert rows["calibrated"].edited < rows["paper"].edited
    assert found.entanglement[0].cosine > 0.9
    assert 0.5 < found.entanglement[0].auc < 0.9
    assert type(found).from_dict(__import__("dataclasses").asdict(found)) == found
    few = planted(40)
    assert diagnose(few, TargetVector.fit(few)).more_labels

    def needs_many(some: LatentSet) -> Tensor:
        some.require_both(least=300)
        return target.direction

    sure = diagnose(labels, target, fit=needs_many)
    assert sure.stability == pytest.approx(1)
    assert math.isnan(sure.auc_half)
    assert sure.more_labels


def test_the_diagnosis_is_of_the_direction_that_is_used() -> None:
    labels, other = planted(), planted(axis=1)

    def away(some: LatentSet) -> Tensor:
        return TargetVector.fit(some, protect={"other": other}).direction

    target = TargetVector.fit(labels, protect={"other": other})
    plain, asked = diagnose(labels, target), diagnose(labels, target, fit=away)
    assert asked.auc == held_out_auc(labels, fit=away)
    assert asked.auc != plain.auc
    # parts of the labels from which no direction can be fitted are left out
    same = planted(axis=0, noise=0.5)
    alike = diagnose(
        labels,
        target,
        fit=lambda some: TargetVector.fit(some, protect={"other": same}).direction,
    )
    assert math.isnan(alike.auc)
    assert math.isnan(alike.stability)


def test_labels_without_a_direction_are_refused() -> None:
    z = torch.zeros(40, 3)
    labels = torch.tensor([1, -1] * 20, dtype=torch.int8)
    same = LatentSet(z, labels, labels.float(), torch.arange(40), "nothing", "x", "toy")
    with pytest.raises(UserError, match="carry no direction"):
        TargetVector.fit(same)
