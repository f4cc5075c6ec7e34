"""Adversarial fine-tuning of a generator that comes without a discriminator.

A fresh discriminator D first learns alone to tell g's pictures from the wanted ones; then both
learn in turn, with the logistic loss and a lazy R1 penalty (see `unfeature.training.stylegan2`):

    L_D = E[softplus(−D(x))] + E[softplus(D(x̃))]       L_g = E[softplus(−D(g(z)))] + penalty(θ)
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.methods.base import TrainedConfig
from unfeature.models.dcgan import DCGANDiscriminator
from unfeature.models.stylegan2_discriminator import StyleGAN2Discriminator
from unfeature.seeds import derive, rng
from unfeature.training.loop import lazy_adam, update
from unfeature.training.stylegan2 import r1_penalty

Draw = Callable[[int, torch.Generator], Float[Tensor, "n c h w"]]


class AdversarialConfig(TrainedConfig):
    """What methods with a discriminator have in common."""

    critic_rate: float = Field(1e-3, gt=0)
    """Adam's step size for the discriminator."""
    head_start: int = Field(100, ge=0)
    """Updates of the discriminator alone, before the generator's first."""
    gamma: float = Field(0.1, ge=0)
    """γ of R1; 0 turns it off."""
    r1_every: int = Field(16, ge=1)
    """Steps from one R1 update to the next."""
    average: float = Field(0.98, ge=0, lt=1)
    """Decay of the moving average of the generator's weights, which is the result."""


def fresh_discriminator(image_shape: tuple[int, int, int], seed: int) -> nn.Module:
    """StyleGAN2's for sides that are powers of two, DCGAN's for other multiples of four.

    Raises:
        UserError: pictures neither can look at.
    """
    channels, height, width = image_shape
    if height != width or height % 4:
        raise UserError(
            f"this method needs a discriminator, which needs square pictures whose side is a "
            f"multiple of 4; the generator's are {height}×{width}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "discriminator"))
        if height & (height - 1) == 0 and height >= 16:
            return StyleGAN2Discriminator(channels, height)
        return DCGANDiscriminator(channels, 32, height // 4)


class Duel:
    """A student g, its discriminator, and what is wanted of g's pictures.

    Args:
        wanted: so many pictures that D is to take for real.
        unwanted: so many pictures besides g's own that D is to take for drawn, mixed in by
            `share`.
    """

    def __init__(
        self,
        start: Generator,
        config: AdversarialConfig,
        wanted: Draw,
        *,
        seed: int,
        unwanted: Draw | None = None,
        share: float = 0.0,
    ):
        self.config, self.wanted, self.unwanted, self.share = config, wanted, unwanted, share
        self.student = start.copy().requires_grad(True)
        self.average = self.student.copy().requires_grad(False)
        self.discriminator = fresh_discriminator(start.image_shape, seed).to(start.device)
        self.critic = lazy_adam(
            self.discriminator, config.critic_rate, config.r1_every if config.gamma else None
        )
        self.optimizer = torch.optim.Adam(
            self.student.module.parameters(), config.learning_rate, (0.0, 0.99), fused=True
        )
        self.rng = rng(seed, "duel")
        self.judged = 0
        for _ in range(config.head_start):
            with torch.no_grad():
                drawn = self._drawn()
            self._judge(drawn)

    def run(self, penalty: Callable[[nn.Module], Tensor] | None = None) -> Generator:
        """All steps; the averaged generator."""
        for _ in self.steps(penalty):
            pass
        return self.average

    def steps(self, penalty: Callable[[nn.Module], Tensor] | None = None) -> Iterator[Generator]:
        """The averaged generator as it is after each step; copy it to keep it.

        Args:
            penalty: of g's weights, added to its loss.
        """
        for index in range(self.config.steps):
            drawn = self._drawn()
            self._judge(drawn.detach())
            self.discriminator.requires_grad_(False)
            loss = F.softplus(-self.discriminator(drawn)).mean()
            if penalty is not None:
                loss = loss + penalty(self.student.module)
            update(self.optimizer, loss)
            self.discriminator.requires_grad_(True)
            update_average(
                self.average.module, self.student.module, decay=self.config.average, step=index
            )
            yield self.average

    def _drawn(self) -> Tensor:
        latents = self.student.sample_latents(self.config.batch_size, self.rng)
        return self.student(latents)

    def _judge(self, drawn: Tensor) -> None:
        """One update of the discriminator."""
        real = self.wanted(len(drawn), self.rng).to(drawn)
        fake = F.softplus(self.discriminator(drawn)).mean()
        if self.unwanted is not None:
            other = self.unwanted(len(drawn), self.rng).to(drawn)
            seen = F.softplus(self.discriminator(other)).mean()
            fake = (1 - self.share) * fake + self.share * seen
        update(self.critic, F.softplus(-self.discriminator(real)).mean() + fake)
        if self.config.gamma and self.judged % self.config.r1_every == 0:
            weight = self.config.gamma / 2 * self.config.r1_every
            update(self.critic, r1_penalty(self.discriminator, real) * weight)
        self.judged += 1
