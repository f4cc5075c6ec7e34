"""What another classifier sees is kept while a labeller's feature goes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unfeature.adapters.files import read_json
from unfeature.adapters.sources import load, load_attribute_judge
from unfeature.cli import main
from unfeature.erase import ImageEraser
from unfeature.errors import UserError
from unfeature.generator import Generator, draw
from unfeature.keeper import require_keeper, with_keeper
from unfeature.labelers import FunctionLabeler
from unfeature.labelers.base import look
from unfeature.labelers.classifier import AttributeJudge, ClassifierLabeler
from unfeature.labelers.keeping import Beside, keeping
from unfeature.labels import LatentSet
from unfeature.run import run_experiment
from unfeature.settings import check_experiment, read_experiment
from unfeature.target import TargetVector


class Quarters(nn.Module):
    """Classes: the brightest of the quarters but the one whose brightness is the feature."""

    def forward(self, images: Tensor) -> Tensor:
        quarters = images[:, 0, :8, 8:], images[:, 0, 8:, :8], images[:, 0, 8:, 8:]
        return 20 * torch.stack([quarter.mean(dim=(1, 2)) for quarter in quarters], dim=1)


@pytest.fixture
def keeper() -> AttributeJudge:
    return AttributeJudge(Quarters(), "quarters", ("ne", "sw", "se"), exclusive=True)


def test_the_class_is_kept_while_the_feature_goes(
    keeper: AttributeJudge, corner: FunctionLabeler, toy: Generator, labels: LatentSet
) -> None:
    latents = toy.sample_latents(1500, torch.Generator().manual_seed(7))
    before = draw(toy, latents)
    shown = corner.score(before) > 0

    def outcome(labeler: FunctionLabeler | Beside) -> tuple[float, float]:
        """Share of erased pictures that still show the feature, and that changed their class."""
        target = TargetVector.fit(labels)
        asked = keeping(labeler, ())
        eraser = ImageEraser(toy, asked, target, path="descent", margin=0.5, descents=40)
        after = draw(toy, eraser.erase(latents[shown]).latents)
        changed = (keeper(after) != keeper(before[shown])).any(1)
        return (corner.score(after) > 0).float().mean().item(), changed.float().mean().item()

    left, free = outcome(corner)
    left_kept, kept = outcome(Beside(corner, keeper))
    assert left == 0
    assert left_kept < 0.01
    assert free > 0.15
    assert kept < 0.7 * free


def test_a_keeper_says_the_odds_of_what_is_named(
    keeper: AttributeJudge, corner: FunctionLabeler, toy: Generator
) -> None:
    images = draw(toy, toy.sample_latents(8, torch.Generator().manual_seed(1)))
    beside = Beside(corner, keeper)
    p = Quarters()(images).softmax(1)
    for names, wanted in (((), [0, 1, 2]), (("se", "ne"), [2, 0])):
        asked = keeping(beside, names)
        scores, odds = look(asked, images)
        assert torch.equal(scores, corner.score(images))
        torch.testing.assert_close(odds, (p / (1 - p)).log()[:, wanted], rtol=1e-3, atol=1e-3)
    assert beside.name == corner.name
    with pytest.raises(UserError, match=r"'quarters' knows no class 'nw'.*known: ne, sw, se"):
        keeping(beside, ("nw",))


def test_the_feature_itself_is_not_kept(keeper: AttributeJudge) -> None:
    labeler = ClassifierLabeler(Quarters(), "other", 2, target_name="se")
    with pytest.raises(UserError, match="'se' would be kept, which is the feature itself"):
        keeping(Beside(labeler, keeper), ())
    found = keeping(Beside(labeler, keeper), ("sw", "ne"))
    assert isinstance(found, Beside)
    assert found.keep == (1, 0)
    attributes = replace(keeper, exclusive=False)
    with pytest.raises(UserError, match=r"sees ne, sw, se; name under erase\.keep which of them"):
        keeping(Beside(labeler, attributes), ())


def settings(**erase: Any) -> dict[str, Any]:
    label = {"by": "function", "function": "unfeature.features.digits:thickness", "share": 0.2}
    generator = {"source": "digits-gan"}
    return {"feature": "a", "generator": generator, "label": label, "erase": erase}


def test_settings_with_a_keeper(corner: FunctionLabeler) -> None:
    good = settings(path="descent", keeper="digits-judge")
    experiment = check_experiment({**good, "unlearn": {"keep": 0.01}}, where="here")
    gate = with_keeper(experiment, corner)
    assert isinstance(gate, Beside)
    assert gate.keeper.exclusive
    free = check_experiment(settings(path="descent"), where="here")
    assert with_keeper(free, corner) is corner
    with pytest.raises(UserError, match=r"erase\.keeper needs erase\.path = 'descent' or 'don"):
        check_experiment(settings(path="line", keeper="digits-judge"), where="here")
    with pytest.raises(UserError, match=r"or an erase\.keeper that sees the attributes"):
        check_experiment(settings(path="descent", keep=["3"]), where="here")


def test_a_keeper_is_tried_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = torch.zeros(2, 1, 28, 28)

    def tried(images: Tensor = pictures, **erase: Any) -> None:
        require_keeper(check_experiment(settings(path="descent", **erase), where="here"), images)

    tried()
    tried(keeper="digits-judge", keep=["3", "7"])
    judge = load_attribute_judge("digits-judge", classes=True)
    with pytest.raises(UserError, match="'digits-judge' also judges what else changed"):
        require_keeper(
            check_experiment(settings(path="descent", keeper="digits-judge"), where="here"),
            pictures,
            judge,
        )
    with pytest.raises(UserError, match="'digits-judge' knows no class 'three'"):
        tried(keeper="digits-judge", keep=["three"])
    with pytest.raises(UserError, match=r"erase\.keeper.*did you mean 'digits-judge'"):
        tried(keeper="digits-juge")
    with pytest.raises(UserError, match="does not take images of"):
        tried(torch.zeros(2, 3, 64, 64), keeper="digits-judge")
    monkeypatch.setattr(type(judge.module), "forward", lambda self, x: x.new_zeros(len(x), 10))
    with pytest.raises(UserError, match=r"cannot be differentiated, which erase\.path = 'descent'"):
        tried(keeper="digits-judge")


KINDS = """
import torch
from torch import nn


class Kinds(nn.Module):
    \"\"\"The brightest of three quarters; seen twice as clearly by `again`.\"\"\"

    classes = ("ne", "sw", "se")

    def __init__(self, gain=20.0):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, images):
        quarters = images[:, 0, :8, 8:], images[:, 0, 8:, :8], images[:, 0, 8:, 8:]
        return self.gain * torch.stack([quarter.mean(dim=(1, 2)) for quarter in quarters], dim=1)


def again():
    return Kinds(40.0)
"""


def test_a_run_with_a_keeper_and_a_closer_look_at_the_attack(
    toml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("quartered.py").write_text(KINDS)
    monkeypatch.syspath_prepend(".")
    examined = "evaluate.attributes=quartered:Kinds"
    shares = []
    for name, keeper in (("free", ""), ("kept", "quartered:again")):
        run = run_experiment(
            read_experiment(
                toml,
                [
                    examined,
                    f"erase.keeper={keeper!r}",
                    "unlearn.steps=150",
                    "evaluate.n=1500",
                    *(["unlearn.keep=0.05"] if keeper else []),
                    "evaluate.closely={by='function', function='toymodel:corner', share=0.4}",
                    "attack={n=40, steps=3, restarts=1, epsilons=[0.5]}",
                ],
            ),
            name,
        )
        row = read_json(run.path / "examination.json")["collateral"]["had it"]
        assert row["exclusive"]
        shares.append(row["changed"]["value"])
    assert shares[1] < shares[0]
    page = run.report.read_text()
    assert "What else changed" in page
    assert "pictures that had it: another class in" in page
    assert main(["attack", "kept", "--quiet"]) == 0
    found = read_json(run.attack)
    assert "corner" in found["closer"]
    for generator in found["generators"].values():
        (point,) = generator["gradient"]
        assert point["rests"]["value"] >= point["judged"]["value"]
    with pytest.raises(UserError, match="'quartered:Kinds' also judges what else changed"):
        run_experiment(
            read_experiment(
                toml, ["evaluate.attributes=quartered:Kinds", "erase.keeper=quartered:Kinds"]
            ),
            "same",
        )
    with pytest.raises(UserError, match=r"evaluate\.leave_out names attributes, and 'qua"):
        run_experiment(
            read_experiment(
                toml, ["evaluate.attributes=quartered:Kinds", "evaluate.leave_out=['ne']"]
            ),
            "left out",
        )


def test_the_shipped_keeper_and_judge_are_two_and_mostly_agree() -> None:
    f = load("digits-gan")
    pictures = draw(f, f.latents_from_seeds(range(500)))
    judge, keeper = (
        load_attribute_judge(name, classes=True) for name in ("digits-judge", "digits-keeper")
    )
    assert type(judge.module) is not type(keeper.module)
    assert (judge(pictures) == keeper(pictures)).all(1).double().mean() > 0.8
