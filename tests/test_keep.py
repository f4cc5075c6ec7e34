"""Attributes that must stay as they are while the feature goes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from unfeature.erase import ImageEraser, SearchPath
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.labelers import FunctionLabeler
from unfeature.labelers.classifier import ClassifierLabeler, keeping
from unfeature.labels import LatentSet
from unfeature.search import SURE, strayed
from unfeature.settings import check_experiment
from unfeature.target import TargetVector


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


def test_what_cannot_be_kept(judge: ClassifierLabeler, corner: FunctionLabeler) -> None:
    with pytest.raises(UserError, match=r"no attribute 'lowr'.*'lower'"):
        keeping(judge, ("lowr",))
    with pytest.raises(UserError, match="'upper', which is the feature itself"):
        keeping(judge, ("upper",))
    with pytest.raises(UserError, match=r"knows no attribute 'lower'; known: none"):
        keeping(corner, ("lower",))
    generator = {"source": "digits-gan"}
    values = {"feature": "a", "generator": generator, "erase": {"keep": ["x"], "path": "line"}}
    label = {"by": "classifier", "classifier": "avatars-judge", "target": "hat"}
    with pytest.raises(UserError, match=r"erase\.keep needs erase\.path = 'descent'"):
        check_experiment({**values, "label": label}, where="here")
