"""Discriminators that see pictures through a trained judge's frozen features.

Kumari, Zhang, Shechtman, Zhu, "Ensembling Off-the-shelf Models for GAN Training" (CVPR 2022, arXiv
2112.09130) add such discriminators to StyleGAN2's own; Sauer, Chitta, Müller, Geiger, "Projected
GANs Converge Faster" (NeurIPS 2021, arXiv 2111.01007) look at several depths at once and hold each
head with spectral normalisation. Both converge in a fraction of the images.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from unfeature.models.equalized import SLOPE
from unfeature.models.judge_features import JudgeFeatures
from unfeature.models.stylegan2_discriminator import with_group_deviation

GAIN = 4.0
"""What logits are multiplied by: layers of norm 1 hardly reach the hinge's ±1 by themselves."""


class FeatureDiscriminator(nn.Module):
    """One small head a depth of a judge, each giving a map of logits, positive for 'real'.

    Args:
        judge, real: as for `JudgeFeatures`, which is what the heads look at.
        width: channels in a head.

    Raises:
        UserError: the judge does not fit.
    """

    def __init__(self, judge: nn.Module, real: Float[Tensor, "n c h w"], *, width: int = 32):
        super().__init__()
        self.features = JudgeFeatures(judge, real)
        self.heads = nn.ModuleList(_head(count, width) for count in self.features.counts)
        self.heads.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """A map of logits for each depth."""
        pairs = zip(self.heads, features, strict=True)
        return [GAIN * head(with_group_deviation(x)) for head, x in pairs]


def discriminator_loss(real: list[Tensor], fake: list[Tensor]) -> Float[Tensor, ""]:
    """Σ over depths of E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))]: the hinge loss."""
    pairs = zip(real, fake, strict=True)
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in pairs]).sum()


def generator_loss(fake: list[Tensor]) -> Float[Tensor, ""]:
    """−Σ over depths of E[D(G(z))]."""
    return -torch.stack([f.mean() for f in fake]).sum()


def _head(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(inputs + 1, width, 1)),
        nn.LeakyReLU(SLOPE),
        spectral_norm(nn.Conv2d(width, width, 3, stride=2, padding=1)),
        nn.LeakyReLU(SLOPE),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )
