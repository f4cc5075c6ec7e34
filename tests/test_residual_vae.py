from pathlib import Path

import pytest
import torch

from unfeature.adapters.pretrained import load_generator, save_generator
from unfeature.datasets import ImageSet
from unfeature.errors import UserError
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.models import build
from unfeature.models.residual_vae import CalibratedLikelihood, ResidualDecoder, ResidualEncoder
from unfeature.training import TrainConfig, fit
from unfeature.training.originals import original_session

SMALL = {"latent_dim": 6, "width": 8, "max_width": 32}
CONFIG = TrainConfig(epochs=4, batch_size=16, learning_rate=3e-3, average=0.9)


def shapes(n: int, side: int = 16) -> ImageSet:
    """Discs and squares, red or blue, anywhere on a ground of grey 0."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 2
    centres = side * (0.35 + 0.3 * torch.rand(n, 2, 1, 1, generator=random))
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    away = grid - centres
    radius = torch.where(labels.view(-1, 1, 1) == 0, away.norm(dim=1), away.abs().amax(1))
    inside = (side / 4 + 0.5 - radius).clamp(0, 1).unsqueeze(1)
    red, blue = torch.tensor([0.8, -0.8, -0.8]), torch.tensor([-0.8, -0.8, 0.8])
    colour = torch.where(torch.rand(n, 1, generator=random) < 0.5, red, blue)
    return ImageSet(inside * colour.view(n, 3, 1, 1), labels, ("disc", "square"))


@pytest.fixture
def data() -> ImageSet:
    return shapes(128)


@pytest.fixture
def decoder() -> ResidualDecoder:
    """Small, and with no weight left at its initial zero."""
    random = torch.Generator().manual_seed(0)
    module = ResidualDecoder(**SMALL, size=32)
    for parameter in module.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=random)
    return module


@pytest.mark.parametrize(("size", "channels"), [(16, 3), (32, 1), (64, 3), (128, 3)])
def test_shapes(size: int, channels: int) -> None:
    options = {**SMALL, "channels": channels, "size": size}
    decoder, encoder = ResidualDecoder(**options), ResidualEncoder(**options)
    latents = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    images = decoder(latents)
    assert decoder.latent_shape == (6,)
    assert images.shape[1:] == decoder.image_shape == (channels, size, size)
    assert images.is_contiguous()
    assert images.abs().max() <= 1
    mean, log_variance = encoder(images)
    assert mean.shape == log_variance.shape == latents.shape


def test_the_default_is_small() -> None:
    assert sum(p.numel() for p in ResidualDecoder().parameters()) < 1e6


@pytest.mark.parametrize("size", [48, 8, 0])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(UserError, match=rf"{size}×{size}.*power of two, 16 or more"):
        build("residual-vae", {"size": size})


def test_training_refuses_other_sizes() -> None:
    with pytest.raises(UserError, match=r"48×48.*power of two"):
        original_session("residual-vae", (3, 48, 48), CONFIG, **SMALL)


def test_an_image_does_not_depend_on_its_batch(decoder: ResidualDecoder) -> None:
    latents = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
    alone = torch.cat([decoder(latent[None]) for latent in latents])
    torch.testing.assert_close(decoder(latents), alone, rtol=0, atol=1e-5)
    assert alone.std(dim=0).max() > 0.01


def test_the_likelihood_is_at_its_best_scale(data: ImageSet) -> None:
    """D·(d/s + log s), least over a grid of scales s, is what is computed."""
    decoder, encoder = ResidualDecoder(**SMALL, size=16), ResidualEncoder(**SMALL, size=16)
    noise = torch.randn(128, 6, generator=torch.Generator().manual_seed(2))
    likelihood = CalibratedLikelihood(16)
    reconstruction, kl = likelihood(encoder, decoder, data.images, noise)
    drawn = decoder(noise)  # the encoder starts at the prior
    d = (drawn - data.images).abs().mean() / 2
    d = d + 1 - likelihood.similarity(drawn, data.images).mean()
    scales = torch.linspace(0.2, 3, 2000)
    best = (d / scales + scales.log()).min() - 1
    assert reconstruction.item() / (3 * 16 * 16) == pytest.approx(best.item(), abs=1e-4)
    assert kl.item() == 0


def test_training_resumes_bit_for_bit(data: ImageSet, tmp_path: Path) -> None:
    def weights(stop: int) -> dict[str, torch.Tensor]:
        session, _ = original_session("residual-vae", (3, 16, 16), CONFIG, **SMALL)
        for now in fit(session, data, CONFIG):
            if (now.epochs, now.batches) == (stop, 1):
                torch.save(session.state_dict(), tmp_path / "c.pt")
                session, _ = original_session("residual-vae", (3, 16, 16), CONFIG, **SMALL)
                session.load_state_dict(torch.load(tmp_path / "c.pt", weights_only=True))
                for _ in fit(session, data, CONFIG, start=now):
                    continue
                break
        return session.model.state_dict()

    whole, resumed = weights(9), weights(2)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_it_learns_coloured_shapes(tmp_path: Path) -> None:
    data = shapes(512)
    config = TrainConfig(epochs=25, batch_size=32, learning_rate=3e-3, average=0.98, beta=16)
    session, options = original_session("residual-vae", (3, 16, 16), config, **SMALL)
    losses = [now.losses for now in fit(session, data, config) if not now.batches]
    # log d̂ fell by more than 1.5: the pictures are nearer by more than a factor of four
    fell = losses[0]["reconstruction"] - losses[-1]["reconstruction"]
    assert fell / (3 * 16 * 16) > 1.5
    assert losses[-1]["kl"] / 16 > 5  # the latents are read

    spec = GeneratorSpec("residual-vae", options, (6,), (3, 16, 16))
    generator = Generator(session.model, spec)
    latents = generator.sample_latents(200, torch.Generator().manual_seed(1))
    drawn = draw(generator, latents)
    # a ground of grey, and on it one thing that is red or blue, never green and seldom purple
    assert (drawn.abs() > 0.95).float().mean() < 0.01
    assert drawn[:, :, 0, 0].abs().mean() < 0.1
    red, green, blue = (drawn[:, c, 7:9, 7:9].mean(dim=(1, 2)) for c in range(3))
    assert (green < -0.4).float().mean() > 0.8
    assert ((red - blue).abs() > 0.8).float().mean() > 0.5
    assert 0.15 < (red > blue).float().mean() < 0.85

    save_generator(generator, tmp_path / "g")
    assert torch.equal(draw(load_generator(tmp_path / "g"), latents), drawn)
