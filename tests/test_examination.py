"""Inversion, distance to counterfactuals, collateral, precision and recall."""

import pytest
import torch
from torch import Tensor, nn

from unfeature import avatars, load_judge
from unfeature.errors import UserError
from unfeature.evaluate.collateral import collateral
from unfeature.evaluate.counterfactual import counterfactuals, having
from unfeature.evaluate.manifold import manifold
from unfeature.evaluate.verdict import Pairs
from unfeature.examination import rests
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
    with pytest.raises(UserError, match="RGB and square"):
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
    assert collateral(judge, before, after).changed.value == 0
    after[:10, :, :, :4] = 0.5
    after[:4, :, :, 4:] = 0.5
    found = collateral(judge, before, after)
    assert found.changed.value == pytest.approx(14 / 40)
    left, right = found.changes["left"], found.changes["right"]
    assert (left.share.value, left.before, left.after) == (0.25, 0, 0.25)
    assert right.share.low < 0.1 < right.share.high
    # ten gained and none lost: 2 · 2⁻¹⁰, the smallest of two, so doubled; four of four: 2 · 2⁻⁴
    assert left.q == pytest.approx(2 * 2 * 2**-10)
    assert right.q == pytest.approx(2 * 2**-4)
    only = collateral(judge, before, after, leave_out=("left",))
    assert (only.attributes, only.changed.value) == (1, pytest.approx(0.1))
    assert only.changes["right"].share.low > right.share.low  # looked at alone, it is surer


def test_an_attribute_that_comes_as_often_as_it_goes_has_not_become_more_frequent() -> None:
    judge = AttributeJudge(Truth(), "truth", ("left", "right"))
    before = torch.full((40, 3, 8, 8), -0.5)
    before[:20, :, :, :4] = 0.5
    found = collateral(judge, before, before.flip(0))
    assert found.changes["left"].share.value == 1
    assert found.changes["left"].q == 1


def test_precision_recall_density_and_coverage_know_good_from_bad() -> None:
    random = torch.Generator().manual_seed(0)
    real = torch.randn(2500, 8, generator=random)
    same = torch.randn(2500, 8, generator=random)
    good = manifold(real, same)
    assert min(good.precision, good.recall, good.coverage) > 0.8
    assert good.density == pytest.approx(1, abs=0.1)
    narrow = manifold(real, 0.2 * same)  # plausible, and nearly all alike
    assert narrow.precision > 0.95
    assert max(narrow.recall, narrow.coverage) < 0.3
    far = manifold(real, same + 20)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)
    one = manifold(real, same[:1].repeat(2500, 1))  # collapsed to a single picture
    assert one.coverage < 0.02


def test_the_manifold_is_the_definition_computed_directly() -> None:
    random = torch.Generator().manual_seed(1)
    real, made = torch.randn(30, 3, generator=random), torch.randn(20, 3, generator=random)

    def radius(points: Tensor, i: int, k: int) -> Tensor:
        others = torch.cat([points[:i], points[i + 1 :]])
        return (others - points[i]).norm(dim=1).sort().values[k - 1]

    def inside(point: Tensor, members: Tensor, k: int) -> list[bool]:
        return [
            bool((point - member).norm() <= radius(members, i, k))
            for i, member in enumerate(members)
        ]

    found = manifold(real, made)
    assert found.precision == pytest.approx(sum(any(inside(y, real, 3)) for y in made) / 20)
    assert found.recall == pytest.approx(sum(any(inside(x, made, 3)) for x in real) / 30)
    counts = [sum(inside(y, real, 5)) for y in made]
    assert found.density == pytest.approx(sum(counts) / 20 / 5)
    covered = [any((y - x).norm() <= radius(real, i, 5) for y in made) for i, x in enumerate(real)]
    assert found.coverage == pytest.approx(sum(covered) / 30)


def test_a_closer_look_counts_rests_and_its_own_false_alarms() -> None:
    faces = avatars.sample(range(60), seed=3)
    had = faces.having("glasses")
    before = avatars.draw(faces)
    bare = avatars.draw(faces.counterfactual(glasses=False))
    rests_left = before.clone()
    rests_left[had] = 0.75 * bare[had] + 0.25 * before[had]

    def look(after: Tensor) -> dict[str, dict[str, dict[str, float]]]:
        pairs = Pairs(torch.arange(60), before, before, after, *[had.float() - 0.5] * 4)
        return rests(load_judge("avatars-referee-faint", target="glasses"), pairs, had)

    gone, left = look(bare), look(rests_left)
    assert gone["had it"]["before"]["value"] == 1
    assert gone["had it"]["after"]["value"] < 0.15
    assert left["had it"]["after"]["value"] > 0.85
    assert left["never had it"]["before"] == left["never had it"]["after"]
    assert left["had it"]["after"]["n"] == int(had.sum())
