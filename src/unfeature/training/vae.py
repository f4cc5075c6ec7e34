"""Training a VAE: Adam on the negative evidence lower bound (see `unfeature.models.vae`)."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.models.vae import ConvDecoder, ConvEncoder, negative_elbo
from unfeature.training.loop import TrainConfig, scheduled


class VAESession:
    """An encoder and a decoder, updated together; the decoder is the generator."""

    def __init__(self, encoder: ConvEncoder, decoder: ConvDecoder, config: TrainConfig):
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.average = copy.deepcopy(decoder).requires_grad_(False)
        self.optimizer = torch.optim.Adam(
            [*encoder.parameters(), *decoder.parameters()], config.learning_rate, fused=True
        )
        self.steps = 0

    @property
    def model(self) -> nn.Module:
        return self.average

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

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "encoder": self.encoder.state_dict(),
            "decoder": self.decoder.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for name in set(state) - {"steps"}:
            getattr(self, name).load_state_dict(state[name])
