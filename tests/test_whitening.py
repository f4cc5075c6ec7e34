"""Whitened coordinates, and shifts measured in them."""

import torch
from torch import nn

from unfeature.generator import Generator, GeneratorSpec
from unfeature.models.stylegan2 import StyleGAN2Generator
from unfeature.seeds import rng
from unfeature.whitening import FLOOR, Whitening

OPTIONS = {"latent_dim": 12, "w_dim": 12, "size": 8, "width": 4, "max_width": 8}


def stretched() -> Generator:
    """A tiny StyleGAN2 whose w spreads a hundred times as wide in some directions as in others."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = StyleGAN2Generator(**OPTIONS)
    last = module.mapping.layers[-1]
    assert isinstance(last, nn.Module)
    with torch.no_grad():
        last.weight.mul_(torch.logspace(0, -2, 12)[:, None])  # type: ignore[operator, union-attr]
    return Generator(module, GeneratorSpec("stylegan2", OPTIONS, (12,), (3, 8, 8))).in_space("w")


def test_there_and_back() -> None:
    generator = stretched()
    whitening = Whitening.of(generator)
    w = generator.sample_latents(50, rng(1, "x"))
    torch.testing.assert_close(whitening.restore(whitening.whiten(w)), w, atol=1e-5, rtol=1e-4)


def test_whitened_latents_spread_equally_up_to_the_floor() -> None:
    generator = stretched()
    w = generator.sample_latents(4000, rng(2, "x"))
    before = torch.linalg.eigvalsh(torch.cov(w.T)).clamp(min=0).sqrt()
    assert before.max() > 20 * before.min()
    after = torch.linalg.eigvalsh(torch.cov(Whitening.of(generator).whiten(w).T)).sqrt()
    wide = before > 2 * FLOOR * before.max()
    assert wide.sum() >= 6
    assert (after[-int(wide.sum()) :] - 1).abs().max() < 0.1
    assert after.max() < 1.1


def test_normal_latents_are_left_nearly_as_they_are() -> None:
    module = nn.Sequential(nn.Linear(8, 12), nn.Tanh())
    generator = Generator(module, GeneratorSpec("x", {}, (8,), (3, 2, 2)))
    whitening = Whitening.of(generator)
    assert (whitening.root - torch.eye(8)).abs().max() < 0.06
