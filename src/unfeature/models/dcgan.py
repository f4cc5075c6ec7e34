"""DCGAN: Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks" (ICLR 2016, arXiv 1511.06434).

Fractionally strided convolutions, batch normalisation and ReLU in the generator, strided
convolutions and leaky ReLU in the discriminator, tanh at the end. One departure: the
discriminator's layers carry spectral normalisation (Miyato et al., ICLR 2018, arXiv 1802.05957)
in place of batch normalisation, which keeps small DCGANs from collapsing.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class DCGANGenerator(nn.Module):
    """z of `latent_dim` normals → `channels` × 4·`base` × 4·`base` images in [−1, 1]."""

    def __init__(self, latent_dim: int = 64, channels: int = 1, width: int = 64, base: int = 7):
        super().__init__()
        self.latent_shape = (latent_dim,)
        self.image_shape = (channels, 4 * base, 4 * base)
        self.width, self.base = width, base
        self.project = nn.Linear(latent_dim, 2 * width * base * base, bias=False)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.Conv2d(width // 2, channels, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, latents: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        x = self.project(latents).view(-1, 2 * self.width, self.base, self.base)
        return self.layers(x)


class DCGANDiscriminator(nn.Module):
    """Images in [−1, 1] → one logit each, positive for 'real'."""

    def __init__(self, channels: int = 1, width: int = 64, base: int = 7):
        super().__init__()
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(channels, width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            spectral_norm(nn.Linear(2 * width * base * base, 1)),
        )

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        return self.layers(images).squeeze(1)
