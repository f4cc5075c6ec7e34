"""A narrow residual network with pre-activation: He, Zhang, Ren, Sun, "Identity Mappings in Deep
Residual Networks" (ECCV 2016, arXiv 1603.05027).

The second judge: plain convolutions, nothing of which it shares with MobileNetV3.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class PreActivation(nn.Module):
    """x ↦ s(x) + W₂ ReLU(BN(W₁ ReLU(BN(x)))), where s is x itself, or 1×1 where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        active = F.relu(self.norm1(x))
        kept = x if isinstance(self.shortcut, nn.Identity) else self.shortcut(active)
        return kept + self.conv2(F.relu(self.norm2(self.conv1(active))))


class ResNet(nn.Module):
    """Images in [−1, 1] of any size from 16×16 up → `outputs` logits.

    Four stages of `blocks` blocks; each stage after the first halves the side and doubles the
    channels, from `width` to 8 · `width`, which is also the number of `features`.
    """

    def __init__(
        self,
        outputs: int = 10,
        channels: int = 3,
        width: int = 16,
        blocks: int = 1,
        stem_stride: int = 2,
    ):
        super().__init__()
        self.image_channels = channels
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 5, stem_stride, 2, bias=False),
        ]
        inputs = width
        for stage in range(4):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(PreActivation(inputs, width * 2**stage, stride))
                inputs = width * 2**stage
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, outputs)

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.trunk(images.contiguous(memory_format=torch.channels_last))  # faster on CPUs

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.head(self.features(images))
