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

from unfeature.errors import UserError
from unfeature.models.equalized import SLOPE
from unfeature.models.stylegan2_discriminator import with_group_deviation

GAIN = 4.0
"""What logits are multiplied by: layers of norm 1 hardly reach the hinge's ±1 by themselves."""


class FeatureDiscriminator(nn.Module):
    """One small head a depth of a judge, each giving a map of logits, positive for 'real'.

    Args:
        judge: in evaluation mode; its `trunk` is a sequence of layers from pictures to features.
        real: (n, c, h, w) pictures of the data, for the features' mean and spread.
        width: channels in a head.

    Raises:
        UserError: the judge has no such trunk, or sees other pictures than the data's.
    """

    def __init__(self, judge: nn.Module, real: Float[Tensor, "n c h w"], *, width: int = 32):
        super().__init__()
        trunk = getattr(judge, "trunk", None)
        if not isinstance(trunk, nn.Sequential):
            raise UserError(
                f"a {type(judge).__name__} cannot help a discriminator; name a judge of the "
                "architecture mobilenetv3 or resnet"
            )
        seen = next(m.in_channels for m in trunk.modules() if isinstance(m, nn.Conv2d))
        if seen != real.shape[1]:
            raise UserError(
                f"the judge sees pictures of {seen} channels and the data's have {real.shape[1]}; "
                "name a judge trained on such pictures"
            )
        self.stages = _stages(trunk, real[:2])
        with torch.no_grad():
            found = self._raw(real)
        for i, x in enumerate(found):
            std, mean = torch.std_mean(x, dim=(0, 2, 3), keepdim=True)
            self.register_buffer(f"mean{i}", mean)
            self.register_buffer(f"std{i}", std + 1e-3)
        self.heads = nn.ModuleList(_head(x.shape[1], width) for x in found)
        self.heads.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n k i j"]]:
        """Activations at each depth, standardised a channel."""
        return [
            (x - self.get_buffer(f"mean{i}")) / self.get_buffer(f"std{i}")
            for i, x in enumerate(self._raw(images))
        ]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """A map of logits for each depth."""
        pairs = zip(self.heads, features, strict=True)
        return [GAIN * head(with_group_deviation(x)) for head, x in pairs]

    def _raw(self, images: Tensor) -> list[Tensor]:
        found, x = [], images.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


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


def _stages(trunk: nn.Sequential, images: Tensor) -> nn.ModuleList:
    """The trunk, cut before every layer that makes pictures smaller, up to its last map."""
    stages: list[list[nn.Module]] = [[]]
    x = images
    with torch.no_grad():
        for layer in trunk:
            y = layer(x)
            if y.ndim != 4 or y.shape[-1] == 1:
                break
            if y.shape[-1] < x.shape[-1] and x is not images:
                stages.append([])
            stages[-1].append(layer)
            x = y
    return nn.ModuleList(nn.Sequential(*stage) for stage in stages)
