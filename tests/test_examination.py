"""Inversion, distance to counterfactuals, collateral, precision and recall."""

import pytest
import torch
from torch import Tensor, nn

from unfeature import avatars
from unfeature.errors import UserError
from unfeature.evaluate.collateral import collateral
from unfeature.evaluate.counterfactual import counterfactuals, having
from unfeature.evaluate.manifold import precision_recall
from unfeature.generator import Generator, GeneratorSpec, draw
from unfeature.invert import invert
from unfeature.labelers.classifier import AttributeJudge

BASIS = 12


class Blend(nn.Module):
    """A latent is how much of each of a few avatars is in the picture: linear, so invertible."""

    def __init__(self, *, bare: bool = False):
        super().__init__()
        faces = having("glasses", BASIS)
        if bare:
            faces = faces.counterfactual(glasses=False)
        pictures = avatars.draw(faces, size=32)
        self.basis = nn.Parameter(pictures)
        self.latent_shape = (BASIS,)

    def forward(self, latents: Tensor) -> Tensor:
        return torch.einsum("nk,kchw->nchw", latents.softmax(1), self.basis)


def blend(*, bare: bool = False) -> Generator:
    return Generator(Blend(bare=bare), GeneratorSpec("blend", {}, (BASIS,), (3, 32, 32)))


def test_inversion_finds_latents_that_draw_the_picture() -> None:
    generator = blend()
    wanted = draw(generator, generator.sample_latents(6, torch.Generator().manual_seed(9)))
    start = invert(generator, wanted, steps=0)
    found = invert(generator, wanted, steps=120)
    assert (found.l1 < 0.5 * start.l1).all()
    assert found.l1.max() < 0.02
    torch.testing.assert_close(found.images, draw(generator, found.latents))
    torch.testing.assert_close(found.l1, (found.images - wanted).abs().mean(dim=(1, 2, 3)))


def test_a_generator_without_glasses_is_nearer_to_the_counterfactual() -> None:
    original, perfect = blend(), blend(bare=True)
    nothing = counterfactuals(original, original, "glasses", n=BASIS, steps=60)
    torch.testing.assert_close(nothing.reached, nothing.unchanged)
    assert nothing.summary()["nearer"] == 0
    done = counterfactuals(original, perfect, "glasses", n=BASIS, steps=60)
    torch.testing.assert_close(done.floor, nothing.floor)
    assert done.summary()["nearer"] == BASIS
    collapsed = blend()
    collapsed.module.basis.data[:] = collapsed.module.basis.mean(0)  # type: ignore[union-attr, operator]
    worse = counterfactuals(original, collapsed, "glasses", n=BASIS, steps=60)
    assert worse.reached.mean() > done.reached.mean()


def test_counterfactuals_need_an_attribute_and_avatars() -> None:
    with pytest.raises(UserError, match="did you mean"):
        counterfactuals(blend(), blend(), "glases")
    grey = Generator(
        nn.Sequential(nn.Linear(4, 64), nn.Tanh()), GeneratorSpec("x", {}, (4,), (1, 8, 8))
    )
    with pytest.raises(UserError, match="square and RGB"):
        counterfactuals(grey, grey, "glasses")


class Truth(nn.Module):
    """Two attributes: a bright left half, a bright right half."""

    def forward(self, images: Tensor) -> Tensor:
        half = images.shape[3] // 2
        left = images[..., :half].mean(dim=(1, 2, 3))
        right = images[..., half:].mean(dim=(1, 2, 3))
        return torch.stack([left, right], dim=1)


def test_collateral_counts_the_attributes_that_differ() -> None:
    judge = AttributeJudge(Truth(), "truth", ("left", "right"))
    before = torch.full((40, 3, 8, 8), -0.5)
    after = before.clone()
    assert collateral(judge, before, after).changed == 0
    after[:10, :, :, :4] = 0.5
    after[:4, :, :, 4:] = 0.5
    found = collateral(judge, before, after)
    assert found.changed == pytest.approx(14 / 40)
    assert found.shares["left"].value == 0.25
    assert found.shares["right"].low < 0.1 < found.shares["right"].high
    only = collateral(judge, before, after, leave_out=("left",))
    assert (only.attributes, only.changed) == (1, 0.1)


def test_precision_and_recall_know_good_from_bad() -> None:
    random = torch.Generator().manual_seed(0)
    real = torch.randn(2500, 8, generator=random)
    same = torch.randn(2500, 8, generator=random)
    precision, recall = precision_recall(real, same)
    assert min(precision, recall) > 0.8
    narrow = 0.2 * same  # plausible, and nearly all alike
    precision, recall = precision_recall(real, narrow)
    assert precision > 0.95
    assert recall < 0.3
    far = same + 20
    assert precision_recall(real, far) == (0, 0)


def test_precision_is_the_definition_computed_directly() -> None:
    random = torch.Generator().manual_seed(1)
    real, made = torch.randn(30, 3, generator=random), torch.randn(20, 3, generator=random)
    hits = 0
    for point in made:
        for i, member in enumerate(real):
            others = torch.cat([real[:i], real[i + 1 :]])
            radius = (others - member).norm(dim=1).sort().values[2]
            if (point - member).norm() <= radius:
                hits += 1
                break
    assert precision_recall(real, made)[0] == pytest.approx(hits / 20)
