"""What a trained judge's frozen layers see in pictures, at several depths."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.errors import UserError


class JudgeFeatures(nn.Module):
    """Pictures → a judge's activations at each side of its maps, standardised a channel.

    Args:
        judge: in evaluation mode; its `trunk` is a sequence of layers from pictures to features.
        real: (n, c, h, w) pictures of the data, for the features' mean and spread.

    Attributes:
        counts: channels at each depth.

    Raises:
        UserError: the judge has no such trunk, or sees other pictures than the data's.
    """

    def __init__(self, judge: nn.Module, real: Float[Tensor, "n c h w"]):
        super().__init__()
        trunk = getattr(judge, "trunk", None)
        if not isinstance(trunk, nn.Sequential):
            raise UserError(
                f"a {type(judge).__name__} cannot help a training; name a judge of the "
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
        self.counts = [x.shape[1] for x in found]
        for i, x in enumerate(found):
            std, mean = torch.std_mean(x, dim=(0, 2, 3), keepdim=True)
            self.register_buffer(f"mean{i}", mean)
            self.register_buffer(f"std{i}", std + 1e-3)

    def forward(self, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n k i j"]]:
        return [
            (x - self.get_buffer(f"mean{i}")) / self.get_buffer(f"std{i}")
            for i, x in enumerate(self._raw(images))
        ]

    def _raw(self, images: Tensor) -> list[Tensor]:
        found, x = [], images.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class PerceptualDistance:
    """Mean |φ(x) − φ(y)| over a judge's depths, channels and places.

    Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"
    (ECCV 2016, arXiv 1603.08155), with a judge of the data in the place of a network trained on
    photographs, and L1 in the place of L2.
    """

    def __init__(self, features: JudgeFeatures):
        self.features = features.requires_grad_(False)

    def __call__(
        self, drawn: Float[Tensor, "n c h w"], images: Float[Tensor, "n c h w"]
    ) -> Float[Tensor, ""]:
        """Differentiable in `drawn`."""
        with torch.no_grad():
            wanted = self.features(images)
        pairs = zip(self.features(drawn), wanted, strict=True)
        return torch.stack([(x - y).abs().mean() for x, y in pairs]).mean()


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
