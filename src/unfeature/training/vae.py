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
    prior_epochs: int = Field(0, ge=0)
    """How many of the epochs, the last ones, are for the flow alone, with encoder and decoder as
    they are then; such an epoch takes a fraction of the time of others."""


class VAESession(Session):
    """An encoder and a decoder, updated together; the decoder is the generator.

    Args:
        loss: (encoder, decoder, images, noise, beta=β) → reconstruction and β-weighted KL terms.
        warm_up: share of the training over which β rises from 0 to `config.beta`, so that the
            decoder has learnt to read its latents before they are pressed towards the prior.
        prior_epochs: the last epochs, in which only the decoder's flow learns (the second stage of
            Dai, Wipf, "Diagnosing and Enhancing VAE Models", ICLR 2019, arXiv 1903.05789).
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
        prior_epochs: int = 0,
    ):
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.loss, self.warm_up = loss, warm_up
        self.joint = 1 - prior_epochs / config.epochs
        self.average = copy.deepcopy(decoder).requires_grad_(False)
        self.optimizer = torch.optim.Adam(
            [*encoder.parameters(), *decoder.parameters()], config.learning_rate, fused=True
        )

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        noise = torch.randn(len(images), *self.decoder.latent_shape, generator=rng).to(images)
        if progress >= self.joint:
            return self._prior_step(images, noise, (progress - self.joint) / (1 - self.joint))
        progress = progress / self.joint
        scheduled(self.optimizer, self.config.learning_rate, progress)
        beta = self.config.beta * (min(1.0, progress / self.warm_up) if self.warm_up else 1.0)
        reconstruction, kl = self.loss(self.encoder, self.decoder, images, noise, beta=beta)
        losses = {"reconstruction": reconstruction.item(), "kl": kl.item()}
        update(self.optimizer, reconstruction + kl)
        update_average(self.average, self.decoder, decay=self.config.average, step=self.steps)
        self.steps += 1
        return losses

    def _prior_step(self, images: Tensor, noise: Tensor, progress: float) -> dict[str, float]:
        """The flow alone, by the likelihood of the latents that the encoder gives."""
        assert isinstance(self.decoder, ResidualDecoder)
        assert self.decoder.flow is not None
        scheduled(self.optimizer, self.config.learning_rate, progress)
        with torch.no_grad():
            mean, log_variance = self.encoder(images)
            latents = mean + (log_variance / 2).exp() * noise
        nats = -self.decoder.flow.log_density(latents).mean()
        update(self.optimizer, nats)
        average = self.average.get_submodule("flow")
        update_average(average, self.decoder.flow, decay=self.config.average, step=self.steps)
        self.steps += 1
        return {"prior": nats.item()}
