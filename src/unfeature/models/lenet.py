"""A small convolutional classifier in the line of LeCun, Bottou, Bengio, Haffner,
"Gradient-Based Learning Applied to Document Recognition" (Proc. IEEE, 1998).

It serves as the digits judge, as the feature extractor of domain FID, and as what a person's
labels are distilled into. ReLU and max pooling replace the original's tanh and subsampling.
"""

from jaxtyping import Float
from torch import Tensor, nn


class LeNet(nn.Module):
    """Images in [−1, 1] of any size from 16×16 up → `classes` logits.

    `features` gives the `hidden` activations before the last layer.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 1,
        width: int = 16,
        hidden: int = 84,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.classes = classes
        self.image_channels = channels
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, width, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 5),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(5),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * width * 25, hidden),
            nn.ReLU(),
        )
        self.head = nn.Linear(hidden, classes)

    def features(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.trunk(images)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        return self.head(self.features(images))
