from copy import deepcopy

import pytest
import torch
from torch import Tensor

from unfeature.datasets import ImageSet
from unfeature.models.feature_discriminator import (
    FeatureDiscriminator,
    discriminator_loss,
    generator_loss,
)
from unfeature.models.resnet import ResNet
from unfeature.training import Standing, TrainConfig, fit
from unfeature.training.originals import original_session

OPTIONS = {"latent_dim": 4, "w_dim": 4, "width": 4, "max_width": 8, "mapping_layers": 1}
pytestmark = pytest.mark.usefixtures("initial_weights")


def test_a_head_learns_to_tell_and_a_picture_to_please(untrained: ResNet, noise: Tensor) -> None:
    made = FeatureDiscriminator(untrained, noise, width=8)
    drawn = (noise * 0.3).requires_grad_(True)
    before = [p.clone() for p in untrained.parameters()]
    optimizer = torch.optim.Adam(made.heads.parameters(), 1e-2)
    real = made.features(noise)
    losses = []
    for _ in range(40):
        fake = [x.detach() for x in made.features(drawn)]
        loss = discriminator_loss(made(real), made(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    score = generator_loss(made(made.features(drawn)))
    (slope,) = torch.autograd.grad(score, drawn)
    better = generator_loss(made(made.features(drawn - 0.5 * slope / slope.abs().max())))
    assert better < score
    assert all(torch.equal(a, b) for a, b in zip(before, untrained.parameters(), strict=True))


def test_it_joins_a_training_late_and_resumes_bit_for_bit(untrained: ResNet, noise: Tensor) -> None:
    data = ImageSet(noise, torch.zeros(len(noise), dtype=torch.long), ("a",))

    def session(epochs: int, *, judged: bool = True):  # type: ignore[no-untyped-def]
        config = TrainConfig(epochs=epochs, batch_size=8, learning_rate=2e-3)
        given = (untrained, noise) if judged else None
        made = original_session("stylegan2", (3, 16, 16), config, judge=given, **OPTIONS)
        return made[0], config

    plain, config = session(1, judged=False)
    list(fit(plain, data, config))
    start = deepcopy(plain.state_dict())
    assert "second" not in start

    whole, config = session(3)
    whole.load_state_dict(deepcopy(start))
    first, *_ = fit(whole, data, config, start=Standing(epochs=1))
    assert first.losses["second"] > 0

    broken, config = session(3)
    broken.load_state_dict(deepcopy(start))
    now = next(fit(broken, data, config, start=Standing(epochs=1)))
    saved = deepcopy(broken.state_dict())
    resumed, config = session(3)
    resumed.load_state_dict(saved)
    list(fit(resumed, data, config, start=now))
    theirs, ours = whole.average.state_dict(), resumed.average.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    changed = (whole.average.state_dict()[key] - value for key, value in start["average"].items())
    assert any(difference.abs().max() > 0 for difference in changed)
