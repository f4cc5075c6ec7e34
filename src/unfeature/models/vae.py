"""A convolutional VAE: Kingma, Welling, "Auto-Encoding Variational Bayes" (ICLR 2014,
arXiv 1312.6114), with a Gaussian prior, a diagonal Gaussian posterior and a Bernoulli likelihood.

The generator that is shipped and unlearned is the *decoder* alone. The encoder is saved beside it
only on request: an old encoder shipped with a new decoder still tells where the feature was.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ConvDecoder(nn.Module):
    """z of `latent_dim` normals → `channels` × 4·`base` × 4·`base` images in [−1, 1]."""

    def __init__(self, latent_dim: int = 20, channels: int = 1, width: int = 32, base: int = 7):
        super().__init__()
        self.latent_shape = (latent_dim,)
        self.image_shape = (channels, 4 * base, 4 * base)
        self.width, self.base = width, base
        self.project = nn.Linear(latent_dim, 2 * width * base * base)
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, 2 * width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )

    def logits(self, latents: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        """Log-odds of each pixel being on, for the Bernoulli likelihood."""
        x = self.project(latents).view(-1, 2 * self.width, self.base, self.base)
        return self.layers(x)

    def forward(self, latents: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        return torch.tanh(self.logits(latents) / 2)  # = 2·sigmoid(logits) − 1


class ConvEncoder(nn.Module):
    """Images in [−1, 1] → mean and log-variance of q(z | x), each of shape (n, latent_dim)."""

    def __init__(self, latent_dim: int = 20, channels: int = 1, width: int = 32, base: int = 7):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * base * base, 2 * latent_dim),
        )

    def forward(
        self, images: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        mean, log_variance = self.layers(images).chunk(2, dim=1)
        return mean, log_variance


def negative_elbo(
    encoder: ConvEncoder, decoder: ConvDecoder, images: Tensor, noise: Tensor, *, beta: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Reconstruction and β-weighted KL terms, each a mean over the batch, in nats an image.

    Args:
        images: (n, c, h, w) in [−1, 1].
        noise: (n, z) standard normals, the ε of the reparametrisation (paper, eq. 10).
    """
    mean, log_variance = encoder(images)
    logits = decoder.logits(mean + (log_variance / 2).exp() * noise)
    targets = (images + 1) / 2
    reconstruction = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return reconstruction / len(images), beta * divergence(mean, log_variance) / len(images)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z | x) ‖ N(0, I)), summed over the batch (paper, appendix B)."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
