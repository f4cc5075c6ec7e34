from dataclasses import replace

import pytest
import torch

from unfeature.config import EraseConfig, UnlearnConfig
from unfeature.erase import ImageEraser, LinearEraser
from unfeature.errors import UserError
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet, label
from unfeature.rounds import ChainEraser, first_fit, make_eraser, next_fit, unlearn_in_rounds
from unfeature.target import TargetVector

IMAGE = EraseConfig(gate="image", path="descent", margin=1.5)
PAPER = EraseConfig(gate="paper")
QUICK = UnlearnConfig(steps=20, batch_size=32, rounds=3, learning_rate=1e-2, check_every=10)


def test_what_each_round_is_made_of(
    toy: Generator, corner: FunctionLabeler, labels: LatentSet
) -> None:
    target = TargetVector.fit(labels)
    first = first_fit(target, labels, PAPER)
    assert isinstance(make_eraser(first, PAPER, toy, None, student=toy), LinearEraser)
    second = next_fit(first, labels, PAPER)
    chain = make_eraser(second, PAPER, toy, None, student=toy)
    assert isinstance(chain, ChainEraser)
    assert len(chain.erasers) == 2
    asked = []
    third = next_fit(second, labels, PAPER, lambda left: asked.append(left) or target)
    assert third.targets[-1] is target
    assert asked == [labels]
    gone = replace(labels, labels=torch.full_like(labels.labels, -1))
    assert next_fit(first, gone, PAPER) == first  # nothing left to fit a direction to
    image = first_fit(target, labels, IMAGE)
    eraser = make_eraser(image, IMAGE, toy, corner, student=toy, first=False)
    assert isinstance(eraser, ImageEraser)
    assert (eraser.towards, eraser.approaches) == (toy, 12)
    first_eraser = make_eraser(image, IMAGE, toy, corner, student=toy)
    assert isinstance(first_eraser, ImageEraser)
    assert first_eraser.towards is None
    confining = make_eraser(
        image, IMAGE.model_copy(update={"confine": 0.5}), toy, corner, student=toy
    )
    assert isinstance(confining, ImageEraser)
    assert confining.confine == 0.5
    refined = IMAGE.model_copy(update={"refine": 5})
    refining = make_eraser(image, refined, toy, corner, student=toy)
    assert isinstance(refining, ImageEraser)
    assert (refining.towards, refining.approaches) == (toy, 5)
    assert eraser.margin == 1.5
    with pytest.raises(UserError, match="needs a labeller"):
        make_eraser(image, IMAGE, toy, None, student=toy)


@pytest.mark.parametrize("erase", [IMAGE, PAPER], ids=["image", "paper"])
def test_each_round_starts_where_the_last_one_ended(
    erase: EraseConfig, toy: Generator, corner: FunctionLabeler, labels: LatentSet
) -> None:
    asked: list[tuple[int, str]] = []

    def residual(student: Generator, number: int) -> LatentSet:
        asked.append((number, student.fingerprint))
        return label(student, 300, by=corner, seed=number)

    fit = first_fit(TargetVector.fit(labels), labels, erase)
    config = QUICK.model_copy(update={"goal": 0.0})
    left = []
    for item in unlearn_in_rounds(
        toy, fit, erase, config, labeler=corner, residual=residual, seed=0
    ):
        if item.step.index == 20:
            z = toy.sample_latents(800, torch.Generator().manual_seed(5))
            left.append((corner.score(draw(item.step.generator, z)) > 0).float().mean().item())
    assert len(left) == 3
    assert [number for number, _ in asked] == ([] if erase is IMAGE else [0, 1])
    assert left[2] < left[0] < 0.25


def test_a_linear_gate_stops_at_the_goal(
    toy: Generator, corner: FunctionLabeler, labels: LatentSet
) -> None:
    fit = first_fit(TargetVector.fit(labels), labels, PAPER)
    config = QUICK.model_copy(update={"goal": 1.0})
    steps = list(
        unlearn_in_rounds(
            toy,
            fit,
            PAPER,
            config,
            labeler=corner,
            residual=lambda g, r: label(g, 100, by=corner, seed=r),
        )
    )
    assert len(steps) == 20
