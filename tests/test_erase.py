from dataclasses import replace

import pytest
import torch

from unfeature.erase import Eraser, ImageEraser, LinearEraser, threshold_for
from unfeature.errors import UserError
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet
from unfeature.rounds import ChainEraser
from unfeature.target import TargetVector

PATHS = ("line", "descent")


@pytest.fixture
def target(labels: LatentSet) -> TargetVector:
    return TargetVector.fit(labels)


@pytest.fixture
def latents(toy: Generator) -> torch.Tensor:
    return toy.sample_latents(400, torch.Generator().manual_seed(7))


@pytest.mark.parametrize("gate", ["paper", "midpoint", "calibrated"])
def test_linear_eraser(
    gate: str, target: TargetVector, labels: LatentSet, latents: torch.Tensor
) -> None:
    eraser = Eraser.fit(target, labels, gate=gate)
    erasure = eraser.erase(latents)
    shut = ~erasure.edited
    assert erasure.edited.any()
    assert shut.any()
    assert torch.equal(erasure.latents[shut], latents[shut])
    assert (target.score(erasure.latents) <= eraser.threshold + 1e-5).all()
    torch.testing.assert_close(eraser(erasure.latents), erasure.latents)
    # the edit is along z_e and nowhere else
    moved = (erasure.latents - latents)[erasure.edited]
    along = (moved @ target.direction)[:, None] * target.direction
    torch.testing.assert_close(moved, along)


def test_a_gate_nobody_reaches_is_the_identity(target: TargetVector, latents: torch.Tensor) -> None:
    erasure = LinearEraser(target, threshold=1e6).erase(latents)
    assert torch.equal(erasure.latents, latents)
    assert not erasure.edited.any()


@pytest.mark.parametrize("path", PATHS)
def test_image_eraser(
    path: str,
    toy: Generator,
    corner: FunctionLabeler,
    target: TargetVector,
    latents: torch.Tensor,
) -> None:
    eraser = ImageEraser(toy, corner, target, path=path, margin=0.3)  # type: ignore[arg-type]
    erasure = eraser.erase(latents)
    shown = corner.score(draw(toy, latents)) > 0
    assert torch.equal(erasure.edited, shown)
    assert torch.equal(erasure.latents[~shown], latents[~shown])
    assert erasure.images is not None
    torch.testing.assert_close(erasure.images, draw(toy, erasure.latents), atol=1e-5, rtol=1e-4)
    after = corner.score(erasure.images)
    assert (after[shown] < -0.3).float().mean() > 0.98
    assert (after > 0).float().mean() <= 0.01
    again = eraser.erase(erasure.latents)
    gone = after <= 0
    torch.testing.assert_close(again.latents[gone], erasure.latents[gone])


@pytest.mark.parametrize("path", PATHS)
def test_image_eraser_does_not_depend_on_batch_size(
    path: str,
    toy: Generator,
    corner: FunctionLabeler,
    target: TargetVector,
    latents: torch.Tensor,
) -> None:
    eraser = ImageEraser(toy, corner, target, path=path)  # type: ignore[arg-type]
    whole = eraser(latents[:60])
    parts = torch.cat([eraser(part) for part in latents[:60].split(7)])
    torch.testing.assert_close(whole, parts, atol=1e-3, rtol=1e-3)


def test_line_search_finds_the_smallest_shift(
    toy: Generator, corner: FunctionLabeler, target: TargetVector, latents: torch.Tensor
) -> None:
    eraser = ImageEraser(toy, corner, target, margin=0.2, coarse=12, fine=6)
    erasure = eraser.erase(latents)
    shifts = ((latents - erasure.latents) @ target.direction)[erasure.edited]
    assert (shifts > 0).all()
    # a little less than the shift found is not enough
    resolution = eraser.reach / eraser.coarse / 2**eraser.fine
    less = latents[erasure.edited] - (shifts - 1.01 * resolution)[:, None] * target.direction
    assert (corner.score(draw(toy, less)) >= -0.2 - 1e-4).float().mean() > 0.97


def test_descent_is_shorter_than_the_line(
    toy: Generator, corner: FunctionLabeler, target: TargetVector, latents: torch.Tensor
) -> None:
    def length(path: str) -> float:
        eraser = ImageEraser(toy, corner, target, path=path, fine=6)  # type: ignore[arg-type]
        return (eraser(latents) - latents).norm(dim=1).mean().item()

    assert length("descent") < length("line")


def test_aiming_at_what_is_drawn_brings_the_lesson_nearer(
    toy: Generator, corner: FunctionLabeler, target: TargetVector, latents: torch.Tensor
) -> None:
    plain = ImageEraser(toy, corner, target, path="descent", margin=0.3)
    student = toy.copy()
    for parameter in student.module.parameters():
        parameter.data *= 0.95
    aimed = replace(plain, towards=student)
    shown = plain.erase(latents).edited
    goal = draw(student, latents)[shown]
    far = (draw(toy, plain(latents))[shown] - goal).abs().mean()
    erasure = aimed.erase(latents)
    assert erasure.images is not None
    torch.testing.assert_close(erasure.images, draw(toy, erasure.latents), atol=1e-5, rtol=1e-4)
    near = (erasure.images[shown] - goal).abs().mean()
    assert near < 0.9 * far
    assert torch.equal(erasure.latents[~shown], latents[~shown])
    assert (corner.score(erasure.images) > 0).float().mean() <= 0.01


def test_thresholds_do_what_they_are_named_for(target: TargetVector, labels: LatentSet) -> None:
    paper = threshold_for(labels, target, "paper")
    assert paper == pytest.approx(target.score(labels.latents).mean().item())
    for recall in (0.8, 0.95, 1.0):
        t = threshold_for(labels, target, "calibrated", recall=recall)
        found = (target.score(labels.positives) > t).float().mean().item()
        assert found >= recall
        # no higher threshold of a labelled positive would still do
        above = target.score(labels.positives)
        tighter = above[above > t].min()
        assert (above > tighter).float().mean() < recall
    with pytest.raises(UserError, match=r"recall is 0.0"):
        threshold_for(labels, target, "calibrated", recall=0.0)
    with pytest.raises(UserError, match="'nearest' has no threshold"):
        threshold_for(labels, target, "nearest")


def test_a_chain_applies_the_last_eraser_first(target: TargetVector, latents: torch.Tensor) -> None:
    first, last = LinearEraser(target, 0.0), LinearEraser(target.flipped(), -0.5)
    chain = ChainEraser((first, last)).erase(latents)
    torch.testing.assert_close(chain.latents, first(last(latents)))
    assert torch.equal(chain.edited, last.erase(latents).edited | first.erase(last(latents)).edited)
