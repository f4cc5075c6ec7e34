"""Attacks: budgets are kept, stronger ones find more, and nothing depends on the batch."""

from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unfeature.attack.base import Found
from unfeature.attack.budget import spent
from unfeature.attack.direction import along, refitted
from unfeature.attack.ellipsoid import Ellipsoid
from unfeature.attack.informed import informed
from unfeature.attack.outcome import outcome
from unfeature.attack.pgd import MOMENTUM, pgd, uphill
from unfeature.attack.picture_gate import PictureGate
from unfeature.attack.plausible import plausible
from unfeature.attack.random_search import random_search
from unfeature.attack.region import Ball, Region, Shell, into_both
from unfeature.attack.siege import Siege
from unfeature.attack.start import begin
from unfeature.config import AttackConfig, AttackTable
from unfeature.errors import UserError
from unfeature.evaluate import Extractor
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.labelers import ClassifierLabeler, FunctionLabeler
from unfeature.labelers.classifier import ClassifierObjective
from unfeature.models.stylegan2 import StyleGAN2Generator

REGION = Shell.of_prior(8)
ATTACKS = {"pgd": pgd, "random": random_search}


@pytest.fixture
def latents(toy: Generator) -> Tensor:
    return REGION.inside(toy.latents_from_seeds(range(300)))


@pytest.fixture
def rare(corner: FunctionLabeler) -> FunctionLabeler:
    """The feature, so strong that few pictures show it."""
    return replace(corner, threshold=corner.threshold + 1.5 * corner.scale)


def test_the_shell_holds_what_it_says() -> None:
    z = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0))
    inside = REGION.contains(z)
    for side in (z.norm(dim=1) < 3, z.norm(dim=1) > 3):
        assert (side & ~inside).double().mean() == pytest.approx(0.01, abs=0.003)
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
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_no_budget_changes_nothing(
    name: str, norm: Any, toy: Generator, rare: FunctionLabeler, latents: Tensor
) -> None:
    none = AttackConfig(norm=norm, epsilon=0.0, steps=3, restarts=2)
    found = ATTACKS[name](toy, rare.score, latents, REGION, none)
    assert torch.equal(found.latents, latents)
    assert torch.equal(found.success, rare.score(toy(latents)) > 0)


@pytest.mark.parametrize("seed", range(4))
def test_a_common_feature_is_found_and_the_gradient_is_worth_something(
    seed: int, toy: Generator, corner: FunctionLabeler, rare: FunctionLabeler
) -> None:
    latents = REGION.inside(toy.latents_from_seeds(range(1000 * seed, 1000 * seed + 300)))
    config = AttackConfig(epsilon=2.0, steps=10, restarts=2)
    common = pgd(toy, corner.score, latents, REGION, config, seed=seed)
    assert common.success.double().mean() >= 0.95
    climbed, tried = (
        attack(toy, rare.score, latents, REGION, config, seed=seed).success.double().mean()
        for attack in (pgd, random_search)
    )
    assert climbed > tried + 0.1


@pytest.mark.parametrize("name", [*ATTACKS, "along"])
def test_a_stronger_budget_never_finds_less(
    name: str, toy: Generator, rare: FunctionLabeler, latents: Tensor
) -> None:
    unit = refitted(latents, rare.score(toy(latents)))
    attacks = {**ATTACKS, "along": partial(along, direction=unit)}

    def success(**more: Any) -> Tensor:
        config = AttackConfig(**{"epsilon": 1.0, "steps": 4, "restarts": 2, **more})
        return attacks[name](toy, rare.score, latents, REGION, config).success  # type: ignore[operator]

    base = success()
    assert base.any()
    fewer = success(steps=1, restarts=1)
    for steps in (2, 5, 7, 12):
        more = success(steps=steps, restarts=1)
        assert (more | ~fewer).all()
        fewer = more
    assert (success(restarts=4) | ~base).all()
    assert success(epsilon=2.0).sum() > base.sum()
    assert success(epsilon=float("inf")).sum() > base.sum()


@pytest.fixture
def classes() -> ClassifierLabeler:
    """Three classes of the toy's pictures, by the means of three of their quarters."""

    def quarters(images: Tensor) -> Tensor:
        means = nn.functional.avg_pool2d(images, 8).flatten(1)
        return 6 * means[:, :3] - 2

    return ClassifierLabeler(quarters, "quarters", target=0)


def test_losses_of_several_classes_climb_different_things(
    toy: Generator, latents: Tensor, classes: ClassifierLabeler
) -> None:
    config = AttackConfig(epsilon=1.0, steps=8, restarts=1, confidence=50.0)
    names = ("log-odds", "logit", "margin")
    ends: dict[str, Tensor] = {}
    for name in names:
        objective = ClassifierObjective(classes, name)  # type: ignore[arg-type]
        found = pgd(toy, classes.score, latents, REGION, config, objective=objective)
        torch.testing.assert_close(found.scores, classes.score(toy(found.latents)))
        ends[name] = toy(found.latents)
        images = toy(latents)
        logits = classes.module(images)
        scores, value = objective(images)
        assert torch.equal(scores, classes.score(images))
        expected = {
            "log-odds": scores,
            "logit": logits[:, 0],
            "margin": logits[:, 0] - logits[:, 1:].amax(1),
        }
        assert torch.equal(value, expected[name])
    # who climbs the logit alone ends higher in it, and lets other classes rise along
    own = {name: classes.module(images)[:, 0].mean() for name, images in ends.items()}
    odds = {name: classes.score(images).mean() for name, images in ends.items()}
    assert own["logit"] > own["margin"]
    assert odds["log-odds"] > odds["logit"]


def test_attributes_have_one_loss(toy: Generator, latents: Tensor, classes: Any) -> None:
    images = toy(latents[:9])
    for labeler in (
        replace(classes, independent=True),
        ClassifierLabeler(lambda x: x.flatten(1).mean(1), "mean"),
    ):
        for name in ("logit", "margin"):
            scores, value = ClassifierObjective(labeler, name)(images)  # type: ignore[arg-type]
            assert torch.equal(scores, value)


def test_the_steps_are_those_of_the_docstring() -> None:
    """Auto-PGD's momentum and halving, beside a plain loop with the gradient written by hand."""
    goal = torch.tensor([[0.3, 0.1]])
    everywhere = Shell(0.0, 1e9)
    start = torch.tensor([[0.0, -0.2]])
    config = AttackConfig(epsilon=1.0, steps=12, restarts=1, confidence=1e9)
    asked: list[Tensor] = []

    def score(z: Tensor) -> Tensor:
        asked.append(z.detach())
        return -(z - goal).square().sum(1)

    pgd(lambda z: z, score, start, everywhere, config)
    ball = Ball(start, 1.0)
    size, waited, best = torch.ones(1), 0, -float("inf")
    now = before = start
    for step, z in enumerate(asked):
        torch.testing.assert_close(z, now)
        height = -(now - goal).square().sum().item()
        waited = 0 if height > best else waited + 1
        best = max(best, height)
        if waited == 3:
            size, waited = size / 2, 0
        moved = into_both(now + uphill(goal - now, "l2", size), ball, everywhere)
        ahead = now + MOMENTUM * (moved - now) + (1 - MOMENTUM) * (now - before)
        now, before = into_both(ahead if step else moved, ball, everywhere), now
    assert MOMENTUM == 0.75
    assert size.item() < 1  # it overshot, and halved


def test_rows_that_succeed_are_drawn_no_more(toy: Generator, latents: Tensor) -> None:
    drawn: list[int] = []
    latents = latents[:200]  # one batch

    def counting(z: Tensor) -> Tensor:
        drawn.append(len(z))
        return toy(z)

    def score(images: Tensor) -> Tensor:
        return images.flatten(1).mean(1) * 20 - 1

    config = AttackConfig(epsilon=1.0, steps=5, restarts=2, confidence=0.0)
    for attack in (pgd, random_search, partial(along, direction=torch.eye(8)[0])):
        drawn.clear()
        found = attack(counting, score, latents, REGION, config)  # type: ignore[operator]
        assert drawn[0] == len(latents)
        assert sum(drawn) == found.queries.sum()
        assert 0 < found.success.sum() < len(latents)
        assert drawn == sorted(drawn, reverse=True)


def test_attacks_in_an_ellipsoid(toy: Generator, rare: FunctionLabeler) -> None:
    """As in w, whose latents lie in no shell."""
    skew = torch.randn(8, 8, generator=torch.Generator().manual_seed(0)) / 3

    def drawn(w: Tensor) -> Tensor:
        return toy(w @ skew)

    samples = torch.randn(3000, 8, generator=torch.Generator().manual_seed(1))
    samples = samples @ torch.linalg.inv(skew)
    region = Ellipsoid.of_samples(samples)
    centers = region.inside(samples[:200])
    size = samples.std(0).mean().item()
    config = AttackConfig(epsilon=size, steps=8, restarts=2)
    found = pgd(drawn, rare.score, centers, region, config)
    assert region.contains(found.latents).all()
    assert ((found.latents - centers).norm(dim=1) <= size * 1.002).all()
    tried = random_search(drawn, rare.score, centers, region, config)
    at_first = (rare.score(drawn(centers)) > 0).double().mean()
    assert found.success.double().mean() > tried.success.double().mean() > at_first
    small = pgd(drawn, rare.score, centers, region, config.model_copy(update={"batch_size": 9}))
    assert torch.equal(found.success, small.success)


def test_what_knows_more_keeps_the_rules_too(
    toy: Generator, rare: FunctionLabeler, latents: Tensor
) -> None:
    unit = torch.ones(8) / 8**0.5
    attacks = [
        partial(along, direction=unit),
        partial(informed, original=toy, direction=unit, threshold=0.1),
    ]
    for attack, (norm, order) in product(attacks, (("l2", 2), ("linf", float("inf")))):
        none = AttackConfig(norm=norm, epsilon=0.0, steps=4, restarts=2)  # type: ignore[arg-type]
        assert torch.equal(attack(toy, rare.score, latents, REGION, none).latents, latents)
        config = none.model_copy(update={"epsilon": 1.0, "steps": 5})
        found = attack(toy, rare.score, latents, REGION, config)
        few = config.model_copy(update={"batch_size": 7})
        small = attack(toy, rare.score, latents, REGION, few)
        assert torch.equal(found.success, small.success)
        torch.testing.assert_close(found.latents, small.latents, atol=1e-3, rtol=1e-3)
        assert ((found.latents - latents).norm(dim=1, p=order) <= 1.001).all()
        assert REGION.contains(found.latents).all()
        with pytest.raises(UserError, match="1 of 2 latents lie outside"):
            attack(toy, rare.score, torch.stack([latents[0], 9 * latents[0]]), REGION, config)


def test_queries_are_counted() -> None:
    found = Found.start(torch.zeros(4, 2), 0.0)
    found.queries.copy_(torch.tensor([1, 3, 30, 100]))
    found.success.copy_(torch.tensor([True, True, True, False]))
    shares = {row["queries"]: row["success"] for row in spent(found, 100)}
    within = {queries: share["value"] for queries, share in shares.items()}
    assert list(within) == sorted(within)
    assert within[1] == 0.25
    assert within[100] == 0.75
    assert [within[n] for n in (2, 4, 28, 43)] == [0.25, 0.5, 0.5, 0.75]
    assert (shares[4]["low"], shares[4]["high"]) == pytest.approx((0.15004, 0.84996), abs=1e-5)


def test_a_siege_depends_on_no_batch(toy: Generator, rare: FunctionLabeler) -> None:
    siege = Siege(rare, rare, None, torch.ones(8), original=toy)
    table = AttackTable(steps=4, restarts=2, epsilons=(0.5, float("inf")))
    few = table.model_copy(update={"batch_size": 7})
    assert siege.of(toy, list(range(50)), table) == siege.of(toy, list(range(50)), few)


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


def test_only_pictures_the_judge_sees_count(
    toy: Generator, corner: FunctionLabeler, latents: Tensor
) -> None:
    pixels = Extractor("pixels", nn.Flatten())
    gate = PictureGate.of(pixels, draw(toy, toy.latents_from_seeds(range(2000))))
    real = draw(toy, toy.latents_from_seeds(range(5000, 6000)))
    assert gate.passes(real).double().mean() == pytest.approx(0.99, abs=0.012)
    noise = torch.rand(50, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert not gate.passes(noise).any()
    found = pgd(toy, corner.score, latents[:100], REGION, AttackConfig(steps=5, restarts=1))
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


@pytest.mark.usefixtures("initial_weights")
def test_a_siege_in_w_depends_on_no_batch() -> None:
    options: dict[str, Any] = {"size": 16, "latent_dim": 8, "w_dim": 8, "width": 4}
    options |= {"max_width": 8, "mapping_layers": 2}
    spec = GeneratorSpec("stylegan2", options, (8,), (3, 16, 16))
    generator = Generator(StyleGAN2Generator(**options), spec).in_space("w")
    assert isinstance(plausible(generator), Ellipsoid)
    pictures = draw(generator, generator.latents_from_seeds(range(200)))
    red = FunctionLabeler.calibrated(lambda x: x[:, 0].mean((1, 2)), "red", pictures, share=0.2)
    siege = Siege(red, red, None, torch.ones(8), original=generator)
    table = AttackTable(steps=4, restarts=2, epsilons=(0.1, float("inf")))
    few = table.model_copy(update={"batch_size": 7})
    found, small = (siege.of(generator, list(range(30)), budget) for budget in (table, few))
    near, far = (point["naive"]["value"] for point in found["gradient"])
    assert 0 < near < far == 1
    for name, rows in found.items():
        for row, other in zip(rows, small[name], strict=True):
            assert row.keys() == other.keys()
            for key in row:
                assert row[key] == pytest.approx(other[key], abs=1e-4)
