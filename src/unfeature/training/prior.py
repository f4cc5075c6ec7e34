"""The second stage of a VAE's training: a prior for the latents that its encoder gives."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unfeature.averaging import update_average
from unfeature.datasets import ImageSet
from unfeature.models.transport import Transport
from unfeature.training.loop import Session, TrainConfig, update

RATE = 1.5e-3
"""Adam's step size at the start."""
AVERAGE = 0.999


class PriorSession(Session):
    """A transport that learns from posteriors; its average is the prior.

    Args:
        posteriors: as `encoded` gives them, for the latents' own mean and spread.
    """

    parts = ("transport", "average", "optimizer")
    average: Transport

    def __init__(
        self, transport: Transport, posteriors: Float[Tensor, "n 2 1 d"], config: TrainConfig
    ):
        self.transport, self.config = transport, config
        means, log_variances = posteriors.flatten(2).unbind(1)
        variance = means.var(0) + log_variances.exp().mean(0)
        transport.mean.copy_(means.mean(0))
        transport.std.copy_(variance.sqrt())
        self.average = copy.deepcopy(transport).requires_grad_(False)
        self.optimizer = torch.optim.Adam(transport.parameters(), RATE, fused=True)

    def step(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, progress: float
    ) -> dict[str, float]:
        """`images` are posteriors, (n, 2, 1, d)."""
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * (1 - progress)
        mean, log_variance = images.flatten(2).unbind(1)
        noise, u = (torch.randn(mean.shape, generator=rng).to(mean) for _ in range(2))
        t = torch.rand(len(mean), generator=rng).to(mean)
        loss = self.transport.loss(mean + (log_variance / 2).exp() * noise, u, t)
        update(self.optimizer, loss)
        update_average(self.average, self.transport, decay=AVERAGE, step=self.steps)
        self.steps += 1
        return {"velocity": loss.item()}


@torch.no_grad()
def encoded(
    encoder: nn.Module, images: Float[Tensor, "n c h w"], *, device: torch.device | str = "cpu"
) -> ImageSet:
    """The posteriors q(z | x) of images as pictures of two channels, means and log-variances, one
    row high: (n, 2, 1, d), on the CPU."""
    parts = [torch.stack(encoder(part.to(device)), dim=1).cpu() for part in images.split(256)]
    found = torch.cat(parts).unsqueeze(2)
    return ImageSet(found, torch.zeros(len(found), dtype=torch.long), ("encoded",))
