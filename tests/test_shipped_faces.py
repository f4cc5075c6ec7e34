"""The avatar judges that are shipped: they see what is there, and nothing where nothing is."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from unfeature import avatars
from unfeature.adapters.sources import load_attribute_judge
from unfeature.avatars import LIFE, NAMES
from unfeature.labelers.classifier import AttributeJudge

JUDGES = ("avatars-judge", "avatars-referee")
FRESH = 80_000_000


@pytest.fixture(scope="module", params=JUDGES)
def judge(request: pytest.FixtureRequest) -> AttributeJudge:
    return load_attribute_judge(request.param)


def test_the_two_judges_are_of_different_architectures() -> None:
    first, second = (load_attribute_judge(name).module for name in JUDGES)
    assert type(first) is not type(second)


def test_a_judge_tells_every_attribute(judge: AttributeJudge) -> None:
    data = avatars.dataset(2000, start=FRESH)
    assert judge.names == NAMES
    answers = judge(data.images)
    for k, name in enumerate(NAMES):
        truth = data.labels[:, k]
        having = answers[truth, k].float().mean()
        lacking = (~answers[~truth, k]).float().mean()
        assert (having + lacking) / 2 >= 0.97, name


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
