"""Several methods on the same latents: known-bad models are told from good ones."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from unfeature.evaluate import Extractor
from unfeature.evaluate.contest import Jury, Sight, beyond, held_against, measure
from unfeature.evaluate.criteria import decide, overall
from unfeature.generator import Generator, draw
from unfeature.labelers import FunctionLabeler
from unfeature.labelers.classifier import AttributeJudge
from unfeature.methods import METHODS, Problem, Rejection


@pytest.fixture
def halves(toy_folder: object) -> nn.Module:
    """Attributes: a bright left half, a bright right half."""
    import toymodel

    module: nn.Module = toymodel.Halves()
    return module


@pytest.fixture
def jury(toy: Generator, corner: FunctionLabeler, halves: nn.Module) -> Jury:
    pixels = Extractor("pixels", nn.Flatten())
    images = draw(toy, toy.latents_from_seeds(range(20_000, 21_000)))
    wanted, _ = pixels(images[corner.score(images) <= 0])
    judge = AttributeJudge(halves, "halves", ("left", "right"))
    return Jury(corner, judge, ("left",), pixels, wanted)


@pytest.fixture
def before(toy: Generator, jury: Jury) -> Sight:
    return jury.look(draw(toy, toy.latents_from_seeds(range(800))))


def test_good_untrained_original_and_collapsed_are_told_apart(
    toy: Generator, corner: FunctionLabeler, labels: object, jury: Jury, before: Sight
) -> None:
    good = METHODS["rejection"].run(Problem(toy, labels, corner), Rejection())  # type: ignore[arg-type]
    untrained = toy.copy()
    for parameter in untrained.module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(9))
    collapsed = toy.copy()
    collapsed.module[0].weight.data.zero_()  # type: ignore[index, union-attr]
    latents = toy.latents_from_seeds(range(800))
    found = {
        name: measure(jury, before, jury.look(draw(generator, latents)), paired=True)
        for name, generator in (
            ("original", toy),
            ("good", good),
            ("untrained", untrained),
            ("collapsed", collapsed),
        )
    }
    quality = {name: row.quality for name, row in found.items()}
    assert found["original"].target.value > 0.15
    assert found["good"].target.value == 0
    for name in ("untrained", "collapsed"):
        bad, good_ = quality[name], quality["good"]
        assert bad is not None
        assert good_ is not None
        assert bad.fid > 3 * good_.fid
        assert bad.kid > good_.kid + 0.01
        assert bad.coverage < good_.coverage / 2
        assert bad.precision < good_.precision / 2
        assert bad.recall < good_.recall / 2
        assert bad.density < good_.density - 0.2
        l1, other = found[name].l1, found["good"].l1
        assert l1 is not None
        assert other is not None
        assert l1.low > other.high + 0.1
        lacking, having = found[name].lacking, found[name].having
        assert lacking is not None
        assert having is not None
        assert lacking.changed.low > 0.05
        assert having.changed.low > 0.05
        assert list(lacking.changes) == ["right"]  # "left" is left out
    assert quality["collapsed"] is not None
    assert quality["good"] is not None
    assert quality["collapsed"].diversity == pytest.approx(0, abs=1e-3)
    # one picture is one class; an untrained generator it does not tell, since it asks for no data
    assert quality["collapsed"].inception_score == pytest.approx(1)
    assert quality["good"].inception_score > 1.1
    original = found["original"]
    assert original.lacking is not None
    assert original.lacking.changed.value == 0
    # limits refuse all three
    assert quality["good"] is not None
    limits = {"target_ratio": 0.05, "negatives_l1": 0.05, "fid": 2 * quality["good"].fid}
    outcomes, failed = {}, {}
    for name, row in found.items():
        assert row.l1 is not None
        assert row.quality is not None
        target, l1, fid = row.target, row.l1, row.quality.fid
        figures = {
            "target_ratio": (target.value, target.low, target.high, target.n),
            "negatives_l1": (l1.value, l1.low, l1.high, l1.n),
            "fid": (fid, fid, fid, target.n),
        }
        decided = decide(limits, figures)
        outcomes[name] = overall(decided)
        failed[name] = {one.name for one in decided if one.outcome == "fail"}
    assert outcomes.pop("good") == "pass"
    assert set(outcomes.values()) == {"fail"}
    assert failed["original"] == {"target_ratio"}  # it changed nothing, and draws well
    assert failed["collapsed"] >= {"negatives_l1", "fid"}
    assert failed["untrained"] >= {"negatives_l1", "fid"}


def test_of_classes_the_share_that_changed_counts(
    toy: Generator, corner: FunctionLabeler, halves: nn.Module, before: Sight
) -> None:
    judge = AttributeJudge(halves, "halves", ("left", "right"), exclusive=True)
    jury = Jury(corner, judge)
    before = jury.look(before.images)
    images = before.images.clone()
    lacking = (~before.shows).nonzero().squeeze(1)
    images[lacking[:40]] = images[lacking[:40]].flip(3)  # the brighter half is the other now
    after = jury.look(images)
    found = measure(jury, before, after, paired=True).lacking
    assert found is not None
    assert found.exclusive
    assert found.changed.value == pytest.approx(40 / len(lacking))
    for row in found.changes.values():
        assert row.share.value == found.changed.value
    assert 0 < found.changed.low < found.changed.value < found.changed.high < 1
    everything = jury.look(before.images[lacking].flip(3))
    whole = measure(jury, jury.look(before.images[lacking]), everything, paired=True).lacking
    assert whole is not None
    assert whole.changed.value == 1
    assert whole.changed.low < 1  # a share, and not a count whose spread is nought
    duel = held_against(before, after, before, paired=True)
    assert duel.changed is not None
    assert duel.changed.value == pytest.approx(40 / len(lacking))
    same = measure(jury, before, before, paired=True).lacking
    assert same is not None
    assert same.changed.value == 0


def test_a_better_method_is_found_better_and_an_equal_one_equal(
    toy: Generator, jury: Jury, before: Sight
) -> None:
    images = before.images.clone()
    images[before.shows, :, :8, :8] = -1.0
    ours = jury.look(images)
    duel = held_against(before, ours, before, paired=True)
    assert duel.target.high < 0
    assert duel.p_target < 1e-6
    assert duel.l1 is not None
    assert duel.l1.value == 0  # both leave the others as they were
    assert duel.p_l1 == 1
    same = held_against(before, before, before, paired=True)
    assert (same.p_target, same.p_changed, same.target.value) == (1, 1, 0)
    moved = jury.look((before.images * 0.5).clamp(-1, 1))
    worse = held_against(before, moved, before, paired=True)
    assert worse.l1 is not None
    assert worse.l1.low > 0
    assert worse.p_l1 is not None
    assert worse.p_l1 < 1e-6


def test_a_closer_look_sees_what_the_judge_lets_pass(
    corner: FunctionLabeler, jury: Jury, before: Sight
) -> None:
    images = before.images.clone()
    score = corner.fn(images)[before.shows]
    images[before.shows, :, :8, :8] *= (0.75 * corner.threshold / score)[:, None, None, None]
    after = jury.look(images)
    closer = replace(corner, threshold=corner.threshold / 2)
    found = measure(replace(jury, closer=closer), before, after, paired=True)
    assert found.target.value == 0
    assert found.rests is not None
    assert found.rests.value == 1
    assert found.rests.n == int(before.shows.sum())
    assert measure(jury, before, after, paired=True).rests is None
    assert measure(replace(jury, closer=closer), before, after, paired=False).rests is None


def test_other_latents_are_not_paired(jury: Jury, before: Sight) -> None:
    found = measure(jury, before, before, paired=False)
    assert (found.l1, found.msssim, found.having, found.lacking) == (None, None, None, None)
    assert found.quality is not None
    assert held_against(before, before, before, paired=False).l1 is None


def test_the_front() -> None:
    assert beyond((0.01, 0.02), (0.05, 0.03))
    assert beyond((0.01, 0.05), (0.05, 0.03))
    assert beyond((0.05, 0.03), (0.05, 0.03))
    assert not beyond((0.06, 0.03), (0.05, 0.03))
    assert not beyond((0.05, 0.04), (0.05, 0.03))
