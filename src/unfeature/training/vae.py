"""Training a VAE: Adam on the negative evidence lower bound (see `unfeature.models.vae`)."""

import copy

import torch
from torch import Tensor

from unfeature.averaging import update_average
from unfeature.models.vae import ConvDecoder, ConvEncoder, negative_elbo
from unfeature.training.loop import Session, TrainConfig, scheduled


class VAESession(Session):
    """An encoder and a decoder, updated together; the decoder is the generator."""

    parts = ("encoder", "decoder", "average", "optimizer")

    def __init__(self, encoder: ConvEncoder, decoder: ConvDecoder, config: TrainConfig):
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.average = copy.deepcopy(decoder).requires_grad_(False)
        self.optimizer = torch.optim.Adam(
            [*encoder.parameters(), *decoder.parameters()], config.learning_rate, fused=True
        )

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        scheduled(self.optimizer, self.config.learning_rate, progress)
        noise = torch.randn(len(images), *self.decoder.latent_shape, generator=rng)
        reconstruction, kl = negative_elbo(
            self.encoder, self.decoder, images, noise, beta=self.config.beta
        )
        self.optimizer.zero_grad()
        (reconstruction + kl).backward()
        self.optimizer.step()
        update_average(self.average, self.decoder, decay=self.config.average, step=self.steps)
        self.steps += 1
        return {"reconstruction": reconstruction.item(), "kl": kl.item()}
