"""Training a GAN: the non-saturating loss of Goodfellow et al. (NeurIPS 2014, arXiv 1406.2661)
with R1 regularisation (Mescheder et al., ICML 2018, arXiv 1801.04406), DCGAN's Adam settings, and
an average of the generator's weights; rates, decays and R1 can be another recipe's."""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.training.loop import Session, TrainConfig, scheduled, update

R1_EVERY = 8


@dataclass(frozen=True)
class GANConfig:
    """What a GAN's training knows besides `TrainConfig`.

    Attributes:
        discriminator_rate: Adam's step size for the discriminator; None for twice the generator's.
        betas: Adam's decay rates.
        r1: γ of R1, asked for every `R1_EVERY` updates; 0 turns it off.
    """

    discriminator_rate: float | None = None
    betas: tuple[float, float] = (0.5, 0.99)
    r1: float = 1.0


class GANSession(Session):
    """A generator and a discriminator, updated in turn."""

    parts = (
        "generator",
        "discriminator",
        "average",
        "generator_optimizer",
        "discriminator_optimizer",
    )

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        config: TrainConfig,
        settings: GANConfig | None = None,
    ):
        self.generator, self.discriminator, self.config = generator, discriminator, config
        self.settings = settings or GANConfig()
        self.discriminator_rate = self.settings.discriminator_rate or 2 * config.learning_rate
        self.latent_shape: tuple[int, ...] = tuple(generator.latent_shape)  # type: ignore[arg-type]
        self.average = copy.deepcopy(generator).requires_grad_(False)
        betas = self.settings.betas
        self.generator_optimizer = torch.optim.Adam(
            generator.parameters(), config.learning_rate, betas, fused=True
        )
        self.discriminator_optimizer = torch.optim.Adam(
            discriminator.parameters(), self.discriminator_rate, betas, fused=True
        )

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        scheduled(self.generator_optimizer, self.config.learning_rate, progress)
        scheduled(self.discriminator_optimizer, self.discriminator_rate, progress)
        self.generator.train()
        penalised = self.settings.r1 > 0 and self.steps % R1_EVERY == 0
        real = images.requires_grad_(penalised)
        fake = self.generator(self._latents(len(images), rng))

        real_logits = self.discriminator(real)
        fake_logits = self.discriminator(fake.detach())
        loss_d = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        penalty = torch.zeros_like(loss_d)
        if penalised:
            (slope,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
            penalty = slope.square().sum(dim=(1, 2, 3)).mean()
        loss_d_and_penalty = loss_d + penalty * (self.settings.r1 * R1_EVERY / 2)
        update(self.discriminator_optimizer, loss_d_and_penalty)

        loss_g = F.softplus(-self.discriminator(fake)).mean()
        update(self.generator_optimizer, loss_g)
        update_average(self.average, self.generator, decay=self.config.average, step=self.steps)
        self.steps += 1
        return {"discriminator": loss_d.item(), "generator": loss_g.item()}

    def _latents(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, *self.latent_shape, generator=rng).to(self.device)
