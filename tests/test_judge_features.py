from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from unfeature.datasets import ImageSet
from unfeature.errors import UserError
from unfeature.models.judge_features import JudgeFeatures, PerceptualDistance
from unfeature.models.residual_vae import CalibratedLikelihood, ResidualEncoder
from unfeature.models.resnet import ResNet
from unfeature.training import TrainConfig, VAESession, fit
from unfeature.training.originals import original_session

SMALL = {"latent_dim": 4, "width": 4, "max_width": 8}
pytestmark = pytest.mark.usefixtures("initial_weights")


def test_features_are_the_judges_own_standardised(untrained: ResNet, noise: Tensor) -> None:
    made = JudgeFeatures(untrained, noise)
    found = made(noise)
    assert made.counts == [4, 8, 16, 32]
    assert [x.shape[1:] for x in found] == [(4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2)]
    for x in found:
        torch.testing.assert_close(
            x.mean(dim=(0, 2, 3)), torch.zeros(x.shape[1]), atol=1e-4, rtol=0
        )
        spread = x.std(dim=(0, 2, 3))
        assert 0.9 < spread.max() <= 1.0
    pooled = untrained.features(noise)
    last = found[-1] * made.get_buffer("std3") + made.get_buffer("mean3")
    torch.testing.assert_close(last.mean(dim=(2, 3)), pooled)


def test_a_distance_is_the_mean_over_depths_and_leads_to_the_picture(
    untrained: ResNet, noise: Tensor
) -> None:
    features = JudgeFeatures(untrained, noise)
    distance = PerceptualDistance(features)
    others = noise.flip(0)
    pairs = zip(features(noise), features(others), strict=True)
    by_hand = sum((x - y).abs().mean().item() for x, y in pairs) / 4
    assert distance(noise, others).item() == pytest.approx(by_hand, rel=1e-5)
    assert distance(noise, noise).item() == 0

    drawn = (0.7 * noise).requires_grad_(True)
    before = distance(drawn, noise)
    (slope,) = torch.autograd.grad(before, drawn)
    assert distance(drawn - 0.02 * slope / slope.abs().max(), noise) < before


def test_a_vae_is_taught_what_the_judge_sees(
    untrained: ResNet, noise: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Callable[..., Tensor]] = []
    plain = PerceptualDistance.__call__

    def spied(self: PerceptualDistance, drawn: Tensor, images: Tensor) -> Tensor:
        asked.append(self)
        return plain(self, drawn, images)

    monkeypatch.setattr(PerceptualDistance, "__call__", spied)
    config = TrainConfig(epochs=2, batch_size=8, learning_rate=2e-3)
    data = ImageSet(noise, torch.zeros(len(noise), dtype=torch.long), ("a",))
    weights = {}
    for weight in (0.0, 0.5):
        made, options = original_session(
            "residual-vae",
            (3, 16, 16),
            config,
            judge=(untrained, noise),
            perceptual=weight,
            **SMALL,
        )
        assert "perceptual" not in options
        assert isinstance(made, VAESession)
        before = [p.clone() for p in untrained.parameters()]
        list(fit(made, data, config))
        assert all(torch.equal(a, b) for a, b in zip(before, untrained.parameters(), strict=True))
        weights[weight] = made.decoder.state_dict()["project.weight"]
    assert len(asked) == 2 * 8
    assert (weights[0.0] - weights[0.5]).abs().max() > 1e-5


def test_its_weight_counts_in_the_distortion(untrained: ResNet, noise: Tensor) -> None:
    distance = PerceptualDistance(JudgeFeatures(untrained, noise))
    drawn = noise.flip(0)
    encoder = ResidualEncoder(latent_dim=4, size=16, width=4)

    def distortion(weight: float) -> float:
        likelihood = CalibratedLikelihood(16, perceptual=distance, weight=weight)
        nats, _ = likelihood(encoder, lambda z: drawn, noise, torch.zeros(32, 4))
        return (nats / noise[0].numel()).exp().item()

    extra = distortion(0.5) - distortion(0.0)
    assert extra == pytest.approx(0.5 * distance(drawn, noise).item(), rel=1e-3)


def test_a_judge_that_cannot_help(untrained: ResNet, noise: Tensor) -> None:
    with pytest.raises(UserError, match="Flatten cannot help a training"):
        JudgeFeatures(nn.Flatten(), noise)
    with pytest.raises(UserError, match="sees pictures of 3 channels and the data's have 1"):
        JudgeFeatures(untrained, noise[:, :1])
    config = TrainConfig(epochs=1)
    with pytest.raises(UserError, match="--judge helps to train stylegan2"):
        original_session("dcgan", (3, 16, 16), config, judge=(nn.Flatten(), noise))
    with pytest.raises(UserError, match="option perceptual"):
        original_session("residual-vae", (3, 16, 16), config, perceptual=-1.0, **SMALL)
