from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from unfeature.adapters.devices import beside
from unfeature.errors import UserError
from unfeature.features import digits
from unfeature.generator import Generator, draw
from unfeature.labelers import ClassifierLabeler, FunctionLabeler
from unfeature.labelers.distil import distil
from unfeature.labelers.sheet import read_answers, sheets_identity, write_sheets
from unfeature.labels import LatentSet, label, sample_seeds


def test_labels_do_not_depend_on_batch_size(toy: Generator, corner: FunctionLabeler) -> None:
    one = label(toy, 50, by=corner, batch_size=50)
    other = label(toy, 50, by=corner, batch_size=7)
    torch.testing.assert_close(one.scores, other.scores)
    assert torch.equal(label(toy, 20, by=corner).latents, one.latents[:20])


def test_scores_say_what_the_labels_say(toy: Generator, corner: FunctionLabeler) -> None:
    found = label(toy, 400, by=corner, unsure=0.3)
    assert ((found.scores >= 0.3) == (found.labels == 1)).all()
    assert ((found.scores.abs() < 0.3) == (found.labels == 0)).all()
    assert sum(found.counts.values()) == 400
    assert min(found.counts.values()) > 0
    assert len(found.sure()) == 400 - found.counts["unsure"]


def test_share_sets_the_threshold(toy: Generator, labels: LatentSet) -> None:
    import toymodel

    images = draw(toy, labels.latents)
    for side in ("above", "below"):
        by = FunctionLabeler.calibrated(toymodel.corner, "c", images, share=0.1, side=side)  # type: ignore[arg-type]
        assert (by.score(images) > 0).float().mean().item() == pytest.approx(0.1, abs=0.005)
        assert by.score(images).std().item() == pytest.approx(1, abs=1e-4)


def test_save_and_load(labels: LatentSet, tmp_path: Path) -> None:
    labels.save(tmp_path / "mine")
    again = LatentSet.load(tmp_path / "mine")
    for name in ("latents", "labels", "scores", "seeds"):
        assert torch.equal(getattr(again, name), getattr(labels, name))
    assert (again.feature, again.labeled_by, again.generator) == (
        labels.feature,
        labels.labeled_by,
        labels.generator,
    )


def test_split_keeps_the_balance_and_loses_nothing(labels: LatentSet) -> None:
    a, b = labels.split(0.3, torch.Generator().manual_seed(0))
    assert len(a) + len(b) == len(labels)
    assert not set(a.seeds.tolist()) & set(b.seeds.tolist())
    for kind in ("yes", "no"):
        assert a.counts[kind] == pytest.approx(0.3 * labels.counts[kind], abs=1)


def test_merge_lets_the_newer_answer_hold(labels: LatentSet) -> None:
    newer = replace(labels.where(torch.arange(10)), labels=-labels.labels[:10], labeled_by="Ada")
    merged = labels.merge(newer)
    assert len(merged) == len(labels)
    assert torch.equal(merged.labels[-10:], -labels.labels[:10])
    assert merged.labeled_by.endswith("+ Ada")
    with pytest.raises(UserError, match="cannot merge"):
        labels.merge(replace(labels, feature="other"))


def test_one_sided_labels_are_refused(labels: LatentSet) -> None:
    with pytest.raises(UserError, match="only 0 of"):
        labels.where(labels.labels == -1).require_both()
    with pytest.raises(UserError, match="are empty"):
        labels.where(torch.zeros(len(labels), dtype=torch.bool))


def test_bad_functions_are_named(toy: Generator, labels: LatentSet) -> None:
    images = draw(toy, labels.latents[:10])
    for fn, said in (
        (lambda x: x, r"gave \[10, 1, 16, 16\]"),
        (lambda x: torch.full((len(x),), torch.nan), "NaN"),
        (lambda x: torch.ones(len(x)), "same value for all"),
        (lambda x: x @ torch.ones(3), "cannot be called"),
    ):
        with pytest.raises(UserError, match=said):
            FunctionLabeler.calibrated(fn, "mine:fn", images, threshold=0.0)


def test_classifier_odds() -> None:
    images = torch.zeros(1, 1, 4, 4)
    probabilities = torch.tensor([[0.2, 0.7, 0.1]])
    by = ClassifierLabeler(lambda x: probabilities.log(), "three", 1)
    assert by.score(images).item() == pytest.approx(torch.tensor(0.7 / 0.3).log().item(), abs=1e-5)
    one = ClassifierLabeler(lambda x: torch.tensor([[1.5]]), "one", threshold=0.5, temperature=2.0)
    assert one.score(images).item() == pytest.approx(0.5)
    with pytest.raises(UserError, match="no class 3"):
        replace(by, target=3).score(images)
    with pytest.raises(UserError, match=r"does not take images of \[1, 4, 4\]"):
        ClassifierLabeler(nn.Conv2d(3, 2, 3), "rgb").score(images)
    whole = nn.Conv2d(1, 3, 4)  # a logit a class, 1×1 pixels of it
    whole_said = ClassifierLabeler(lambda x: whole(x).flatten(1), "flat", 1).score(images)
    assert torch.equal(ClassifierLabeler(whole, "whole", 1).score(images), whole_said)
    with pytest.raises(UserError, match=r"gives \[1, 3, 2, 2\] for 1 images; it must give a logit"):
        ClassifierLabeler(nn.Conv2d(1, 3, 3), "maps", 1).score(images)

    def picky(images: torch.Tensor) -> torch.Tensor:
        raise ValueError("Input image size doesn't match model")

    with pytest.raises(UserError, match=r"\[1, 4, 4\]: Input image size doesn't match model"):
        ClassifierLabeler(picky, "picky").score(images)


def test_who_labels_follows_the_pictures_to_their_device() -> None:
    module = nn.Linear(4, 2)
    images = torch.zeros(3, 4, device="meta")  # any device that is not the CPU
    assert beside(module, images) is images
    assert module.weight.device == images.device
    here = torch.zeros(3, 4)
    assert beside(module, here).device == images.device  # and stays there
    assert beside(lambda x: x, here) is here


def test_images_are_looked_at_as_they_are_shown() -> None:
    images = torch.linspace(-3, 3, 2 * 16).view(2, 1, 4, 4)
    classifier = ClassifierLabeler(lambda x: x.flatten(1).sum(1), "sum")
    function = FunctionLabeler(lambda x: x.flatten(1).sum(1), "sum", threshold=0.0)
    for by in (classifier, function):
        assert torch.equal(by.score(images), by.score(images.clamp(-1, 1)))
        assert not torch.equal(by.score(images), by.score(images / 3))


@pytest.mark.parametrize("architecture", ["lenet", "linear"])
def test_distilled_classifier_knows_what_it_was_shown(
    architecture: str, toy: Generator, labels: LatentSet
) -> None:
    made = distil(labels, toy, architecture=architecture, steps=200)  # type: ignore[arg-type]
    assert made.accuracy > 0.8
    assert made.trained_on + made.held_out == len(labels)
    shuffled = replace(labels, labels=labels.labels.flip(0))
    worse = distil(shuffled, toy, architecture=architecture, steps=200)  # type: ignore[arg-type]
    assert worse.accuracy < 0.65


def test_sheets(toy: Generator, tmp_path: Path) -> None:
    images = draw(toy, toy.latents_from_seeds(sample_seeds(230, 0, "x").tolist()))
    pages = write_sheets(images, tmp_path, feature="dots", identity="abc")
    assert [page.name for page in pages] == ["page-001.png", "page-002.png", "page-003.png"]
    assert "dots" in (tmp_path / "answers.txt").read_text()
    answers = tmp_path / "filled.txt"
    answers.write_text("by: Ada\npages: 1 3\nyes: 3, 5-7\n 201 # a note\nunsure: 0\n")
    labels, seen, who = read_answers(answers, 230)
    assert (labels == 1).nonzero().squeeze(1).tolist() == [3, 5, 6, 7, 201]
    assert (labels == 0).nonzero().squeeze(1).tolist() == [0]
    assert seen.sum() == 130
    assert not seen[100:200].any()
    assert who == "Ada"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yes:\n", "no picture after 'yes:'"),
        ("yes: 3 x\n", "'x' is not a number"),
        ("yes: 500\n", "'500' is outside 0-229"),
        ("yes: 9-2\n", "'9-2' is outside"),
        ("3 4\n", "write 'yes:'"),
        ("maybe: 3\n", "unknown field 'maybe'"),
        ("pages: 1\nyes: 5 150\n", "names picture 150, but 'pages:' leaves out page 2"),
        ("yes: 5 7\nunsure: 7\n", "picture 7 under 'yes:' and under 'unsure:'"),
    ],
)
def test_bad_answers(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        read_answers(tmp_path / "a.txt", 230)


def test_answers_for_other_sheets_are_refused(tmp_path: Path) -> None:
    seeds = sample_seeds(230, 0, "x")
    mine, other = sheets_identity("f1", seeds), sheets_identity("f2", seeds)
    assert mine not in (other, sheets_identity("f1", seeds[:-1]))
    (tmp_path / "a.txt").write_text(f"sheets: {other}\nyes: 1\n")
    with pytest.raises(UserError, match="answers for other sheets"):
        read_answers(tmp_path / "a.txt", 230, identity=mine)
    assert read_answers(tmp_path / "a.txt", 230, identity=other)[0][1] == 1


def test_missing_answers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no answers at"):
        read_answers(tmp_path / "gone.txt", 3)


def bar(width: int, lean: int = 0) -> torch.Tensor:
    """A vertical bar 20 pixels high whose top is `lean` pixels to the right of its foot."""
    image = -torch.ones(1, 1, 28, 28)
    for row in range(20):
        left = 10 + round(lean * (19 - row) / 19)
        image[0, 0, 4 + row, left : left + width] = 1
    return image


def test_thickness_is_the_width_of_a_stroke() -> None:
    widths = [digits.thickness(bar(w)).item() for w in (1, 2, 3, 4, 6)]
    assert widths == sorted(widths)
    for width, measured in zip((1, 2, 3, 4, 6), widths, strict=True):
        assert measured == pytest.approx(width * 20 / (20 + width), rel=0.1)  # 2·area / outline
    faint = (bar(3) + 1) * 0.3 - 1
    assert digits.thickness(faint).item() == pytest.approx(widths[2], rel=0.02)
    assert digits.thickness(-torch.ones(1, 1, 28, 28)).item() == 0


def test_slant_is_the_angle() -> None:
    assert digits.slant(bar(3)).item() == pytest.approx(0, abs=1e-3)
    right, left = digits.slant(bar(3, 6)).item(), digits.slant(bar(3, -6)).item()
    assert right == pytest.approx(-left, abs=0.5)
    assert right == pytest.approx(torch.rad2deg(torch.atan(torch.tensor(6 / 19))).item(), abs=1.5)
