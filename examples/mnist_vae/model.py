"""The MLP VAE of github.com/csinva/gan-vae-pretrained-pytorch (mnist_vae)."""

import torch
from torch import nn


class Decoder(nn.Module):
    """20 normals → 784 pixels in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.fc3 = nn.Linear(20, 400)
        self.fc4 = nn.Linear(400, 784)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.fc4(torch.relu(self.fc3(z))))


class Encoder(nn.Module):
    """28×28 pixels in [0, 1] → the mean of q(z | x)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 400)
        self.fc21 = nn.Linear(400, 20)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc21(torch.relu(self.fc1(x.flatten(1))))


class Posterior(nn.Module):
    """28×28 pixels in [−1, 1] → mean and log-variance of q(z | x); needed for an oracle alone."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 400)
        self.fc21 = nn.Linear(400, 20)
        self.fc22 = nn.Linear(400, 20)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = torch.relu(self.fc1((x.flatten(1) + 1) / 2))
        return self.fc21(hidden), self.fc22(hidden)
