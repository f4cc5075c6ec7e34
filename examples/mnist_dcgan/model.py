"""The DCGAN of github.com/Ryhan9834/DigitDCGAN-Digit-Generation-with-DCGAN."""

import torch
from torch import nn


class Generator(nn.Module):
    """64 normals → 1×28×28 images in [−1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        shapes = [(64, 256, 3, 2), (256, 128, 4, 1), (128, 64, 3, 2)]
        blocks = [
            nn.Sequential(nn.ConvTranspose2d(i, o, k, s), nn.BatchNorm2d(o), nn.ReLU())
            for i, o, k, s in shapes
        ]
        last = nn.Sequential(nn.ConvTranspose2d(64, 1, 4, 2), nn.Tanh())
        self.gen = nn.Sequential(*blocks, last)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.gen(z.view(-1, 64, 1, 1))


def discriminator() -> nn.Module:
    """28×28 pixels in [−1, 1] → a logit; needed for an oracle alone. The repository shows none;
    this mirrors the generator, as DCGAN has it (arXiv 1511.06434)."""
    shapes = [(1, 64, 4, 2), (64, 128, 3, 2)]
    first, second = (nn.Conv2d(*shape) for shape in shapes)
    blocks = [first, nn.LeakyReLU(0.2), second, nn.BatchNorm2d(128), nn.LeakyReLU(0.2)]
    return nn.Sequential(*blocks, nn.Conv2d(128, 1, 6), nn.Flatten())
