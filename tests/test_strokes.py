"""The second opinion on strokes: it agrees with the functions, and specks do not fool it."""

from dataclasses import replace

import pytest
import torch
from benchmarks import specks
from examples.strokes import judge, train
from torch import Tensor

from unfeature import draw
from unfeature.adapters.sources import load
from unfeature.errors import UserError
from unfeature.features import digits
from unfeature.labelers.function import FunctionLabeler
from unfeature.seeds import rng


def test_it_sees_what_the_functions_measure() -> None:
    """On the shipped GAN's digits, which it never saw."""
    images = drawn()
    for name in ("thickness", "slant"):
        pair = torch.stack([getattr(module, name)(images) for module in (judge, digits)])
        assert torch.corrcoef(pair)[0, 1] > 0.95


def test_specks_fool_the_function_and_not_the_network() -> None:
    images = drawn()
    leaning = images[digits.slant(images) < -10]
    corners = leaning.clone()
    corners[:, :, 22:26:2, 3:7:2] = 0.8  # four specks on the lower left
    tilted = digits.slant(corners) - digits.slant(leaning)
    seen = judge.slant(corners) - judge.slant(leaning)
    assert len(leaning) > 30
    assert tilted.mean() > 3
    assert seen.mean().abs() < tilted.mean() / 4


def test_training_follows_from_its_seed_alone() -> None:
    images = drawn()[:128]
    before = torch.get_rng_state()
    one, same, other = (train.train(images, epochs=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [model.network.head.weight for model in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_strewn_digits_are_still_pictures() -> None:
    images = train.varied(drawn(), rng(0))
    strewn = train.strewn(images, rng(1))
    for made in (images, strewn):
        assert made.min() >= -1
        assert made.max() <= 1
    changed = (strewn != images).double().mean()
    assert 0.001 < changed < 0.05


def test_specks_are_pixels_above_their_neighbours() -> None:
    images = torch.full((3, 1, 28, 28), -1.0)
    images[0, 0, 3, 3] = 1
    images[1, 0, 4:20, 5:8] = 1  # a stroke has none
    images[2, 0, 0, 0], images[2, 0, 0, 1] = 1, 0  # at the edge, above a grey one
    assert specks.specks(images).tolist() == [1, 0, 0.5]


def test_the_network_is_asked_what_the_judge_measures() -> None:
    images = drawn()
    asked = FunctionLabeler(digits.slant, "unfeature.features.digits:slant", -5.0, "below")
    had = asked.score(images) > 0
    network = specks.second(asked, images, share=had.double().mean().item())
    seen = network.score(images) > 0
    assert seen.sum() == had.sum()
    assert (seen == had).double().mean() > 0.95
    with pytest.raises(UserError, match="'function mine:height < -5' judges the run"):
        specks.second(replace(asked, reference="mine:height"), images, share=0.5)


def drawn() -> Tensor:
    generator = load("digits-gan")
    return draw(generator, generator.latents_from_seeds(range(600)))
