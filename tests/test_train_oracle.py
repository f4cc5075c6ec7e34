"""`unfeature train oracle` for generators that someone else trained."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unfeature import resumable
from unfeature.adapters.pretrained import load_generator
from unfeature.adapters.sources import load_source
from unfeature.cli import main
from unfeature.config import RecipeConfig
from unfeature.errors import UserError
from unfeature.folder import RunFolder
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.models.vae import ConvDecoder, ConvEncoder, negative_elbo
from unfeature.settings import read_experiment
from unfeature.training import GANSession, TrainConfig
from unfeature.training.gan import GANConfig
from unfeature.training.rendered import Rendered, rendered_elbo

PARTNERS = """
import torch
from torch import nn


def critic():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(256, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1), nn.Flatten(0)
    )


class Posterior(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, images):
        return tuple(self.layers(images).chunk(2, dim=1))


class wrapped(nn.Module):
    def forward(self, images):
        return (images.flatten(1)[:, :1],)


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 1))
"""
TRAIN = ["train", "oracle", "run", "--data", "d.npz", "--quiet", "--json"]


@pytest.fixture
def labelled(toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A labelled run in `run`, and 600 pictures in `d.npz`: a third with a bright corner, all with
    a bright lower right quarter, between dark and half bright."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toypartners", raising=False)
    Path("toypartners.py").write_text(PARTNERS)
    images = np.full((600, 16, 16), 20, np.uint8)
    images[:, 8:, 8:] = np.linspace(128, 255, 600, dtype=np.uint8)[:, None, None]
    images[::3, :8, :8] = 255
    zeros = np.zeros(600, np.uint8)
    np.savez("d.npz", x_train=images, y_train=zeros, x_test=images[:9], y_test=zeros[:9])
    assert main(["sample", str(toml), "-o", "run", "--quiet"]) == 0
    assert main(["label", "run", "--quiet"]) == 0
    return toml


def with_recipe(**values: object) -> list[str]:
    """The command that trains by such a recipe: it is written into the run's settings."""
    table: dict[str, Any] = {"epochs": 3, "batch_size": 32, "learning_rate": 3e-3, **values}
    run = RunFolder.open(Path("run"))
    experiment = run.experiment()
    generator = experiment.generator.model_copy(update={"recipe": RecipeConfig(**table)})
    run.write_settings(experiment.model_copy(update={"generator": generator}))
    return TRAIN


@pytest.mark.parametrize("compared", ["cross-entropy", "squared error"])
def test_a_vae_of_someone_else_has_an_oracle(
    compared: str, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = with_recipe(encoder="toypartners:Posterior", epochs=60, reconstruction=compared)
    capsys.readouterr()
    assert main([*command, "-o", "oracle"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 400
    made = load_generator(Path("oracle"), factory="toymodel:build")
    about = made.spec.about
    assert about["without"] == "bright corner"
    assert about["recipe"]["training"]["epochs"] == 60
    assert about["recipe"]["reconstruction"] == compared
    images = draw(made, made.latents_from_seeds(range(200)))
    corner, lower = images[:, 0, :8, :8].mean((1, 2)), images[:, 0, 8:, 8:].mean((1, 2))
    assert (corner < -0.6).float().mean() > 0.95  # what it has seen is dark there, …
    assert (lower > 0).float().mean() > 0.95  # … and bright here
    assert (corner - (2 * 20 / 255 - 1)).abs().mean() < 0.1


def test_a_gan_of_someone_else_has_oracles(
    labelled: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at_save: Callable[[ModuleType, int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = with_recipe(discriminator="toypartners:critic", betas=(0.5, 0.9), epochs=2)
    for name, seed in (("one", "1"), ("two", "2")):
        assert main([*command, "-o", name, "--seed", seed]) == 0
    one, two = (load_generator(Path(n), factory="toymodel:build") for n in ("one", "two"))
    assert one.fingerprint != two.fingerprint
    recipe = one.spec.about["recipe"]
    assert recipe["discriminator"] == "toypartners:critic"
    assert (recipe["training"]["epochs"], "epochs" in recipe) == (2, False)

    command += ["-o", "again", "--seed", "1"]
    monkeypatch.setattr(resumable, "EPOCH_SECONDS", 0.0)
    stop_at_save(resumable, 1)  # after the first of two epochs
    assert main(command) == 130
    with_recipe(discriminator="toypartners:critic", betas=(0.5, 0.8), epochs=2)
    capsys.readouterr()
    assert main([*command, "--resume"]) == 1
    assert "of a training with another recipe" in capsys.readouterr().err
    with_recipe(discriminator="toypartners:critic", betas=(0.5, 0.9), epochs=2)
    assert main([*command, "--resume"]) == 0
    again = load_generator(Path("again"), factory="toymodel:build")
    assert again.fingerprint == one.fingerprint


def test_what_cannot_be_an_oracle(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def says(command: list[str]) -> str:
        capsys.readouterr()
        assert main([*command, "-o", "oracle"]) == 1
        assert not Path("oracle").exists()
        return capsys.readouterr().err

    assert "describe it under [generator.recipe] in 'run/settings.toml'" in says(TRAIN)
    wrong = with_recipe(discriminator="toypartners:Posterior")
    assert "discriminator gives [[2, 8], [2, 8]] for two images; it must give a lo" in says(wrong)
    wrong = with_recipe(encoder="toypartners:critic")
    assert "mean and log-variance, each [2, 8]" in says(wrong)
    wrong = with_recipe(discriminator="toypartners:wrapped")
    assert "gives [[2, 1]] for two images; it must give a logit" in says(wrong)
    wrong = with_recipe(discriminator="toypartners:small")
    assert "generator.recipe.discriminator does not take images of [1, 16, 16]" in says(wrong)
    right = with_recipe(discriminator="toypartners:critic")
    assert "--epochs is 0" in says([*right, "--epochs", "0"])
    labels = np.zeros(9, np.uint8)
    small = np.zeros((9, 8, 8), np.uint8)
    np.savez("small.npz", x_train=small, y_train=labels, x_test=small, y_test=labels)
    other = ["small.npz" if word == "d.npz" else word for word in right]
    assert "are [1, 8, 8], the original's [1, 16, 16]" in says(other)


def test_recipes_that_are_none(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def says(*settings: str) -> str:
        capsys.readouterr()
        changes = [part for setting in settings for part in ("--set", setting)]
        assert main(["sample", str(toml), "-o", "run", *changes, "--quiet"]) == 1
        return capsys.readouterr().err

    assert "either a GAN's 'discriminator' or a VAE's 'encoder'" in says(
        "generator.recipe={epochs=3}"
    )
    unknown = says('generator.recipe={discriminator="a:b", epoch=3}')
    assert "epoch" in unknown
    assert "did you mean 'epochs'" in unknown
    idle = says('generator.recipe={encoder="a:b", r1=1.0}')
    assert "'r1' goes with 'discriminator'; with 'encoder' it does nothing" in idle


def test_a_recipe_may_be_added_to_a_run(labelled: Path) -> None:
    with_recipe(encoder="toypartners:Posterior")
    assert main(["run", str(labelled), "-o", "run", "--resume", "--quiet"]) == 0


def test_a_recipe_has_the_rates_it_names() -> None:
    made = GANSession(
        Rendered(nn.Linear(4, 16), GeneratorSpec("x:y", {}, (4,), (1, 4, 4))),
        nn.Sequential(nn.Flatten(), nn.Linear(16, 1)),
        TrainConfig(learning_rate=3e-4),
        GANConfig(discriminator_rate=7e-4, betas=(0.9, 0.999), r1=0.0),
    )
    for optimizer, rate in (
        (made.generator_optimizer, 3e-4),
        (made.discriminator_optimizer, 7e-4),
    ):
        group = optimizer.param_groups[0]
        assert (group["lr"], group["betas"]) == (rate, (0.9, 0.999))
    images = torch.zeros(8, 1, 4, 4)
    made.step(images, torch.zeros(8), torch.Generator().manual_seed(0), 0.0)
    assert not images.requires_grad  # as R1 would need it
    assert made.discriminator_optimizer.param_groups[0]["lr"] == 7e-4


def test_pictures_and_logits_have_the_same_bound(initial_weights: None) -> None:
    class Shares(ConvDecoder):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return self.logits(latents).sigmoid()

    decoder = Shares(3, 1, 8, 2)
    decoder.layers[-1].bias.data.fill_(-17.0)  # nearly black: in pictures these are all −1
    spec = GeneratorSpec("x:y", {}, (3,), (1, 8, 8), output_range=(0.0, 1.0))
    encoder, images = ConvEncoder(3, 1, 8, 2), torch.rand(5, 1, 8, 8) * 2 - 1
    noise = torch.randn(5, 3)
    weights = list(decoder.parameters())
    found = []
    for bound, module in ((negative_elbo, decoder), (rendered_elbo, Rendered(decoder, spec))):
        parts = bound(encoder, module, images, noise, beta=0.5)  # type: ignore[operator]
        found.append([*parts, *torch.autograd.grad(sum(parts), weights)])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)
    unbounded = Rendered(nn.Linear(3, 64), GeneratorSpec("a:b", {}, (3,), (1, 8, 8)))
    with pytest.raises(UserError, match="'a:b' draws values outside"):
        unbounded.shares(9 * noise)


def test_a_rendered_module_draws_as_the_generator_does(toml: Path) -> None:
    config = read_experiment(toml, ["generator.output_range=[-3, 1]"]).generator
    generator: Generator = load_source(config)
    latents = generator.latents_from_seeds(range(3))
    rendered = Rendered(generator.module, generator.spec)
    assert torch.equal(rendered(latents), generator(latents))
    assert rendered.latent_shape == (8,)
