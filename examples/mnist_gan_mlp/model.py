"""The MLP GAN of github.com/csinva/gan-vae-pretrained-pytorch (mnist_gan_mlp)."""

from torch import nn


def build() -> nn.Module:
    """64 normals → 784 pixels in [−1, 1]."""
    return nn.Sequential(
        nn.Linear(64, 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, 784),
        nn.Tanh(),
    )


def discriminator() -> nn.Module:
    """784 pixels in [−1, 1] → a logit; needed for an oracle alone."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 1),
    )
