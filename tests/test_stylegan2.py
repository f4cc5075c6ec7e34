import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unfeature.adapters.files import read_json, write_json
from unfeature.adapters.sources import load_source
from unfeature.config import GeneratorConfig, UnlearnConfig
from unfeature.datasets import ImageSet
from unfeature.erase import Eraser, Erasure, ImageEraser
from unfeature.errors import UserError
from unfeature.generator import Generator, GeneratorSpec
from unfeature.labelers import FunctionLabeler
from unfeature.labels import label
from unfeature.models.equalized import EqualConv, EqualLinear, binomial, blur, upsample, widths
from unfeature.models.stylegan2 import MappingNetwork, ModulatedConv, StyleGAN2Generator
from unfeature.models.stylegan2_discriminator import StyleGAN2Discriminator, with_group_deviation
from unfeature.seeds import rng
from unfeature.target import TargetVector
from unfeature.training import TrainConfig, fit
from unfeature.training.augment import AugmentController, augment
from unfeature.training.loop import lazy_adam
from unfeature.training.originals import original_session
from unfeature.training.stylegan2 import PathLength, StyleGAN2Session, r1_penalty
from unfeature.unlearn import unlearn

SMALL = {"latent_dim": 8, "w_dim": 8, "width": 4, "max_width": 8, "mapping_layers": 2}
pytestmark = pytest.mark.usefixtures("initial_weights")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed, "test"))


@pytest.fixture
def module() -> StyleGAN2Generator:
    """A small generator of which every part is felt: w varies, biases and noise are not zero."""
    made = StyleGAN2Generator(size=16, **SMALL)
    for i, (name, parameter) in enumerate(made.named_parameters()):
        if name.endswith(("bias", "strength")) and "style" not in name:
            parameter.data = 0.3 * normal(*parameter.shape, seed=i)
    made.mapping.follow(made.mapping(normal(64, 8)).detach(), decay=0.0)
    return made


@pytest.fixture
def generator(module: StyleGAN2Generator) -> Generator:
    return Generator(module, GeneratorSpec("stylegan2", {"size": 16, **SMALL}, (8,), (3, 16, 16)))


@pytest.fixture
def images() -> ImageSet:
    pictures = -torch.ones(24, 3, 8, 8)
    pictures[::2, :, :, :4] = 1
    pictures = (pictures + 0.2 * normal(24, 3, 8, 8)).clamp(-1, 1)
    return ImageSet(pictures, torch.arange(24) % 2, ("a", "b"))


@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_is_the_per_sample_one(up: bool) -> None:
    conv = ModulatedConv(6, 5, 3, 4, up=up, gain=1.3)
    x, w = normal(3, 6, 7, 7), normal(3, 4, seed=1)
    y, factor = conv(x, w)
    for i in range(3):  # equations 1 and 3, one image after the other
        style = conv.style(w)[i]
        weight = conv.weight * style[None, :, None, None]
        own = 1.3 * weight / weight.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        if up:
            wanted = F.conv_transpose2d(x[i : i + 1], own.transpose(0, 1), stride=2)
            wanted = blur(wanted, binomial(5, gain=4.0), pad=1)
        else:
            wanted = F.conv2d(x[i : i + 1], own, padding=1)
        torch.testing.assert_close((y * factor)[i : i + 1], wanted, atol=1e-4, rtol=1e-4)


def test_demodulated_output_has_unit_deviation() -> None:
    conv = ModulatedConv(64, 64, 3, 8)
    y, factor = conv(normal(8, 64, 16, 16), 3 * normal(8, 8, seed=1))
    inner = (y * factor)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(inner.std(dim=(1, 2, 3)), torch.ones(8), atol=0.05, rtol=0)


def test_equalised_scales_are_the_published_ones() -> None:
    assert EqualLinear(50, 3, gain=2.0).scale == pytest.approx(2 / math.sqrt(50))
    assert EqualConv(7, 3, 3, gain=2.0).scale == pytest.approx(2 / math.sqrt(7 * 9))
    assert ModulatedConv(7, 3, 3, 4).scale == pytest.approx(1 / math.sqrt(7 * 9))
    slow = EqualLinear(400, 300, rate=0.01, bias=0.5)
    assert slow.weight.std().item() == pytest.approx(100, rel=0.02)
    assert slow.scale == pytest.approx(0.01 / 20)
    y = slow(normal(50, 400)).detach()
    assert y.std().item() == pytest.approx(1, rel=0.05)
    assert y.mean().item() == pytest.approx(0.5, abs=0.05)


def test_resampling_keeps_constants() -> None:
    one = torch.ones(1, 2, 6, 6)
    torch.testing.assert_close(upsample(one), torch.ones(1, 2, 12, 12))
    torch.testing.assert_close(blur(one, binomial(2), pad=0), torch.ones(1, 2, 3, 3))
    line = torch.zeros(1, 1, 1, 9)
    line[..., 4] = 1  # an impulse shows the filter: [1, 3, 3, 1]/4 along each axis
    seen = upsample(line)[0, 0, 0]
    torch.testing.assert_close(seen[7:11], torch.tensor([0.25, 0.75, 0.75, 0.25]))
    spread = torch.zeros(1, 1, 13, 13)
    spread[..., ::2, ::2] = 1  # zeros in between, as a transposed convolution leaves them
    filled = blur(spread, binomial(1, gain=4.0), pad=0)
    torch.testing.assert_close(filled, torch.ones_like(filled))


def test_mapping_does_not_see_the_length_of_z(module: StyleGAN2Generator) -> None:
    z = normal(5, 8)
    torch.testing.assert_close(module.mapping(7 * z), module.mapping(z), atol=1e-5, rtol=1e-5)
    assert module.mapping(z).std(dim=0).min() > 0.05


def test_group_deviation_is_the_direct_one() -> None:
    x = normal(8, 3, 2, 2)
    seen = with_group_deviation(x)
    assert seen.shape == (8, 4, 2, 2)
    for i in range(8):
        members = x[[j for j in range(8) if j % 2 == i % 2]]
        wanted = members.std(dim=0, unbiased=False).mean()
        torch.testing.assert_close(seen[i, 3], wanted.expand(2, 2), atol=1e-5, rtol=1e-5)
    assert with_group_deviation(x[:3]).shape == (3, 4, 2, 2)


def test_r1_is_the_direct_one() -> None:
    weight = normal(12)
    bilinear = nn.Bilinear(12, 12, 1, bias=False)

    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            flat = x.flatten(1)
            return flat @ weight + bilinear(flat, flat).squeeze(1)

    real = normal(4, 3, 2, 2, seed=1)
    matrix = bilinear.weight[0]
    slope = weight + real.flatten(1) @ (matrix + matrix.T)
    torch.testing.assert_close(r1_penalty(Square(), real), slope.square().sum(1).mean())


def test_path_length_is_the_direct_one(module: StyleGAN2Generator) -> None:
    ws = normal(2, module.synthesis.num_ws, 8).requires_grad_(True)
    y = normal(2, 3, 16, 16, seed=1) / 16
    path = PathLength(decay=0.9)
    path.mean = 0.5
    penalty = path.penalty(module.synthesis(ws), ws, y)
    lengths = []
    for i in range(2):
        jacobian = torch.autograd.functional.jacobian(module.synthesis, ws[i : i + 1])
        product = torch.einsum("chw,chwld->ld", y[i], jacobian[0, :, :, :, 0])
        lengths.append(product.square().sum(1).mean().sqrt())
    direct = torch.stack(lengths)
    assert path.mean == pytest.approx(0.9 * 0.5 + 0.1 * direct.mean().item(), rel=1e-4)
    torch.testing.assert_close(penalty, (direct - path.mean).square().mean(), rtol=1e-3, atol=0)
    penalty.backward()
    assert module.synthesis.constant.grad is not None
    assert module.synthesis.constant.grad.abs().sum() > 0


def test_lazy_adam_is_corrected() -> None:
    group = lazy_adam(nn.Linear(2, 2), 0.1, 16).param_groups[0]
    assert group["lr"] == pytest.approx(0.1 * 16 / 17)
    assert group["betas"] == (0.0, pytest.approx(0.99 ** (16 / 17)))


def test_truncation(generator: Generator, module: StyleGAN2Generator) -> None:
    w = module.mapping(normal(4, 8))
    assert torch.equal(module.truncate(w, 1.0), w)
    mean = module.mapping.w_mean.expand(4, -1)
    torch.testing.assert_close(module.truncate(w, 0.5), (w + mean) / 2)
    for space in ("z", "w"):
        one = generator.in_space(space, truncation=0.0)
        pictures = one(one.sample_latents(4, rng(1)))
        torch.testing.assert_close(pictures, pictures[:1].expand_as(pictures))
    with pytest.raises(UserError, match=r"generator\.truncation is 1\.5"):
        generator.in_space("w", truncation=1.5)


@pytest.mark.parametrize("psi", [1.0, 0.6])
def test_the_twin_in_w_draws_what_z_draws(generator: Generator, psi: float) -> None:
    generator = generator.in_space("z", truncation=psi)
    twin = generator.in_space("w")
    assert (twin.latent_space, twin.latent_shape, twin.spec.truncation) == ("w", (8,), psi)
    assert twin.module is generator.module
    seeds = [4, 5, 6]
    z, w = generator.latents_from_seeds(seeds), twin.latents_from_seeds(seeds)
    torch.testing.assert_close(generator(z), twin(w))
    torch.testing.assert_close(twin.latents_from_seeds([5]), w[1:2])
    back = twin.in_space("z")
    assert back.spec == generator.spec
    assert torch.equal(back.latents_from_seeds(seeds), z)
    assert not w.requires_grad
    assert twin.sample_latents(3, rng(2)).shape == (3, 8)


@pytest.mark.parametrize("space", ["z", "w"])
def test_saved_and_loaded(generator: Generator, space: str, tmp_path: Path) -> None:
    saved = generator.in_space(space, truncation=0.7)
    saved.save_pretrained(tmp_path)
    again = Generator.load(tmp_path)
    assert again.spec == saved.spec
    latents = saved.sample_latents(3, rng(0))
    assert torch.equal(saved(latents), again(latents))
    config = GeneratorConfig(source=str(tmp_path), latent_space="w", truncation=0.5)
    asked = load_source(config).spec
    assert (asked.latent_space, asked.truncation) == ("w", 0.5)
    assert load_source(GeneratorConfig(source=str(tmp_path))).spec == saved.spec
    if space == "z":  # written before there was truncation
        generator.save_pretrained(tmp_path)
        old = read_json(tmp_path / "config.json")
        del old["truncation"]
        write_json(tmp_path / "config.json", old)
        assert Generator.load(tmp_path).spec.truncation == 1


def test_a_generator_without_mapping_has_only_z(toy: Generator) -> None:
    with pytest.raises(UserError, match="has only z; latent_space 'w' needs a mapping network"):
        toy.in_space("w")
    with pytest.raises(UserError, match="has only z; truncation needs a mapping network"):
        toy.in_space("z", truncation=0.5)
    with pytest.raises(UserError, match="latent_space is 'x'"):
        toy.in_space("x")
    with pytest.raises(UserError, match="has only z"):
        Generator(toy.module, replace(toy.spec, latent_space="w"))


def test_evaluation_is_a_function_of_the_latent_alone(generator: Generator) -> None:
    before = torch.random.get_rng_state()
    z = generator.sample_latents(4, rng(0))
    assert torch.equal(generator(z), generator(z))
    torch.testing.assert_close(generator(z)[1:2], generator(z[1:2]), atol=1e-5, rtol=1e-5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_noise_and_mixing(module: StyleGAN2Generator) -> None:
    synthesis = module.synthesis
    w = module.mapping(normal(2, 8)).detach()
    first = synthesis(w, "random", rng(1))
    assert torch.equal(first, synthesis(w, "random", rng(1)))
    assert not torch.equal(first, synthesis(w, "random", rng(2)))
    fixed = [layer.get_buffer("noise") for layer in synthesis.layers]
    assert torch.equal(synthesis(w, fixed), synthesis(w))
    every = w[:, None].expand(-1, synthesis.num_ws, -1)
    assert torch.equal(synthesis(every), synthesis(w))
    for layer in range(synthesis.num_ws):  # each layer's w is felt
        other = every.clone()
        other[:, layer] += 1
        assert not torch.equal(synthesis(other), synthesis(w))


def test_sizes() -> None:
    assert widths(64, 16, 256) == {4: 256, 8: 128, 16: 64, 32: 32, 64: 16}
    for size in (48, 4):
        with pytest.raises(UserError, match=f"size is {size}"):
            StyleGAN2Generator(size=size)
    with torch.device("meta"):
        count = sum(p.numel() for p in StyleGAN2Generator().parameters())
    assert 1.5e6 < count < 4e6


def test_augmentation(images: ImageSet) -> None:
    random = rng(0)
    before = random.get_state()
    assert augment(images.images, 0.0, random) is images.images
    assert torch.equal(random.get_state(), before)
    real = images.images.clone().requires_grad_(True)
    seen = augment(real, 0.3, rng(1))
    assert torch.equal(seen, augment(real, 0.3, rng(1)))
    changed = (seen != real).flatten(1).any(1)
    assert 0 < changed.sum() < len(real)
    seen.sum().backward()
    assert real.grad is not None
    assert torch.equal(real.grad[~changed], torch.ones_like(real.grad[~changed]))


def test_the_controller_moves_the_right_way() -> None:
    controller = AugmentController(speed=100, every=2, highest=0.25)
    sure, unsure = torch.ones(5), torch.tensor([1.0, -1, 1, -1])
    controller.update(sure)
    assert controller.p == 0
    controller.update(sure)
    assert controller.p == pytest.approx(0.1)
    for _ in range(6):
        controller.update(sure)
    assert controller.p == 0.25
    for _ in range(2):
        controller.update(unsure)
    assert controller.p == pytest.approx(0.17)
    fixed = AugmentController(fixed=0.4)
    for _ in range(8):
        fixed.update(sure)
    assert fixed.p == 0.4
    fixed.load_state_dict(controller.state_dict())
    assert fixed.p == 0.4


def test_a_resumed_training_obeys_its_learning_rate(images: ImageSet) -> None:
    def session(rate: float) -> Any:
        config = TrainConfig(epochs=4, batch_size=8, learning_rate=rate)
        return original_session("stylegan2", (3, 8, 8), config, **SMALL)[0]

    def rates(made: Any) -> list[float]:
        made.step(images.images[:8], images.labels[:8], torch.Generator().manual_seed(0), 0.0)
        return [g["lr"] for o in made.optimizers for g in o.param_groups]

    fast, slow = session(2e-3), session(1e-4)
    wanted = rates(session(1e-4))
    rates(fast)
    slow.load_state_dict(fast.state_dict())
    assert rates(slow) == wanted


def test_training_resumes_bit_for_bit(images: ImageSet) -> None:
    config = TrainConfig(epochs=4, batch_size=8, learning_rate=2e-3, average=0.9)
    options = {**SMALL, "ada_speed": 200, "r1_every": 2, "path_every": 2, "half_life": 20.0}

    def trained(stop: int) -> StyleGAN2Session:
        session, made = original_session("stylegan2", (3, 8, 8), config, **options)
        assert made == {"channels": 3, "size": 8, **SMALL}
        for now in fit(session, images, config):
            if (now.epochs, now.batches) == (stop, 1):
                state = session.state_dict()
                session, _ = original_session("stylegan2", (3, 8, 8), config, **options)
                session.load_state_dict(state)
                for _ in fit(session, images, config, start=now):
                    continue
                break
        assert isinstance(session, StyleGAN2Session)
        return session

    whole, resumed = trained(9), trained(2)
    for name in ("generator", "discriminator", "average"):
        one, two = getattr(whole, name).state_dict(), getattr(resumed, name).state_dict()
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert whole.controller.state_dict() == resumed.controller.state_dict()
    assert whole.controller.p > 0
    assert whole.path_length.mean == resumed.path_length.mean > 0
    average = whole.average.get_submodule("mapping")
    assert isinstance(average, MappingNetwork)
    assert average.w_mean.abs().sum() > 0


def test_unlearning_in_w_leaves_the_mapping(generator: Generator) -> None:
    class Shift(Eraser):
        """Moves every latent, so that every image teaches something."""

        name = "shift"

        def erase(self, latents: Tensor) -> Erasure:
            return Erasure(latents + 0.5, torch.ones(len(latents), dtype=torch.bool))

    original = generator.in_space("w")
    before = original.fingerprint
    config = UnlearnConfig(steps=3, batch_size=4, warmup=0, pool=1, reuse=1, average=0.5)
    *_, last = unlearn(original, Shift(), config)
    learnt = last.generator.module.state_dict()
    for name, tensor in original.module.state_dict().items():
        if name.startswith("mapping."):
            assert torch.equal(tensor, learnt[name])
    changed = [n for n, t in original.module.state_dict().items() if not torch.equal(t, learnt[n])]
    assert "synthesis.constant" in changed
    assert original.fingerprint == before


def test_every_layer_may_have_a_w_of_its_own(generator: Generator) -> None:
    original = generator.in_space("w")
    latents = original.latents_from_seeds(range(60))
    apart = original.per_layer(latents)
    torch.testing.assert_close(original(apart), original(latents))
    bright = FunctionLabeler(lambda images: images.mean(dim=(1, 2, 3)), "brightness", threshold=0.0)
    middle = bright.score(original(latents)).median().item()
    labeler = replace(bright, threshold=middle)
    seeds = torch.arange(60)
    target = TargetVector.fit(label(original, seeds=seeds, by=labeler, feature="bright"))
    one = ImageEraser(
        original, labeler, target, path="donors", margin=1e-3, pictures=200, towards=original
    )
    found, freer = one.erase(latents), replace(one, layers=True).erase(latents)
    assert torch.equal(found.edited, freer.edited)
    assert found.edited.any()
    assert freer.latents.shape == apart.shape
    assert torch.equal(freer.latents[~freer.edited], apart[~freer.edited])
    assert found.images is not None
    assert freer.images is not None
    torch.testing.assert_close(freer.images, original(freer.latents), atol=1e-5, rtol=1e-4)
    assert (labeler.score(freer.images) <= 0).all()
    before = original(latents)
    assert (freer.images - before).abs().mean() < (found.images - before).abs().mean()
    with pytest.raises(UserError, match=r"in z has no w for each layer; leave out erase\.layers"):
        generator.per_layer(latents)


def test_the_generator_waits_for_discriminators_that_know_nothing(images: ImageSet) -> None:
    config = TrainConfig(epochs=1, batch_size=8)
    trained = StyleGAN2Generator(size=8, **SMALL)
    options = {**SMALL, "head_start": 3}
    session, _ = original_session("stylegan2", (3, 8, 8), config, start=trained, **options)
    before = {k: v.clone() for k, v in session.state_dict()["generator"].items()}
    assert all(torch.equal(before[k], v) for k, v in trained.state_dict().items())
    for step in range(5):
        session.step(images.images[:8], images.labels[:8], rng(step), 0.0)
        after = session.state_dict()["generator"]
        moved = any(not torch.equal(before[k], after[k]) for k in before if k != "mapping.w_mean")
        assert moved == (step > 3)


def test_the_discriminator_takes_any_batch() -> None:
    discriminator = StyleGAN2Discriminator(size=16, width=4, max_width=8)
    for n in (1, 3, 8):
        assert discriminator(normal(n, 3, 16, 16)).shape == (n,)
