"""A toy generator in a user's own file, as the tests' stand-in for a real one."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet, label
from unfeature.models.resnet import ResNet
from unfeature.seeds import rng

TOY = '''
import torch
from torch import nn


def build():
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 256), nn.Tanh())


def corner(images):
    """Brightness of the upper left quarter."""
    return images[:, 0, :8, :8].mean(dim=(1, 2))


def lower(images):
    return images[:, 0, 8:].mean(dim=(1, 2))


def classifier():
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 3))


class Halves(nn.Module):
    """Attributes: a bright left half, a bright right half."""

    attributes = ("left", "right")

    def forward(self, images):
        return torch.stack([half.mean(dim=(1, 2, 3)) for half in images.chunk(2, dim=3)], 1)


class Pair(nn.Flatten):
    def forward(self, images):
        return super().forward(images), images


pair = Pair
'''
TOML = """
feature = "bright corner"
[generator]
factory = "toymodel:build"
weights = "{folder}/toy.pth"
latent_shape = [8]
image_shape = [1, 16, 16]
[label]
by = "function"
function = "toymodel:corner"
share = 0.25
n = 400
[attributes.lower]
by = "function"
function = "toymodel:lower"
share = 0.5
[erase]
path = "descent"
margin = 1.5
[unlearn]
steps = 60
batch_size = 32
learning_rate = 1e-2
check_every = 20
check_n = 200
[evaluate]
n = 400
features = "toymodel:classifier"
grid = 4
"""
SHARED = Path(__file__).parents[2] / "shared" / "data"

if "PYTEST_XDIST_WORKER" in os.environ:  # as many tests at a time as there are cores
    torch.set_num_threads(1)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """For trainings of tiny convolutions: on some CPUs torch 2.13.0 with a single thread writes
    past the end of a buffer in a backward pass, and the process dies."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `toymodel.py` and its weights, on the path."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toymodel.py").write_text(TOY)
    sys.path.insert(0, str(folder))
    import toymodel

    random = torch.Generator().manual_seed(3)
    module = toymodel.build()
    for parameter in module.parameters():
        scale = 0.5 if parameter.ndim == 2 else 0.1
        parameter.data = torch.randn(parameter.shape, generator=random) * scale
    torch.save(module.state_dict(), folder / "toy.pth")
    return folder


@pytest.fixture
def toy(toy_folder: Path) -> Generator:
    import toymodel

    module = toymodel.build()
    module.load_state_dict(torch.load(toy_folder / "toy.pth", weights_only=True))
    return Generator(module, GeneratorSpec("toymodel:build", {}, (8,), (1, 16, 16)))


@pytest.fixture
def corner(toy: Generator) -> FunctionLabeler:
    import toymodel

    images = draw(toy, toy.sample_latents(2000, torch.Generator().manual_seed(1)))
    return FunctionLabeler.calibrated(toymodel.corner, "toymodel:corner", images, share=0.25)


@pytest.fixture
def labels(toy: Generator, corner: FunctionLabeler) -> LatentSet:
    return label(toy, 1000, by=corner, feature="bright corner")


@pytest.fixture
def initial_weights() -> Iterator[None]:
    """For modules that are built in a test: their initial weights are always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        yield


@pytest.fixture
def noise() -> torch.Tensor:
    """32 pictures, 3×16×16, in [−1, 1]."""
    return torch.rand(32, 3, 16, 16, generator=rng(0, "test")) * 2 - 1


@pytest.fixture
def untrained(initial_weights: None) -> ResNet:
    """A judge of such pictures that has learnt nothing."""
    return ResNet(outputs=2, width=4, stem_stride=1).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the shared data folder {SHARED} is not there")
    return SHARED


@pytest.fixture
def toml(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "experiment.toml"
    path.write_text(TOML.format(folder=toy_folder))
    return path


@pytest.fixture
def stop_at_save(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, int], None]:
    """Call it with a module and n: as if by Ctrl-C, what saves there stops after its n-th
    checkpoint, once."""

    def stop(module: ModuleType, at: int) -> None:
        real, left = module.save_checkpoint, [at]

        def save(path: Path, state: dict[str, Any]) -> None:
            real(path, state)
            left[0] -= 1
            if left[0] == 0:
                monkeypatch.setattr(module, "save_checkpoint", real)
                raise KeyboardInterrupt

        monkeypatch.setattr(module, "save_checkpoint", save)

    return stop
