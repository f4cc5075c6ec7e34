"""Attributes that must stay as they are while the feature goes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from unfeature.config import UnlearnConfig
from unfeature.erase import ImageEraser, SearchPath
from unfeature.errors import UserError
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labelers.classifier import ClassifierLabeler
from unfeature.labelers.keeping import keeping
from unfeature.labels import LatentSet
from unfeature.loss import Question, asked_loss
from unfeature.search import SURE, strayed
from unfeature.settings import check_experiment
from unfeature.sharpen import look_closely
from unfeature.target import TargetVector
from unfeature.unlearn import unlearn


class Halves(nn.Module):
    """How bright the upper and the lower half are, and the left, as log-odds."""

    def forward(self, images: Tensor) -> Tensor:
        halves = images[:, 0, :8], images[:, 0, 8:], images[:, 0, :, :8]
        return 40 * torch.stack([half.mean(dim=(1, 2)) for half in halves], dim=1)


@pytest.fixture
def judge() -> ClassifierLabeler:
    names = ("upper", "lower", "left")
    return ClassifierLabeler(
        Halves(), "halves", 0, target_name="upper", independent=True, names=names
    )


def test_what_has_strayed() -> None:
    kept = torch.tensor([[1.0, -5.0], [-0.5, 3.0]])
    odds = torch.tensor([[0.25, -SURE], [-0.75, -1.0]])
    torch.testing.assert_close(strayed(odds, kept), torch.tensor([0.75, SURE + 1.0]))
    assert torch.equal(strayed(kept, kept), torch.zeros(2))
    assert torch.equal(strayed(kept[:, :0], kept[:, :0]), torch.zeros(2))


@pytest.mark.parametrize("path", ["descent", "donors"])
@pytest.mark.parametrize("approaches", [0, 12])
def test_kept_attributes_change_less(
    path: SearchPath, approaches: int, judge: ClassifierLabeler, toy: Generator, labels: LatentSet
) -> None:
    latents = toy.sample_latents(400, torch.Generator().manual_seed(7))
    before = judge.module(toy(latents))
    asked = replace(judge, temperature=before[:, 0].std().item())
    shown = before[:, 0] > 0
    assert 0.2 < shown.float().mean() < 0.8

    def outcome(names: tuple[str, ...]) -> tuple[float, float]:
        """Share of erased pictures that still show the feature; how far 'left' has strayed."""
        keeper = keeping(asked, names)
        eraser = ImageEraser(
            toy,
            keeper,
            TargetVector.fit(labels),
            path=path,
            pictures=400,
            margin=0.5,
            descents=40,
            towards=toy if approaches else None,
            approaches=approaches,
        )
        after = judge.module(toy(eraser.erase(latents[shown]).latents))
        away = strayed(after[:, 2:], before[shown, 2:])
        return (after[:, 0] > 0).float().mean().item(), away.mean().item()

    left, free = outcome(())
    left_kept, kept = outcome(("left",))
    assert left == left_kept == 0
    assert free > 0.5
    assert kept < 0.9 * free


def test_one_pass_sees_both(judge: ClassifierLabeler, toy: Generator) -> None:
    images = toy(toy.sample_latents(8, torch.Generator().manual_seed(1)))
    asked = replace(keeping(judge, ("left", "lower")), threshold=1.0, temperature=2.0)
    assert isinstance(asked, ClassifierLabeler)
    scores, odds = asked.look(images)
    wanted = Halves()(images)
    torch.testing.assert_close(scores, (wanted[:, 0] - 1) / 2)
    torch.testing.assert_close(odds, wanted[:, [2, 1]])
    assert torch.equal(asked.score(images), scores)
    assert judge.look(images)[1].shape == (8, 0)
    assert keeping(judge, ()) is judge


def test_what_the_labeller_adds_to_the_loss_is_each_pictures_own(judge: ClassifierLabeler) -> None:
    random = torch.Generator().manual_seed(3)
    drawn, taught = torch.rand(2, 9, 1, 16, 16, generator=random) * 0.2 - 0.1
    sim = torch.arange(9) % 3 == 0
    asked = keeping(judge, ("left", "lower"))
    question = Question(asked, gone=1.0, keep=1.0)
    found = asked_loss(question, drawn, *question.answer(taught, sim), sim, alpha=0.5)
    total = more = 0.0
    for a, b, edited in zip(drawn, taught, sim, strict=True):
        odds, kept = (Halves()(picture[None])[0, [2, 1]] for picture in (a, b))
        total += (0.5 if edited else 1.0) * float(strayed(odds, kept))
        more += 0.5 * float(edited) * max(0.0, float(asked.score(a[None]) - asked.score(b[None])))
    assert total > 0
    assert more > 0
    assert float(found.keep) == pytest.approx(total / 9, rel=1e-5)
    assert float(found.gone) == pytest.approx(more / 9, rel=1e-5)
    sharp = replace(question, sharpen=2.0)
    closely = asked_loss(sharp, drawn, *sharp.answer(taught, sim), sim, alpha=0.5)
    every, some = (look_closely(asked, drawn, 2.0, where)[0] for where in (None, sim))
    torch.testing.assert_close(some[sim], every[sim])
    torch.testing.assert_close(some[~sim], asked.score(drawn)[~sim])
    assert torch.equal(closely.keep, found.keep)
    assert not torch.equal(closely.gone, found.gone)


def test_attributes_kept_in_the_loss_stray_less(
    judge: ClassifierLabeler, toy: Generator, labels: LatentSet
) -> None:
    latents = toy.sample_latents(400, torch.Generator().manual_seed(7))
    spread = judge.module(toy(latents))[:, 0].std().item()
    asked = keeping(replace(judge, temperature=spread), ("left",))
    eraser = ImageEraser(toy, asked, TargetVector.fit(labels), path="descent", margin=0.7)

    def left_alone(keep: float) -> float:
        """How far 'left' is from the teacher's in g's pictures."""
        config = UnlearnConfig(
            steps=60, batch_size=32, pool=4, reuse=2, check_every=100, average=0.5, keep=keep
        )
        *_, last = unlearn(toy, eraser, config, labeler=asked)
        taught = toy(eraser(latents))
        return float(
            strayed(asked.look(draw(last.generator, latents))[1], asked.look(taught)[1]).mean()
        )

    assert left_alone(0.05) < 0.9 * left_alone(0.0)


def test_less_is_left_when_the_labeller_is_asked_of_it(
    judge: ClassifierLabeler, toy: Generator, labels: LatentSet
) -> None:
    latents = toy.sample_latents(400, torch.Generator().manual_seed(7))
    asked = replace(judge, temperature=judge.module(toy(latents))[:, 0].std().item())
    eraser = ImageEraser(toy, asked, TargetVector.fit(labels), path="descent", margin=0.2)

    def left(gone: float) -> float:
        config = UnlearnConfig(
            steps=60, batch_size=32, pool=4, reuse=2, check_every=100, average=0.5, gone=gone
        )
        *_, last = unlearn(toy, eraser, config, labeler=asked)
        assert (last.gone > 0) == (gone > 0)
        return (asked.score(draw(last.generator, latents)) > 0).float().mean().item()

    assert left(0.5) < 0.7 * left(0.0)


def test_asking_in_the_loss_needs_a_labeller_and_attributes(
    judge: ClassifierLabeler, toy: Generator, labels: LatentSet
) -> None:
    eraser = ImageEraser(toy, judge, TargetVector.fit(labels), path="descent")
    config = UnlearnConfig(steps=1, batch_size=8, keep=0.01)
    for weighed in (config, config.model_copy(update={"keep": 0.0, "gone": 0.1})):
        with pytest.raises(UserError, match="needs a labeller that a program can call"):
            next(unlearn(toy, eraser, weighed))
    with pytest.raises(UserError, match=r"sees other attributes; 'classifier halves.*' sees none"):
        next(unlearn(toy, eraser, config, labeler=judge))


def test_what_cannot_be_kept(judge: ClassifierLabeler, corner: FunctionLabeler) -> None:
    with pytest.raises(UserError, match=r"no attribute 'lowr'.*'lower'"):
        keeping(judge, ("lowr",))
    with pytest.raises(UserError, match="'upper' would be kept, which is the feature itself"):
        keeping(judge, ("upper",))
    with pytest.raises(UserError, match=r"knows no attribute 'lower'; known: none"):
        keeping(corner, ("lower",))
    generator = {"source": "digits-gan"}
    values = {"feature": "a", "generator": generator, "erase": {"keep": ["x"], "path": "line"}}
    label = {"by": "classifier", "classifier": "avatars-judge", "target": "hat"}
    with pytest.raises(UserError, match=r"erase\.keep needs erase\.path = 'descent'"):
        check_experiment({**values, "label": label}, where="here")
    free = {"feature": "a", "generator": generator, "label": label, "unlearn": {"keep": 0.1}}
    with pytest.raises(UserError, match=r"unlearn\.keep is a weight; name the attributes"):
        check_experiment(free, where="here")
