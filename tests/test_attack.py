"""Attacks: budgets are kept, stronger ones find more, and nothing depends on the batch."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unfeature.attack.base import climbed
from unfeature.attack.direction import along, refitted
from unfeature.attack.informed import informed
from unfeature.attack.outcome import PictureGate, outcome
from unfeature.attack.pgd import begin, pgd
from unfeature.attack.random_search import random_search
from unfeature.attack.region import Ball, Ellipsoid, Region, Shell, into_both, plausible
from unfeature.config import AttackConfig
from unfeature.errors import UserError
from unfeature.evaluate import Extractor
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler

REGION = Shell.of_prior(8)
ATTACKS = {"pgd": pgd, "random": random_search}


@pytest.fixture
def latents(toy: Generator) -> Tensor:
    return REGION.inside(toy.latents_from_seeds(range(300)))


@pytest.fixture
def rare(corner: FunctionLabeler) -> FunctionLabeler:
    """The feature, so strong that few pictures show it."""
    from dataclasses import replace

    return replace(corner, threshold=corner.threshold + 1.5 * corner.scale)


def test_the_shell_holds_what_it_says() -> None:
    z = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0))
    inside = REGION.contains(z)
    assert 1 - inside.double().mean() == pytest.approx(0.02, abs=0.004)
    far = torch.cat([z * 9, z * 0.01])
    assert REGION.contains(REGION.project(far)).all()
    assert torch.equal(REGION.project(z[inside]), z[inside])
    with pytest.raises(UserError, match="none of 4 latents"):
        REGION.inside(torch.full((4, 8), 50.0))


def test_the_ellipsoid_is_that_of_mahalanobis() -> None:
    random = torch.Generator().manual_seed(0)
    scale = torch.tensor([5.0, 1.0, 0.2])
    w = torch.randn(20_000, 3, generator=random) * scale + 3
    region = Ellipsoid.of_samples(w)
    assert region.contains(w).double().mean() == pytest.approx(0.99, abs=0.002)
    # along each axis the border lies as many deviations out as the others'
    for axis, deviation in enumerate(scale):
        step = torch.zeros(1, 3)
        step[0, axis] = deviation
        assert region.contains(3 + 3.2 * step).item()
        assert not region.contains(3 + 3.7 * step).item()
        assert region.contains(region.project(3 + 9 * step)).item()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_balls_are_kept(norm: Any, toy: Generator, latents: Tensor) -> None:
    ball = Ball(latents, 0.7, norm)
    moved = into_both(latents + 5 * latents.flip(0), ball, REGION)
    apart = (moved - latents).norm(dim=1) if norm == "l2" else (moved - latents).abs().amax(1)
    assert apart.max() <= 0.7 * 1.001
    assert REGION.contains(moved).all()
    assert apart.mean() > 0.3
    with pytest.raises(UserError, match="epsilon is -1"):
        Ball(latents, -1.0)


@pytest.mark.parametrize("made", ["shell", "ellipsoid"])
def test_an_infinite_radius_reaches_every_plausible_latent(made: str) -> None:
    random = torch.Generator().manual_seed(0)
    skew = torch.randn(16, 16, generator=random)
    drawn = torch.randn(2000, 16, generator=random)
    region: Region = Shell.of_prior(16)
    if made == "ellipsoid":
        drawn = drawn @ skew + 3
        region = Ellipsoid.of_samples(drawn)
    centers = region.project(drawn[:1]).expand(2000, -1)
    noise = torch.randn(2000, 16, generator=random)
    begun = begin(Ball(centers, float("inf")), region, noise)
    assert region.contains(begun).all()
    torch.testing.assert_close(begun.mean(0), drawn.mean(0), atol=0.5, rtol=0)
    spread = begun.std(0) / drawn.std(0)
    assert spread.min() > 0.85
    assert spread.max() < 1.15
    assert torch.equal(begin(Ball(centers, float("inf")), region, 0 * noise), centers)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_an_infinite_radius_depends_on_no_batch(
    norm: Any, toy: Generator, rare: FunctionLabeler, latents: Tensor
) -> None:
    config = AttackConfig(norm=norm, epsilon=float("inf"), steps=6, restarts=2)
    few = config.model_copy(update={"batch_size": 7})
    direction = torch.eye(8)[0]
    attacks = {**ATTACKS, "along": partial(along, direction=direction)}
    for attack in attacks.values():
        found, small = (attack(toy, rare.score, latents, REGION, c) for c in (config, few))  # type: ignore[operator]
        assert (found.latents != latents).any()
        torch.testing.assert_close(found.latents, small.latents, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_attacks_keep_their_budget_and_depend_on_no_batch(
    name: str, norm: Any, toy: Generator, rare: FunctionLabeler, latents: Tensor
) -> None:
    config = AttackConfig(norm=norm, epsilon=1.0, steps=6, restarts=2)
    found = ATTACKS[name](toy, rare.score, latents, REGION, config)
    apart = found.latents - latents
    size = apart.norm(dim=1) if norm == "l2" else apart.abs().amax(1)
    assert size.max() <= 1.001
    assert REGION.contains(found.latents).all()
    torch.testing.assert_close(rare.score(toy(found.latents)), found.scores, atol=1e-3, rtol=1e-3)
    assert torch.equal(found.success, found.scores > 0)
    assert found.queries.max() <= 12
    small = ATTACKS[name](
        toy, rare.score, latents, REGION, config.model_copy(update={"batch_size": 7})
    )
    assert torch.equal(found.success, small.success)
    torch.testing.assert_close(found.latents, small.latents, atol=1e-3, rtol=1e-3)
    rest = ATTACKS[name](toy, rare.score, latents[40:], REGION, config, first=40)
    torch.testing.assert_close(found.latents[40:], rest.latents, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_budget_changes_nothing(
    name: str, toy: Generator, rare: FunctionLabeler, latents: Tensor
) -> None:
    none = AttackConfig(epsilon=0.0, steps=3, restarts=2)
    found = ATTACKS[name](toy, rare.score, latents, REGION, none)
    assert torch.equal(found.latents, latents)
    assert torch.equal(found.success, rare.score(toy(latents)) > 0)


def test_a_common_feature_is_found_and_the_gradient_is_worth_something(
    toy: Generator, corner: FunctionLabeler, rare: FunctionLabeler, latents: Tensor
) -> None:
    config = AttackConfig(epsilon=2.0, steps=10, restarts=2)
    common = pgd(toy, corner.score, latents, REGION, config)
    assert common.success.double().mean() >= 0.95
    climbed_, tried = (
        attack(toy, rare.score, latents, REGION, config).success.double().mean()
        for attack in (pgd, random_search)
    )
    assert climbed_ > tried + 0.1


@pytest.mark.parametrize("name", ATTACKS)
def test_a_stronger_budget_never_finds_less(
    name: str, toy: Generator, rare: FunctionLabeler, latents: Tensor
) -> None:
    def success(**more: Any) -> Tensor:
        config = AttackConfig(**{"epsilon": 1.0, "steps": 4, "restarts": 2, **more})
        return ATTACKS[name](toy, rare.score, latents, REGION, config).success

    base = success()
    assert base.any()
    if name == "pgd":
        assert (success(steps=12, restarts=1) | ~success(steps=4, restarts=1)).all()
    assert (success(restarts=4) | ~base).all()
    assert success(epsilon=2.0).sum() > base.sum()
    assert success(epsilon=float("inf")).sum() > base.sum()


def test_losses_climb_the_same_way_until_they_are_content() -> None:
    scores = torch.tensor([-3.0, -0.5, 0.5, 9.0], requires_grad=True)
    for name, last in (("logit", True), ("margin", False), ("cross-entropy", True)):
        (slope,) = torch.autograd.grad(climbed(name, scores, 1.0).sum(), scores)  # type: ignore[arg-type]
        assert (slope[:3] > 0).all()
        assert bool(slope[3] > 0) is last


def test_the_direction_attack_finds_what_lies_along_it(
    toy: Generator, corner: FunctionLabeler, latents: Tensor
) -> None:
    scores = corner.score(draw(toy, latents))
    hidden = latents[scores < 0]
    unit = refitted(latents, scores)
    assert unit.norm().item() == pytest.approx(1)
    config = AttackConfig(epsilon=2.0, steps=11)
    found = along(toy, corner.score, hidden, REGION, config, direction=unit)
    random = torch.randn(8, generator=torch.Generator().manual_seed(1))
    other = along(toy, corner.score, hidden, REGION, config, direction=random)
    assert found.success.double().mean() > other.success.double().mean()
    assert ((found.latents - hidden).norm(dim=1) <= 2.002).all()


def test_who_has_the_original_asks_where_it_shows_the_feature(
    toy: Generator, corner: FunctionLabeler, latents: Tensor
) -> None:
    """g draws the feature only where z·z_e < 0, so a linear gate at 0 hides it from whoever follows
    f to where that is clearest."""
    scores = corner.score(draw(toy, latents))
    hidden = latents[scores < 0]
    unit = refitted(latents, scores)

    def gated(z: Tensor) -> Tensor:
        images = toy(z)
        return torch.where((z @ unit < 0)[:, None, None, None], images, -torch.ones_like(images))

    config = AttackConfig(epsilon=2.0, steps=8, restarts=2)
    knows = {"original": toy, "direction": unit}
    found = informed(gated, corner.score, hidden, REGION, config, threshold=0.0, **knows)
    assert ((found.latents - hidden).norm(dim=1) <= 2.002).all()
    assert (corner.score(gated(found.latents))[found.success] > 0).all()
    less = informed(gated, corner.score, hidden, REGION, config, **knows)
    blind = random_search(gated, corner.score, hidden, REGION, config, seed=0)
    for other in (less, blind):
        assert found.success.double().mean() > other.success.double().mean()
    # against the original itself it finds what the gradient finds
    same = informed(toy, corner.score, hidden, REGION, config, **knows)
    assert torch.equal(same.success, pgd(toy, corner.score, hidden, REGION, config).success)


def test_along_a_direction_goes_to_the_edge_of_either_ball(toy: Generator) -> None:
    def never(images: Tensor) -> Tensor:
        return -torch.ones(len(images))

    latents = REGION.inside(toy.latents_from_seeds(range(40)))
    for norm, order, steps in (("l2", 2, 5), ("linf", float("inf"), 5), ("l2", 2, 6)):
        config = AttackConfig(epsilon=0.5, norm=norm, steps=steps)  # type: ignore[arg-type]
        tried: list[Tensor] = []

        def drawn(z: Tensor, tried: list[Tensor] = tried) -> Tensor:
            tried.append(z)
            return toy(z)

        direction = torch.linspace(-1, 1, 8)
        along(drawn, never, latents, REGION, config, direction=direction)
        far = torch.stack([(z - latents).norm(dim=1, p=order) for z in tried])
        ahead = torch.stack([(z - latents) @ direction for z in tried]) > 0
        assert len(tried) == steps
        for side in (ahead, ~ahead):  # to both edges, whatever the number of steps
            assert far[side].max().item() == pytest.approx(0.5, rel=1e-3)


def test_only_pictures_the_judge_sees_count(toy: Generator, corner: FunctionLabeler) -> None:
    pixels = Extractor("pixels", nn.Flatten())
    gate = PictureGate.of(pixels, draw(toy, toy.latents_from_seeds(range(2000))))
    real = draw(toy, toy.latents_from_seeds(range(5000, 6000)))
    assert gate.passes(real).double().mean() == pytest.approx(0.99, abs=0.012)
    noise = torch.rand(50, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert not gate.passes(noise).any()
    latents = toy.latents_from_seeds(range(100))
    found = pgd(toy, corner.score, latents, REGION, AttackConfig(steps=5, restarts=1))
    images = draw(toy, found.latents)
    seen, rows = outcome(found, images, corner, None)
    assert seen.naive.value == pytest.approx(seen.judged.value, abs=0.02)
    blind = FunctionLabeler(lambda x: x.flatten(1).mean(1), "mean", threshold=5.0)
    assert outcome(found, images, blind, None)[0].judged.value == 0
    assert outcome(found, images, blind, None, rows)[0].judged == seen.judged
    nonsense, _ = outcome(found, noise[:1].repeat(100, 1, 1, 1), corner, gate)
    assert (nonsense.judged.value, nonsense.passed.value) == (0, 0)


def test_regions_follow_from_the_latent_space(toy: Generator) -> None:
    found = plausible(toy)
    assert isinstance(found, Shell)
    assert found == REGION
