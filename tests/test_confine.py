"""The erased picture where the feature is, the original's around it."""

import pytest
import torch

from unfeature.confine import confined, contributions, smooth
from unfeature.erase import ImageEraser
from unfeature.errors import UserError
from unfeature.evaluate import draw_pairs
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet, label, sample_seeds
from unfeature.sharpen import sharpened
from unfeature.target import TargetVector


def brightest(images: torch.Tensor) -> torch.Tensor:
    """Above 0 where a spot of 6×6 pixels is bright."""
    return images[:, 0, 4:10, 6:12].mean(dim=(1, 2))


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures with a bright spot, and others without, which differ everywhere."""
    random = torch.Generator().manual_seed(0)
    before, after = (0.3 * torch.randn(5, 2, 24, 24, generator=random) for _ in range(2))
    before[:, 0, 4:10, 6:12] += 0.8
    after[:, 0, 4:10, 6:12] -= 0.4
    return before, after


def test_contributions_sum_to_what_the_score_falls(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Completeness: exact for a linear score, and near for a curved one."""
    before, after = pair
    for score, error in ((brightest, 1e-5), (lambda x: brightest(x).exp(), 1e-2)):
        fall = score(before) - score(after)
        summed = contributions(before, after, score).sum(dim=(1, 2, 3))
        torch.testing.assert_close(summed, fall, atol=error, rtol=0)
    linear = contributions(before, after, brightest)
    assert linear[:, 0, 4:10, 6:12].abs().min() > 0
    linear[:, 0, 4:10, 6:12] = 0
    assert linear.abs().max() == 0  # pixels that the score does not see contribute nothing


def test_only_the_region_changes(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    before, after = pair
    made = confined(before, after, brightest, share=0.6, limit=-0.1)
    assert (brightest(made) < -0.1).all()
    far = torch.ones(24, 24, dtype=torch.bool)
    far[:16, :18] = False  # the spot, and how far edges are smoothed around it
    assert torch.equal(made[:, :, far], before[:, :, far])
    assert (made - before).abs().mean() < 0.35 * (after - before).abs().mean()
    mixed = (made - before) / (after - before)
    assert mixed.min() >= -1e-4
    assert mixed.max() <= 1 + 1e-4
    torch.testing.assert_close(made[:, :, 6:8, 8:10], after[:, :, 6:8, 8:10], atol=2e-2, rtol=0)


def test_a_larger_share_or_a_lower_limit_takes_more_of_the_picture(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    before, after = pair

    def changed(share: float, limit: float) -> float:
        made = confined(before, after, brightest, share=share, limit=limit)
        return (made - before).abs().mean().item()

    assert changed(0.1, 0.1) < changed(0.1, -0.2) < changed(0.99, -0.2)


def test_where_no_region_will_do_the_whole_picture_is_taken(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    before, after = pair
    assert torch.equal(confined(before, after, brightest, share=0.5, limit=-9.0), after)


def test_each_picture_has_a_region_of_its_own(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    before, after = pair
    whole = confined(before, after, brightest, share=0.6, limit=-0.1)
    for i in range(len(before)):
        alone = confined(before[[i]], after[[i]], brightest, share=0.6, limit=-0.1)
        torch.testing.assert_close(alone[0], whole[i], atol=1e-5, rtol=0)


def test_smoothing_keeps_the_mean_level_and_spreads() -> None:
    flat = torch.full((1, 1, 20, 30), 0.7)
    torch.testing.assert_close(smooth(flat), flat)
    dot = torch.zeros(1, 1, 41, 41)
    dot[0, 0, 20, 20] = 1
    spread = smooth(dot)
    assert spread.sum().item() == pytest.approx(1)
    torch.testing.assert_close(spread, spread.transpose(2, 3))
    torch.testing.assert_close(spread, spread.flip(2))


def test_an_eraser_confines_its_pictures(
    toy: Generator, corner: FunctionLabeler, labels: LatentSet
) -> None:
    """The corner is what the function looks at, so the rest of each picture stays."""
    latents = toy.sample_latents(100, torch.Generator().manual_seed(8))
    before = draw(toy, latents)
    target = TargetVector.fit(labels)
    eraser = ImageEraser(toy, corner, target, path="descent", margin=0.3, confine=0.5)
    with torch.inference_mode():
        erasure = eraser.erase(latents)
    made = erasure.pictures(toy)
    edited = erasure.edited
    assert 10 < edited.sum() < 90
    assert (corner.score(made[edited]) < -0.1).all()
    assert torch.equal(made[edited][:, :, 11:, 11:], before[edited][:, :, 11:, 11:])
    assert torch.equal(made[~edited], before[~edited])
    # ẑ's own picture is another one, everywhere
    moved = draw(toy, erasure.latents)[edited]
    assert (moved[:, :, 11:, 11:] - before[edited][:, :, 11:, 11:]).abs().mean() > 0.01


def test_the_verdict_measures_what_was_taught(
    toy: Generator, corner: FunctionLabeler, labels: LatentSet
) -> None:
    eraser = ImageEraser(
        toy, corner, TargetVector.fit(labels), path="descent", margin=0.3, confine=0.5
    )
    pairs = draw_pairs(toy, toy, eraser, corner, sample_seeds(60, 0, "confine"))
    assert not torch.equal(pairs.erased, pairs.original)
    far = (..., slice(11, None), slice(11, None))
    stayed = (pairs.erased[far] == pairs.original[far]).flatten(1).all(1)
    assert stayed.float().mean() > 0.9


def test_the_sharpened_picture_lacks_the_feature_too(toy: Generator) -> None:
    """The feature is contrast in the corner, of which a sharpened picture has more."""

    def contrast(images: torch.Tensor) -> torch.Tensor:
        part = images[:, 0, :8, :8]
        return (part[..., 1:] - part[..., :-1]).square().mean(dim=(1, 2))

    latents = toy.sample_latents(80, torch.Generator().manual_seed(8))
    by = FunctionLabeler.calibrated(contrast, "contrast", draw(toy, latents), share=0.4)
    target = TargetVector.fit(label(toy, 600, by=by))
    eraser = ImageEraser(toy, by, target, path="descent", margin=0.1, sharpen=0.2, confine=0.3)
    erasure = eraser.erase(latents)
    arrived = by.score(sharpened(draw(toy, erasure.latents), 0.2)) < -0.1
    made = erasure.pictures(toy)[erasure.edited & arrived]
    assert len(made) > 10
    assert (by.score(sharpened(made, 0.2)) < -0.05).all()


def test_a_score_that_says_nothing_of_the_pixels(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    before, after = pair

    def flat(images: torch.Tensor) -> torch.Tensor:
        return brightest(images).detach() + 0 * images.sum(dim=(1, 2, 3))

    assert torch.equal(confined(before, after, flat, share=0.5, limit=-0.1), after)

    def broken(images: torch.Tensor) -> torch.Tensor:
        return brightest(images) + (0 * images).sqrt().sum(dim=(1, 2, 3))

    with pytest.raises(UserError, match=r"erase\.confine: .* not finite"):
        confined(before, after, broken, share=0.5, limit=-0.1)
