"""The decoder of the CelebA VAE of
github.com/shagunuppal/Riemannian_Geometry_of_Deep_Generative_Models."""

import torch
import torch.nn.functional as F
from torch import nn


class Decoder(nn.Module):
    """32 normals → 3×64×64 images in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.d1 = nn.Linear(32, 1024)
        self.d2, self.bn6 = nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.BatchNorm2d(64)
        self.d3, self.bn7 = nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32)
        self.d4, self.bn8 = nn.ConvTranspose2d(32, 32, 4, 2, 1), nn.BatchNorm2d(32)
        self.d5 = nn.ConvTranspose2d(32, 3, 4, 2, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.d1(z)).view(-1, 64, 4, 4)
        for layer, norm in ((self.d2, self.bn6), (self.d3, self.bn7), (self.d4, self.bn8)):
            x = F.leaky_relu(norm(layer(x)), 0.2)
        return torch.sigmoid(self.d5(x))


class Encoder(nn.Module):
    """3×64×64 pixels in [0, 1] → the mean of q(z | x)."""

    def __init__(self) -> None:
        super().__init__()
        self.e1, self.bn1 = nn.Conv2d(3, 32, 4, 2, 1), nn.BatchNorm2d(32)
        self.e2, self.bn2 = nn.Conv2d(32, 32, 4, 2, 1), nn.BatchNorm2d(32)
        self.e3, self.bn3 = nn.Conv2d(32, 64, 4, 2, 1), nn.BatchNorm2d(64)
        self.e4, self.bn4 = nn.Conv2d(64, 64, 4, 2, 1), nn.BatchNorm2d(64)
        self.fc1 = nn.Linear(1024, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc1(self.hidden(x))

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        layers = (
            (self.e1, self.bn1),
            (self.e2, self.bn2),
            (self.e3, self.bn3),
            (self.e4, self.bn4),
        )
        for layer, norm in layers:
            x = F.leaky_relu(norm(layer(x)), 0.2)
        return x.flatten(1)


class Posterior(Encoder):
    """3×64×64 images in [−1, 1] → mean and log-variance of q(z | x); needed for an oracle alone."""

    def __init__(self) -> None:
        super().__init__()
        self.fc2 = nn.Linear(1024, 32)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        hidden = self.hidden((x + 1) / 2)
        return self.fc1(hidden), self.fc2(hidden)
