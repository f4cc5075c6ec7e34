"""The second opinion on strokes: it agrees with the functions, and specks do not fool it."""

import torch
from examples.strokes import judge
from torch import Tensor

from unfeature import draw
from unfeature.adapters.sources import load
from unfeature.features import digits


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


def drawn() -> Tensor:
    generator = load("digits-gan")
    return draw(generator, generator.latents_from_seeds(range(600)))
