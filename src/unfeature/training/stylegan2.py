"""Training StyleGAN2 (arXiv 1912.04958) with adaptive augmentation (arXiv 2006.06676).

    L_D = E[softplus(−D(x))] + E[softplus(D(G(z)))]        R1  = γ/2·E[‖∇D(x)‖²]
    L_G = E[softplus(−D(G(z)))]                            L_pl = E[(‖Jᵀy‖ − a)²]

R1 (Mescheder et al., ICML 2018) and the path length penalty (section 3.2; J = ∂G/∂w, y an image of
normals over √pixels, a the moving mean of ‖Jᵀy‖) are updates of their own, every k-th step and k
times as strong ("lazy", section 3.1 and appendix B; `lazy_adam`).

One departure: the images drawn for D's update serve G's too, which saves drawing them twice. One
addition, when a judge of the data is at hand: a second discriminator that sees the judge's
features, whose opinion is added to G's loss (`unfeature.training.second`).
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.models.stylegan2 import StyleGAN2Generator
from unfeature.models.stylegan2_discriminator import StyleGAN2Discriminator
from unfeature.training.augment import AugmentController, augment
from unfeature.training.loop import Session, TrainConfig, lazy_adam, update
from unfeature.training.second import SecondConfig, SecondOpinion


class StyleGAN2Config(SecondConfig):
    """What StyleGAN2's training knows besides `TrainConfig`."""

    gamma: float | None = Field(None, ge=0)
    """γ of R1; when not given 0.0002·side²/batch. 0 turns R1 off."""
    r1_every: int = Field(16, ge=1)
    """Steps from one R1 update to the next."""
    path_weight: float = Field(2.0, ge=0)
    """Weight of the path length penalty; 0 turns it off."""
    path_every: int = Field(8, ge=1)
    """Steps from one path length update to the next; each takes half a batch."""
    path_decay: float = Field(0.99, ge=0, lt=1)
    """Decay of the moving mean a of path lengths."""
    mixing: float = Field(0.5, ge=0, le=1)
    """Share of images whose layers from some point on take a second w."""
    half_life: float = Field(0.0, ge=0)
    """Images after which half of the average of G's weights is renewed; 0 takes `average`."""
    ada_target: float = Field(0.6, ge=-1, le=1)
    """The mean sign of D on real images that augmentation holds."""
    ada_speed: int = Field(500_000, ge=1)
    """Images after which the augmentation's probability could have gone from 0 to 1."""
    augment: float | None = Field(None, ge=0, le=1)
    """A fixed probability of augmentation; adaptive when not given."""
    head_start: int = Field(0, ge=0)
    """First steps in which only the discriminators learn, where the generator is trained already
    and they are not; over as many again the step size of the generator grows."""


class PathLength:
    """The penalty (‖Jᵀy‖ − a)² and its moving mean a.

    ‖Jᵀy‖² is averaged over the layers' copies of w, so a does not grow with the depth.
    """

    def __init__(self, decay: float):
        self.decay, self.mean = decay, 0.0

    def penalty(
        self,
        images: Float[Tensor, "n c h w"],
        ws: Float[Tensor, "n layers w_dim"],
        y: Float[Tensor, "n c h w"],
    ) -> Float[Tensor, ""]:
        """Moves a, too. `images` must be a differentiable function of `ws`; y ~ N(0, 1/(h·w))."""
        (slope,) = torch.autograd.grad((images * y).sum(), ws, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        if lengths.mean().isfinite():
            self.mean += (1 - self.decay) * (lengths.mean().item() - self.mean)
        return (lengths - self.mean).square().mean()

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]


def r1_penalty(discriminator: nn.Module, real: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """E[‖∇D(x)‖²] over real images x as D sees them, that is, after augmentation."""
    real = real.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return slope.square().sum(dim=(1, 2, 3)).mean()


class StyleGAN2Session(Session):
    """A StyleGAN2 generator and discriminator, updated in turn.

    Args:
        second: what a discriminator that sees a judge's features says, beside StyleGAN2's own.
    """

    parts: tuple[str, ...] = (
        "generator",
        "discriminator",
        "average",
        "generator_optimizer",
        "discriminator_optimizer",
        "controller",
        "path_length",
    )

    def __init__(
        self,
        generator: StyleGAN2Generator,
        discriminator: StyleGAN2Discriminator,
        config: TrainConfig,
        settings: StyleGAN2Config | None = None,
        *,
        second: SecondOpinion | None = None,
    ):
        self.config = config
        self.settings = settings = settings or StyleGAN2Config()
        self.generator, self.discriminator = generator, discriminator
        for module in (generator, discriminator):  # a sixth faster on a CPU
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(generator).requires_grad_(False)
        side = generator.image_shape[-1]
        heuristic = 0.0002 * side**2 / config.batch_size
        self.gamma = heuristic if settings.gamma is None else settings.gamma
        self.decay = config.average
        if settings.half_life:
            self.decay = 0.5 ** (config.batch_size / settings.half_life)
        path_every = settings.path_every if settings.path_weight else None
        r1_every = settings.r1_every if self.gamma else None
        self.generator_optimizer = lazy_adam(generator, config.learning_rate, path_every)
        self.discriminator_optimizer = lazy_adam(discriminator, config.learning_rate, r1_every)
        self.controller = AugmentController(
            target=settings.ada_target, speed=settings.ada_speed, fixed=settings.augment
        )
        self.path_length = PathLength(settings.path_decay)
        self.second = second
        self.optimizers = [self.generator_optimizer, self.discriminator_optimizer]
        if second is not None:
            self.parts = (*self.parts, "second")
            self.optimizers.append(second.optimizer)
        self.rates = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        n, settings = len(images), self.settings
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:  # constant, then linear over the last quarter
                group["lr"] = rate * min(1.0, 4 * (1 - progress))
        if self.steps < 2 * settings.head_start:
            for group in self.generator_optimizer.param_groups:
                group["lr"] *= max(0.0, self.steps / settings.head_start - 1)
        drawn = self._draw(self._ws(n, rng), rng)
        fake = augment(drawn, self.controller.p, rng)
        real = images.contiguous(memory_format=torch.channels_last)
        real = augment(real, self.controller.p, rng)

        real_logits = self.discriminator(real)
        loss_d = F.softplus(-real_logits).mean()
        loss_d = loss_d + F.softplus(self.discriminator(fake.detach())).mean()
        update(self.discriminator_optimizer, loss_d)
        self.controller.update(real_logits)
        losses = {"discriminator": loss_d.item()}
        if self.gamma and self.steps % settings.r1_every == 0:
            penalty = r1_penalty(self.discriminator, real)
            weight = self.gamma / 2 * settings.r1_every
            update(self.discriminator_optimizer, penalty * weight)

        self.discriminator.requires_grad_(False)
        loss_g = F.softplus(-self.discriminator(fake)).mean()
        losses["generator"] = loss_g.item()
        if self.second is not None:
            loss_h, more = self.second(images, drawn)
            losses.update({"second": loss_h, "generator, second": more.item()})
            loss_g = loss_g + settings.judge_weight * more
        update(self.generator_optimizer, loss_g)
        self.discriminator.requires_grad_(True)
        if settings.path_weight and self.steps % settings.path_every == 0:
            ws = self._ws(max(1, n // 2), rng)
            drawn = self._draw(ws, rng)
            y = torch.randn(drawn.shape, generator=rng).to(drawn)
            y = y / (drawn.shape[2] * drawn.shape[3]) ** 0.5
            penalty = self.path_length.penalty(drawn, ws, y)
            weight = settings.path_weight * settings.path_every
            update(self.generator_optimizer, penalty * weight)

        update_average(self.average, self.generator, decay=self.decay, step=self.steps)
        self.steps += 1
        return {
            **losses,
            "real sign": real_logits.detach().sign().mean().item(),
            "augment p": self.controller.p,
            "path length": self.path_length.mean,
        }

    def _ws(self, n: int, rng: torch.Generator) -> Float[Tensor, "n layers w_dim"]:
        """One w a layer; for a share of images a second w takes over at a random layer."""
        generator, layers = self.generator, self.generator.synthesis.num_ws
        w = generator.mapping(self._z(n, rng))
        generator.mapping.follow(w.detach())
        ws = w[:, None].expand(-1, layers, -1)
        if not self.settings.mixing:
            return ws
        other = generator.mapping(self._z(n, rng))
        cut = torch.randint(1, layers, (n, 1), generator=rng)
        mixed = torch.rand(n, 1, generator=rng) < self.settings.mixing
        second = mixed & (torch.arange(layers) >= cut)
        return torch.where(second[:, :, None].to(ws.device), other[:, None], ws)

    def _z(self, n: int, rng: torch.Generator) -> Float[Tensor, "n z_dim"]:
        return torch.randn(n, *self.generator.latent_shape, generator=rng).to(self.device)

    def _draw(self, ws: Tensor, rng: torch.Generator) -> Float[Tensor, "n c h w"]:
        return self.generator.synthesis(ws, "random", rng)
