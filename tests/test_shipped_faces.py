"""The avatar judges and generators that are shipped: the judges see what is there, and nothing
where nothing is; the StyleGAN2 draws every attribute as often as life."""

from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score

import unfeature as uf
from unfeature import avatars
from unfeature.adapters.sources import load_attribute_judge
from unfeature.avatars import LIFE, NAMES
from unfeature.datasets import AttributeSet
from unfeature.generator import draw
from unfeature.labelers.classifier import AttributeJudge
from unfeature.training.calibration import calibration_error

JUDGES = ("avatars-judge", "avatars-referee")
FRESH = 80_000_000


@pytest.fixture(scope="module", params=JUDGES)
def judge(request: pytest.FixtureRequest) -> AttributeJudge:
    return load_attribute_judge(request.param)


def test_the_two_judges_are_of_different_architectures() -> None:
    first, second = (load_attribute_judge(name).module for name in JUDGES)
    assert type(first) is not type(second)


@pytest.fixture(scope="module")
def known() -> AttributeSet:
    return avatars.dataset(2000, start=FRESH)


@pytest.fixture(scope="module")
def logits(judge: AttributeJudge, known: AttributeSet) -> torch.Tensor:
    return judge.logits(known.images)


def test_a_judge_tells_every_attribute(
    judge: AttributeJudge, known: AttributeSet, logits: torch.Tensor
) -> None:
    assert judge.names == NAMES
    answers = logits > 0
    for k, name in enumerate(NAMES):
        truth = known.labels[:, k]
        having = answers[truth, k].float().mean()
        lacking = (~answers[~truth, k]).float().mean()
        assert (having + lacking) / 2 >= 0.97, name


def test_a_judge_is_as_sure_as_it_is_right(known: AttributeSet, logits: torch.Tensor) -> None:
    errors = calibration_error(logits, known.labels)
    assert errors.max() < 0.02
    assert (calibration_error(logits / 4, known.labels) > errors).all()  # one that is lukewarm


def test_a_judge_cannot_tell_what_is_switched_off(judge: AttributeJudge) -> None:
    faces = avatars.sample(range(FRESH, FRESH + 1500), table=LIFE.without_correlations())
    k = NAMES.index("glasses")
    truth = faces.having("glasses")
    shown = judge.logits(avatars.draw(faces))[:, k]
    hidden = judge.logits(avatars.draw(faces.counterfactual(glasses=False)))[:, k]
    assert roc_auc_score(truth, shown) > 0.99
    yes, no = int(truth.sum()), int((~truth).sum())
    deviation = ((yes + no + 1) / (12 * yes * no)) ** 0.5  # of the AUC where nothing can be told
    assert abs(roc_auc_score(truth, hidden) - 0.5) < 4 * deviation


def test_a_judge_sees_the_counterfactual(judge: AttributeJudge) -> None:
    """One attribute is flipped; the judge sees that one change, and hardly another."""
    faces = avatars.sample(range(FRESH, FRESH + 600)).counterfactual(glasses=True)
    before = judge(avatars.draw(faces))
    after = judge(avatars.draw(faces.counterfactual(glasses=False)))
    differ = (before != after).float().mean(0)
    assert differ[NAMES.index("glasses")] > 0.98
    entailed = {"glasses", "sunglasses"}
    others = torch.stack([differ[k] for k, name in enumerate(NAMES) if name not in entailed])
    assert others.max() < 0.05


@pytest.mark.parametrize("name", ["avatars-stylegan2", "avatars-vae"])
def test_a_generator_draws_every_attribute_as_often_as_life(name: str) -> None:
    generator = uf.load(name)
    judge = load_attribute_judge("avatars-referee")
    images = draw(generator, generator.latents_from_seeds(range(2000)))
    assert images.shape[1:] == (3, 64, 64)
    shares = judge(images).double().mean(0)
    for attribute, share in zip(NAMES, shares.tolist(), strict=True):
        life = LIFE.shares()[attribute]
        deviation = (life * (1 - life) / 2000) ** 0.5
        low, high = life * 2 / 3 - 3 * deviation, life * 4 / 3 + 3 * deviation
        assert low < share < high, attribute


def test_what_is_shipped_is_small() -> None:
    zoo = Path(uf.__file__).parent / "zoo"
    assert sum(path.stat().st_size for path in zoo.rglob("*.safetensors")) < 25e6
