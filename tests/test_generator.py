import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import unfeature as uf
from unfeature.adapters.files import load_tensors, save_tensors
from unfeature.errors import UserError
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.models import ARCHITECTURES, build
from unfeature.models.inception import InceptionV3


def test_output_range_is_mapped_to_minus_one_one(toy: Generator) -> None:
    z = toy.sample_latents(5, torch.Generator().manual_seed(0))
    shifted = Generator(toy.module, replace(toy.spec, output_range=(-3.0, 1.0)))
    torch.testing.assert_close(shifted(z), (toy(z) + 3) / 2 - 1)


def test_latents_are_a_function_of_their_seed_alone(toy: Generator) -> None:
    many = toy.latents_from_seeds([5, 6, 7, 8])
    assert torch.equal(toy.latents_from_seeds([7]), many[2:3])
    assert len(many.unique(dim=0)) == 4
    before = torch.random.get_rng_state()
    toy.latents_from_seeds([1])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_copy_is_independent(toy: Generator) -> None:
    twin = toy.copy()
    assert twin.fingerprint == toy.fingerprint
    next(twin.module.parameters()).data += 1
    assert twin.fingerprint != toy.fingerprint


def test_convolutions_lie_channels_last_where_the_module_can_work_so() -> None:
    class Viewed(nn.Module):
        def __init__(self, *, flat: bool):
            super().__init__()
            self.first, self.conv, self.flat = nn.Linear(4, 64), nn.Conv2d(4, 3, 3, padding=1), flat

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            drawn = self.conv(self.first(z).view(-1, 4, 4, 4))
            return drawn.view(len(z), -1) if self.flat else drawn

    torch.manual_seed(0)
    views, free = Viewed(flat=True), Viewed(flat=False)
    free.load_state_dict(views.state_dict())
    z = torch.randn(3, 4)
    expected = views(z).detach().unflatten(1, (3, 4, 4))
    for module, last in ((views, False), (free, True)):
        made = Generator(module, GeneratorSpec("a:b", {}, (4,), (3, 4, 4)))
        assert made.module.conv.weight.is_contiguous(memory_format=torch.channels_last) is last
        torch.testing.assert_close(made(z), expected)
        for g in (made.copy().requires_grad(True), made):
            assert g(z).view(3, -1).shape == (3, 48)  # as a labeller may want it


def test_weights_that_share_memory_are_saved(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 16)
            self.net = nn.Sequential(self.first, nn.Tanh())

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return self.net(latents)

    module = Tied()
    save_tensors(tmp_path / "tied.safetensors", module.state_dict())
    again = load_tensors(tmp_path / "tied.safetensors")
    assert again.keys() == module.state_dict().keys()
    assert torch.equal(again["first.weight"], again["net.0.weight"])


@pytest.mark.parametrize("name", ["digits-gan", "digits-vae"])
def test_saved_and_loaded_draws_the_same(name: str, tmp_path: Path) -> None:
    original = uf.load(name)
    original.save_pretrained(tmp_path / "copy")
    again = Generator.load(tmp_path / "copy")
    z = original.sample_latents(9, torch.Generator().manual_seed(0))
    assert torch.equal(original(z), again(z))
    assert again.spec == original.spec
    assert original(z).shape == (9, 1, 28, 28)
    assert original(z).abs().max() <= 1
    torch.testing.assert_close(
        draw(original, z, batch_size=2), draw(original, z), atol=1e-5, rtol=0
    )


def test_swapped_weights_are_noticed(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    uf.load("digits-vae").save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["project.bias"] += 1
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="not those its config"):
        Generator.load(tmp_path)


@pytest.mark.parametrize("kind", ["generator", "classifier"])
def test_a_folder_chooses_no_code(kind: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    config = {"kind": kind, "architecture": "os:system", "options": {"command": f"touch {trace}"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    load = uf.load if kind == "generator" else uf.load_judge
    with pytest.raises(UserError, match=r"built by 'os:system', which would run that code"):
        load(str(tmp_path))
    assert not trace.exists()


class Pair(nn.Linear):
    """What a whole VAE often is: it gives more than the images."""

    def forward(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(latents), latents


def test_what_gives_no_images_is_refused(toy: Generator) -> None:
    with pytest.raises(UserError, match="gives a tuple, not a tensor of images"):
        Generator(Pair(8, 256), toy.spec)


class Strict(nn.Linear):
    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        assert latents.shape[1] == 9, "nine numbers"
        return super().forward(latents)


@pytest.mark.parametrize(
    ("shape", "module"),
    [
        ((3, 16, 16), nn.Sequential(nn.Linear(8, 768), nn.Unflatten(1, (16, 16, 3)))),
        ((3, 16, 8), nn.Sequential(nn.Linear(8, 384), nn.Unflatten(1, (3, 8, 16)))),
    ],
)
def test_images_of_another_layout_are_refused(
    shape: tuple[int, int, int], module: nn.Module, toy: Generator
) -> None:
    with pytest.raises(UserError, match=r"for each latent, which is not generator\.image_shape"):
        Generator(module, replace(toy.spec, image_shape=shape))
    flat = module[0]  # type: ignore[index]
    assert Generator(flat, replace(toy.spec, image_shape=shape)).image_shape == shape


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Strict(9, 256), "nine numbers"),
        (nn.Sequential(nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 256)), "expected 4D input"),
        (nn.Bilinear(8, 8, 256), "missing 1 required positional argument"),
    ],
)
def test_whatever_a_module_raises_is_one_line(module: nn.Module, said: str, toy: Generator) -> None:
    with pytest.raises(UserError, match=rf"does not take latents of shape.*{said}"):
        Generator(module, toy.spec)


def test_nothing_to_sample_is_refused(toy: Generator) -> None:
    with pytest.raises(UserError, match="n is 0"):
        toy.sample_latents(0, torch.Generator())
    with pytest.raises(UserError, match="n is 0"):
        toy.latents_from_seeds([])


def test_infinite_weights_are_named(toy: Generator) -> None:
    broken = toy.copy()
    broken.module[0].bias.data[3] = torch.inf  # type: ignore[index, union-attr]
    with pytest.raises(UserError, match=r"'0\.bias'"):
        Generator(broken.module, toy.spec)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output_range", (1.0, 1.0)),
        ("latent_shape", ()),
        ("image_shape", (1, 16, 0)),
    ],
)
def test_a_spec_that_cannot_be_is_refused(toy: Generator, field: str, value: object) -> None:
    with pytest.raises(UserError, match=f"generator.{field}"):
        replace(toy.spec, **{field: value})


def test_unknown_architecture_and_option() -> None:
    with pytest.raises(UserError, match="did you mean 'dcgan'"):
        build("dcgn", {})
    with pytest.raises(UserError, match="depth"):
        build("dcgan", {"depth": 3})
    assert {"dcgan", "conv-vae", "stylegan2", "lenet", "linear"} <= set(ARCHITECTURES)


def test_the_module_stays_in_evaluation_mode(toy: Generator) -> None:
    module = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16))
    module.train()
    generator = Generator(module, GeneratorSpec("x:y", {}, (4,), (1, 4, 4)))
    z = generator.sample_latents(6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(generator(z)[:2], generator(z[:2]))


def test_inception_has_the_published_size() -> None:
    """23,834,568 parameters with 1,000 classes; this variant has 1,008."""
    with torch.device("meta"):
        module = InceptionV3()
    count = sum(p.numel() for p in module.parameters())
    assert count == 23_834_568 + 8 * 2049
    names = set(module.state_dict())
    assert {"Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch3x3dbl_3b.bn.running_var"} <= names


def test_shipped_weights_are_small() -> None:
    from unfeature.adapters.pretrained import ZOO

    assert sum(p.stat().st_size for p in ZOO.glob("digits-*/model.safetensors")) < 5_000_000
    assert sum(p.stat().st_size for p in ZOO.glob("*/model.safetensors")) < 25_000_000
