"""Unlearning with an attacker at work."""

from itertools import pairwise

import pytest
import torch

from unfeature.attack.pgd import pgd
from unfeature.attack.region import Shell
from unfeature.config import AttackConfig, UnlearnConfig
from unfeature.erase import ImageEraser
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet
from unfeature.pool import Lesson
from unfeature.robust import Attacker, with_attack
from unfeature.target import TargetVector
from unfeature.unlearn import unlearn

REGION = Shell.of_prior(8)
CONFIG = UnlearnConfig(
    steps=250, batch_size=64, learning_rate=5e-3, alpha=2.0, check_every=1000, pool=8
)
ROBUST = CONFIG.model_copy(update={"robust": 0.5})


@pytest.fixture
def eraser(toy: Generator, corner: FunctionLabeler, labels: LatentSet) -> ImageEraser:
    return ImageEraser(toy, corner, TargetVector.fit(labels), path="descent", margin=1.0)


def trained(
    toy: Generator, eraser: ImageEraser, corner: FunctionLabeler, config: UnlearnConfig
) -> Generator:
    last = None
    for step in unlearn(toy, eraser, config, labeler=corner):
        last = step
    assert last is not None
    return last.generator


def test_an_attacker_at_work_leaves_less_to_find(
    toy: Generator, eraser: ImageEraser, corner: FunctionLabeler
) -> None:
    latents = REGION.inside(toy.latents_from_seeds(range(9000, 9300)))
    budget = AttackConfig(epsilon=1.0, steps=8, restarts=1)

    def success(generator: Generator) -> float:
        found = pgd(generator, corner.score, latents, REGION, budget)
        return found.success.double().mean().item()

    plain = success(trained(toy, eraser, corner, CONFIG))
    robust = success(trained(toy, eraser, corner, ROBUST))
    assert success(toy) > 0.7
    assert robust < 0.8 * plain


def test_attacks_climb_and_stay_where_they_may(
    toy: Generator, eraser: ImageEraser, corner: FunctionLabeler
) -> None:
    attacker = Attacker(toy, eraser, corner, ROBUST, seed=0)
    before = corner.score(toy(attacker.latents)).mean()
    for step in range(12):
        lesson = attacker.lesson(toy, step)
    assert corner.score(toy(attacker.latents)).mean() > before + 0.5
    assert ((attacker.latents - attacker.centers).norm(dim=1) <= 2.002).all()
    assert REGION.contains(attacker.latents).all()
    assert not any(p.requires_grad for p in toy.module.parameters())
    assert torch.equal(lesson.latents, attacker.latents)
    # what is taught lacks the feature
    assert (corner.score(lesson.images) <= 0).double().mean() > 0.95


def test_every_latent_makes_room_in_its_turn(
    toy: Generator, eraser: ImageEraser, corner: FunctionLabeler
) -> None:
    config = ROBUST.model_copy(update={"robust_every": 1, "robust_keep": 4})
    attacker = Attacker(toy, eraser, corner, config, seed=0)
    seen = [attacker.centers]
    for step in range(4):
        attacker.lesson(toy, step)
        seen.append(attacker.centers)
    changed = torch.stack([(a != b).any(1) for a, b in pairwise(seen)])
    assert (changed.sum(0) == 1).all()


def test_resumed_is_bit_for_bit_the_same(
    toy: Generator, eraser: ImageEraser, corner: FunctionLabeler
) -> None:
    config = ROBUST.model_copy(update={"steps": 14})
    whole, state = None, None
    for step in unlearn(toy, eraser, config, labeler=corner):
        whole = step
        if step.index == 6:  # between two attacks
            import copy

            state = copy.deepcopy(step.state())
    again = None
    for step in unlearn(toy, eraser, config, labeler=corner, resume=state):
        again = step
    assert whole is not None
    assert again is not None
    assert again.generator.fingerprint == whole.generator.fingerprint


def test_the_last_rows_of_a_batch_are_the_attackers() -> None:
    def lesson(value: float, n: int) -> Lesson:
        images = torch.full((n, 1, 2, 2), value)
        answer = torch.full((n,), value), torch.full((n, 2), value)
        return Lesson(torch.full((n, 3), value), images, torch.ones(n, dtype=torch.bool), *answer)

    both = with_attack(lesson(0.0, 8), lesson(1.0, 3))
    assert both.latents[:, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert both.scores.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert both.images.shape == (8, 1, 2, 2)
    assert both.odds.shape == (8, 2)


def test_mistakes(toy: Generator, eraser: ImageEraser, corner: FunctionLabeler) -> None:
    with pytest.raises(UserError, match=r"robust needs a labeller"):
        next(iter(unlearn(toy, eraser, ROBUST)))
    few = ROBUST.model_copy(update={"robust": 0.001})
    with pytest.raises(UserError, match="less than one of a batch of 64"):
        next(iter(unlearn(toy, eraser, few, labeler=corner)))
