from dataclasses import replace
from functools import partial

import pytest
import torch

from unfeature.donors import Donors, towards_donors
from unfeature.erase import Eraser, ImageEraser, LinearEraser, threshold_for
from unfeature.errors import UserError
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labelers.base import look
from unfeature.labels import LatentSet, label
from unfeature.rounds import ChainEraser
from unfeature.search import Found
from unfeature.sharpen import sharpened
from unfeature.target import TargetVector

PATHS = ("line", "descent", "donors")


@pytest.fixture
def target(labels: LatentSet) -> TargetVector:
    return TargetVector.fit(labels)


@pytest.fixture
def latents(toy: Generator) -> torch.Tensor:
    return toy.sample_latents(400, torch.Generator().manual_seed(7))


@pytest.fixture
def donors(toy: Generator, corner: FunctionLabeler) -> Donors:
    latents = toy.sample_latents(500, torch.Generator().manual_seed(3))
    return Donors.among(latents, toy, partial(look, corner), margin=0.5)


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
    eraser = ImageEraser(toy, corner, target, path=path, margin=0.3, pictures=500)  # type: ignore[arg-type]
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


@pytest.mark.parametrize(("path", "most"), [("line", 0.6), ("descent", 0.1), ("donors", 0.1)])
def test_no_faint_rest_stays(path: str, most: float, toy: Generator, latents: torch.Tensor) -> None:
    """The feature is contrast, of which a sharpened picture has more."""
    images = draw(toy, latents)
    by = FunctionLabeler.calibrated(contrast, "contrast", images, share=0.4)
    eraser = ImageEraser(
        toy,
        by,
        TargetVector.fit(label(toy, 1000, by=by)),
        path=path,  # type: ignore[arg-type]
        margin=0.1,
        pictures=500,
        towards=None if path == "line" else toy,
    )

    def rest(eraser: ImageEraser) -> float:
        """The share of erased pictures in which the feature can be sharpened out."""
        erasure = eraser.erase(latents)
        assert erasure.images is not None
        assert torch.equal(erasure.edited, by.score(images) > 0)
        scores = by.score(sharpened(erasure.images[erasure.edited], 0.2))
        return (scores > -0.1).float().mean().item()

    before = rest(eraser)
    assert before > 0.5
    assert rest(replace(eraser, sharpen=0.2)) <= most * before


def contrast(images: torch.Tensor) -> torch.Tensor:
    return (images[..., 1:] - images[..., :-1]).square().mean(dim=(1, 2, 3))


def test_sharpening() -> None:
    images = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sharpened(images, 0.0), images)
    plain = torch.full((1, 1, 5, 5), 0.3)
    torch.testing.assert_close(sharpened(plain, 2.0), plain)
    dot = torch.zeros(1, 1, 5, 5)
    dot[0, 0, 2, 2] = 0.09
    sharp = sharpened(dot, 1.0)
    assert sharp[0, 0, 2, 2].item() == pytest.approx(0.17)
    assert sharp[0, 0, 1, 1].item() == pytest.approx(-0.01)
    assert sharpened(3 * images, 5.0).abs().max() == 1


@pytest.mark.parametrize("path", PATHS)
def test_image_eraser_does_not_depend_on_batch_size(
    path: str,
    toy: Generator,
    corner: FunctionLabeler,
    target: TargetVector,
    latents: torch.Tensor,
) -> None:
    eraser = ImageEraser(toy, corner, target, path=path, pictures=500)  # type: ignore[arg-type]
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


def test_donors_lie_on_the_way_and_no_shorter_way_would_do(
    toy: Generator, corner: FunctionLabeler, latents: torch.Tensor, donors: Donors
) -> None:
    seen = partial(look, corner)
    images = draw(toy, latents)
    shown = corner.score(images) > 0
    start, kept = latents[shown], torch.empty(int(shown.sum()), 0)
    assert (corner.score(draw(toy, donors.latents)) < -0.5).all()

    def found(bisections: int) -> Found:
        return towards_donors(
            *(start, images[shown], toy, seen),
            kept=kept,
            donors=donors,
            margin=0.3,
            candidates=1,
            bisections=bisections,
        )

    whole, part = found(0), found(6)
    nearest = donors.nearest(images[shown], kept, 1)[:, 0]
    torch.testing.assert_close(whole.latents, donors.latents[nearest])
    assert (part.scores < -0.3).all()
    way = whole.latents - start
    share = ((part.latents - start) * way).sum(1) / way.square().sum(1)
    torch.testing.assert_close(part.latents, start + share[:, None] * way)
    less = start + (share - 1 / 64)[:, None] * way
    assert (corner.score(draw(toy, less)) >= -0.3 - 1e-4).all()


def test_more_candidates_change_less(
    toy: Generator, corner: FunctionLabeler, latents: torch.Tensor, donors: Donors
) -> None:
    images = draw(toy, latents)
    shown = corner.score(images) > 0
    kept = torch.empty(int(shown.sum()), 0)

    def change(candidates: int) -> float:
        found = towards_donors(
            *(latents[shown], images[shown], toy, partial(look, corner)),
            kept=kept,
            donors=donors,
            margin=0.3,
            candidates=candidates,
        )
        torch.testing.assert_close(found.images, draw(toy, found.latents), atol=1e-5, rtol=1e-4)
        return (found.images - images[shown]).abs().mean().item()

    assert change(8) < change(1)


def test_without_donors(toy: Generator, corner: FunctionLabeler, target: TargetVector) -> None:
    latents = toy.sample_latents(20, torch.Generator().manual_seed(3))
    with pytest.raises(UserError, match=r"of 20 pictures none lacks .*lower erase\.margin"):
        Donors.among(latents, toy, partial(look, corner), margin=100.0)
    eraser = ImageEraser(toy, corner, target, path="donors", pictures=20, margin=100.0)
    with pytest.raises(UserError, match=r"of 20 pictures none lacks"):
        eraser.erase(latents)


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
    first, last = (
        LinearEraser(target, 0.0),
        LinearEraser(replace(target, direction=-target.direction), -0.5),
    )
    chain = ChainEraser((first, last)).erase(latents)
    torch.testing.assert_close(chain.latents, first(last(latents)))
    assert torch.equal(chain.edited, last.erase(latents).edited | first.erase(last(latents)).edited)


def test_shorter_strides_get_less_far_in_as_many_steps(
    toy: Generator, corner: FunctionLabeler, target: TargetVector, latents: torch.Tensor
) -> None:
    usual = ImageEraser(
        toy,
        corner,
        target,
        path="donors",
        margin=0.3,
        pictures=500,
        towards=toy,
        approaches=4,
    )
    pictures = draw(toy, latents)

    def away(eraser: ImageEraser) -> float:
        erasure = eraser.erase(latents)
        assert erasure.images is not None
        erased = erasure.images[erasure.edited]
        assert (corner.score(erased) <= -0.3).all()
        return (erased - pictures[erasure.edited]).abs().mean().item()

    assert away(usual) < 0.98 * away(replace(usual, stride=0.2))
