from collections import OrderedDict
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

import unfeature as uf
from unfeature import msssim
from unfeature.erase import ImageEraser
from unfeature.errors import UserError
from unfeature.evaluate import Extractor, draw_pairs, evaluate, extractor, verdict, wilson
from unfeature.evaluate.quality import diversity, fid, frechet, inception_score, kid
from unfeature.generator import Generator
from unfeature.labelers import FunctionLabeler
from unfeature.labels import LatentSet, sample_seeds
from unfeature.msssim import choose_scales
from unfeature.target import TargetVector


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_frechet_is_the_closed_form_of_gaussians() -> None:
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 1.0]).double()
    mean = torch.tensor([1.0, -2.0, 0.5]).double()
    zero = torch.zeros(3).double()
    wanted = mean.square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    found = frechet(mean, torch.diag(a), zero, torch.diag(b))
    assert found == pytest.approx(wanted.item())
    # the same in a rotated frame, where nothing is diagonal
    q, _ = torch.linalg.qr(normal(3, 3, 0))
    turned = frechet(q @ mean, q @ torch.diag(a) @ q.T, zero, q @ torch.diag(b) @ q.T)
    assert turned == pytest.approx(wanted.item())


def test_fid_of_samples_approaches_the_closed_form() -> None:
    x, y = normal(40_000, 4, 0) * 2, normal(40_000, 4, 1) + 1
    assert fid(x, y) == pytest.approx(4 * 1 + 4 * (2 - 1) ** 2, rel=0.03)
    assert fid(x, x) == pytest.approx(0, abs=1e-6)


class Flat(nn.Module):
    """Features for torchmetrics: the pixels themselves."""

    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).float()


@pytest.mark.parametrize(("c", "size"), [(1, 28), (3, 64)])
def test_diversity_equals_torchmetrics(c: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # theirs reflects the borders of the last scale, which ours leaves out, as the paper does
    reflecting = partial(msssim.MSSSIM, reflect_last=True)
    monkeypatch.setattr(msssim, "MSSSIM", reflecting)
    random = torch.Generator().manual_seed(0)
    rough = torch.rand(12, c, size, size, generator=random)
    images = torch.nn.functional.avg_pool2d(rough, 5, 1, 2) * 2 - 1
    scales = choose_scales(size)
    theirs = multiscale_structural_similarity_index_measure(
        images[::2],
        images[1::2],
        sigma=scales.sigma,
        kernel_size=scales.window,
        betas=scales.weights,
        data_range=2.0,
    )
    assert diversity(images) == pytest.approx(1 - theirs.item(), abs=1e-4)
    assert diversity(images[:1].repeat(12, 1, 1, 1)) == pytest.approx(0, abs=1e-6)


def test_fid_kid_and_is_equal_torchmetrics() -> None:
    random = torch.Generator().manual_seed(0)
    a = torch.rand(300, 3, 2, 2, generator=random)
    b = torch.rand(400, 3, 2, 2, generator=random) * 0.8
    theirs = FrechetInceptionDistance(feature=Flat(), normalize=False)
    theirs.set_dtype(torch.float64)
    theirs.update(a.double(), real=True)
    theirs.update(b.double(), real=False)
    assert fid(a.flatten(1), b.flatten(1)) == pytest.approx(theirs.compute().item(), rel=1e-3)
    with pytest.warns(UserWarning, match="Kernel"):
        kernel = KernelInceptionDistance(feature=Flat(), subsets=2, subset_size=300)
    kernel.update(a, real=True)
    kernel.update(b[:300], real=False)
    value, _ = kernel.compute()  # of two equal subsets: everything there is
    assert kid(a.flatten(1), b[:300].flatten(1), subsets=1) == pytest.approx(value.item(), rel=1e-3)
    with pytest.warns(UserWarning, match="Inception"):
        score = InceptionScore(feature=Flat(), splits=1, normalize=False)
    score.update(a * 8)
    with pytest.warns(UserWarning, match="degrees of freedom"):  # the spread over one split
        value, _ = score.compute()
    assert inception_score((a * 8).flatten(1)) == pytest.approx(value.item(), rel=1e-3)


def test_inception_score_knows_its_ends() -> None:
    one_hot = torch.eye(10).repeat(20, 1) * 100
    assert inception_score(one_hot) == pytest.approx(10, rel=1e-3)
    assert inception_score(torch.zeros(50, 10)) == pytest.approx(1)


def test_wilson_interval() -> None:
    hits = torch.arange(100) < 10
    found = wilson(hits)
    assert (found.value, found.n) == (0.1, 100)
    assert found.low == pytest.approx(0.0552, abs=5e-4)  # Newcombe (1998)
    assert found.high == pytest.approx(0.1744, abs=5e-4)
    none = wilson(torch.zeros(50, dtype=torch.bool))
    assert none.low == 0
    assert none.high == pytest.approx(0.0713, abs=5e-4)


@pytest.fixture
def eraser(toy: Generator, corner: FunctionLabeler, labels: LatentSet) -> ImageEraser:
    return ImageEraser(toy, corner, TargetVector.fit(labels))


def flat() -> Extractor:
    return Extractor("pixels", nn.Flatten())


def test_an_original_fails_and_a_collapsed_model_is_told(
    toy: Generator, corner: FunctionLabeler, eraser: ImageEraser
) -> None:
    same = evaluate(toy, toy, judge=corner, eraser=eraser, n=600, features=flat())
    assert same.unlearned == same.original
    assert same.negatives_l1.value == 0
    assert same.negatives_msssim == pytest.approx(1)
    assert same.erased.value < 0.02
    collapsed = toy.copy()
    collapsed.module[0].weight.data.zero_()  # type: ignore[index, union-attr]
    bad = evaluate(toy, collapsed, judge=corner, eraser=eraser, n=600, features=flat())
    assert bad.negatives_l1.value > 0.1
    assert bad.negatives_msssim < 0.6
    quality = bad.quality
    assert quality["unlearned"].fid > 3 * quality["original"].fid > quality["floor"].fid
    assert quality["unlearned"].kid > quality["floor"].kid
    assert quality["unlearned"].coverage < 0.1 < quality["floor"].coverage
    assert quality["unlearned"].recall < quality["floor"].recall
    assert quality["unlearned"].diversity == pytest.approx(0, abs=1e-3)
    assert quality["floor"].diversity > 0.2


def test_a_verdict_survives_json(
    toy: Generator, corner: FunctionLabeler, eraser: ImageEraser
) -> None:
    import json

    found = evaluate(toy, toy, judge=corner, eraser=eraser, n=200, features=flat())
    assert uf.Verdict.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_a_judge_that_sees_it_everywhere_is_refused(
    toy: Generator, eraser: ImageEraser, corner: FunctionLabeler
) -> None:
    blind = FunctionLabeler(lambda x: x.flatten(1).mean(1), "mean", threshold=-5.0)
    pairs = draw_pairs(toy, toy, eraser, blind, sample_seeds(50, 0, "x"))
    with pytest.raises(UserError, match="sees the feature in all 50"):
        verdict(pairs, judge=blind.name)


def test_extractors(tmp_path: Path, toy_folder: Path) -> None:
    judge = extractor("digits-judge")
    features, logits = judge(torch.zeros(5, 1, 28, 28))
    assert features.shape == (5, 84)
    assert logits.shape == (5, 10)
    with pytest.raises(UserError, match="did you mean 'digits-judge'"):
        extractor("digit-judge")
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="does not fit the model"):
        extractor(f"inception:{tmp_path / 'w.pth'}")
    for part in ("features", "head"):  # of other networks: what it gives is what is measured in
        module = nn.Sequential(OrderedDict({part: nn.Flatten(), "last": nn.Linear(16, 3)}))
        features, logits = Extractor("half", module)(torch.zeros(2, 1, 4, 4))
        assert features.shape == logits.shape == (2, 3)


def test_inception_from_a_local_file(tmp_path: Path) -> None:
    from unfeature.models.inception import InceptionV3

    torch.save(InceptionV3().state_dict(), tmp_path / "inception.pth")
    found = extractor(f"inception:{tmp_path / 'inception.pth'}")
    features, logits = found(torch.zeros(1, 1, 28, 28))
    assert features.shape == (1, 2048)
    assert logits.shape == (1, 1008)
    assert "inception.pth" in found.name


def test_shipped_judge_reads_digits(shared: Path) -> None:
    from unfeature.datasets import load_images
    from unfeature.training import balanced_accuracy

    data = load_images(shared / "mnist" / "mnist.npz", split="test")
    judge = uf.load_judge("digits-judge").module
    assert isinstance(judge, nn.Module)
    assert balanced_accuracy(judge, data.images, data.labels) > 0.99
