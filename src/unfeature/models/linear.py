"""Logistic regression on coarse pixels: the second opinion to a convolutional classifier."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LinearProbe(nn.Module):
    """Images averaged down to `side`×`side` → `classes` logits, by one affine map.

    It shares neither architecture nor inductive bias with `LeNet`, so the two fail differently.
    """

    def __init__(self, classes: int = 2, channels: int = 3, side: int = 16):
        super().__init__()
        self.classes, self.side = classes, side
        self.norm = nn.BatchNorm1d(channels * side * side, affine=False)
        self.head = nn.Linear(channels * side * side, classes)

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.norm(F.adaptive_avg_pool2d(images, self.side).flatten(1))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.head(self.features(images))
