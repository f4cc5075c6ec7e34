"""Training a VAE: Adam on the negative evidence lower bound (see `unfeature.models.vae` and
`unfeature.models.residual_vae`).

When a judge of the data is at hand, a discriminator over its features (`unfeature.training.second`)
looks at pictures decoded from the prior, which the bound alone never draws: Larsen et al.,
"Autoencoding beyond pixels using a learned similarity metric" (ICML 2016, arXiv 1512.09300), with
their discriminator's likelihood left out.
"""

import copy
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.models.residual_vae import ResidualDecoder
from unfeature.models.vae import ConvDecoder
from unfeature.training.loop import Session, TrainConfig, scheduled, update
from unfeature.training.rendered import Rendered
from unfeature.training.second import SecondConfig, SecondOpinion


class VAEConfig(SecondConfig):
    """What a VAE's training knows besides `TrainConfig`."""

    judge_weight: float = Field(0.03, ge=0)
    """Weight of what the second discriminator says, for every value of a picture; at 0.03 its
    gradient at a picture is of the reconstruction's size."""


class VAESession(Session):
    """An encoder and a decoder, updated together; the decoder is the generator.

    Args:
        loss: (encoder, decoder, images, noise, beta=β) → reconstruction and β-weighted KL terms.
        warm_up: share of the training over which β rises from 0 to `config.beta`, so that the
            decoder has learnt to read its latents before they are pressed towards the prior.
        second: a discriminator of pictures decoded from the prior, through a judge's features;
            what it says counts for every value of a picture, as the reconstruction does.
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
        settings: SecondConfig | None = None,
        second: SecondOpinion | None = None,
    ):
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.loss, self.warm_up = loss, warm_up
        self.average = copy.deepcopy(decoder).requires_grad_(False)
        self.optimizer = torch.optim.Adam(
            [*encoder.parameters(), *decoder.parameters()], config.learning_rate, fused=True
        )
        self.settings, self.second = settings or VAEConfig(), second
        if second is not None:
            self.parts = (*self.parts, "second")

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        scheduled(self.optimizer, self.config.learning_rate, progress)
        noise = torch.randn(len(images), *self.decoder.latent_shape, generator=rng).to(images)
        beta = self.config.beta * (min(1.0, progress / self.warm_up) if self.warm_up else 1.0)
        reconstruction, kl = self.loss(self.encoder, self.decoder, images, noise, beta=beta)
        losses = {"reconstruction": reconstruction.item(), "kl": kl.item()}
        total = reconstruction + kl
        if self.second is not None:
            scheduled(self.second.optimizer, self.settings.judge_rate, progress)
            drawn = self.decoder(torch.randn(noise.shape, generator=rng).to(images))
            losses["second"], opinion = self.second(images, drawn)
            losses["decoder, second"] = opinion.item()
            total = total + self.settings.judge_weight * images[0].numel() * opinion
        update(self.optimizer, total)
        update_average(self.average, self.decoder, decay=self.config.average, step=self.steps)
        self.steps += 1
        return losses
