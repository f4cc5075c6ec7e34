"""Inception's forward pass against torch-fidelity 0.4.0's, whose package needs torchvision: so its
values stand here. With these weights and images its `FeatureExtractorInceptionV3` gave them, and
ours the same to the last bit."""

import numpy as np
import pytest
import torch

from unfeature.models.inception import InceptionV3

FEATURES = [
    [3.8368807, 0.9622610, 0.0001272, 6.0742974, 0.1005965, 0.0732031, 0.0760397],
    [3.9622374, 1.0098876, 0.0030821, 5.9833508, 0.0948086, 0.0700402, 0.0473962],
]
LOGITS = [  # its "logits_unbiased", in which it measures the Inception Score
    [-2.0285211, -5.5059328, -2.7705362, -0.7418509, 6.8340168, -1.1500771, -3.1923628],
    [-2.0612559, -5.5507927, -2.6838026, -0.7396574, 6.7566786, -1.1636927, -3.0861192],
]


@torch.inference_mode()
def test_inception_is_that_of_another_implementation() -> None:
    draw = np.random.RandomState(0)
    module = InceptionV3().eval()
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            drawn = torch.from_numpy(draw.standard_normal(tuple(value.shape)))
            if value.dim() > 1:
                drawn *= (2 / value[0].numel()) ** 0.5
            elif name.endswith(("running_var", "bn.weight")):
                drawn = (drawn / 4).exp()
            else:
                drawn /= 4
            value.copy_(drawn)
    squares = torch.from_numpy(np.random.RandomState(1).randint(0, 256, (2, 3, 9, 9)))
    pixels = squares.repeat_interleave(34, 2).repeat_interleave(34, 3)[:, :, :299, :299]
    features = module.features((pixels.float() - 128) / 128)
    assert features[:, ::293].tolist() == [pytest.approx(row, abs=1e-3) for row in FEATURES]
    logits = module.head(features)
    assert logits[:, ::144].tolist() == [pytest.approx(row, abs=1e-3) for row in LOGITS]
