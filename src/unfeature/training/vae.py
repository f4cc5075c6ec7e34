"""Training a VAE: Adam on the negative evidence lower bound (see `unfeature.models.vae` and
`unfeature.models.residual_vae`).

When a judge of the data is at hand, a residual VAE's pictures are compared in what it sees, too
(`unfeature.models.judge_features`).
"""

import copy
from collections.abc import Callable

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.models.residual_vae import ResidualDecoder
from unfeature.models.vae import ConvDecoder
from unfeature.training.loop import Session, TrainConfig, scheduled, update
from unfeature.training.rendered import Rendered


class VAEConfig(BaseModel):
    """What a residual VAE's training knows besides `TrainConfig`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    perceptual: float = Field(0.1, ge=0)
    """Weight of the distance between what a judge sees, in the distortion."""
    transport: int = Field(0, ge=0)
    """Blocks of a prior that is learnt afterwards (`unfeature.training.prior`) and takes the place
    of a flow; 0 for none."""
    prior_epochs: int = Field(60, ge=1)
    """Passes over the latents of the data, for that prior."""


class VAESession(Session):
    """An encoder and a decoder, updated together; the decoder is the generator.

    Args:
        loss: (encoder, decoder, images, noise, beta=β) → reconstruction and β-weighted KL terms.
        warm_up: share of the training over which β rises from 0 to `config.beta`, so that the
            decoder has learnt to read its latents before they are pressed towards the prior.
        settings: kept for the second stage.
    """

    parts: tuple[str, ...] = ("encoder", "decoder", "average", "optimizer")

    def __init__(
        self,
        encoder: nn.Module,
        decoder: ConvDecoder | ResidualDecoder | Rendered,
        config: TrainConfig,
        *,
        loss: Callable[..., tuple[Tensor, Tensor]],
        warm_up: float = 0.0,
        settings: VAEConfig | None = None,
    ):
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.loss, self.warm_up = loss, warm_up
        self.settings = settings or VAEConfig()
        self.average = copy.deepcopy(decoder).requires_grad_(False)
        self.optimizer = torch.optim.Adam(
            [*encoder.parameters(), *decoder.parameters()], config.learning_rate, fused=True
        )

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        scheduled(self.optimizer, self.config.learning_rate, progress)
        noise = torch.randn(len(images), *self.decoder.latent_shape, generator=rng).to(images)
        beta = self.config.beta * (min(1.0, progress / self.warm_up) if self.warm_up else 1.0)
        reconstruction, kl = self.loss(self.encoder, self.decoder, images, noise, beta=beta)
        losses = {"reconstruction": reconstruction.item(), "kl": kl.item()}
        update(self.optimizer, reconstruction + kl)
        update_average(self.average, self.decoder, decay=self.config.average, step=self.steps)
        self.steps += 1
        return losses
