"""A prior that is learnt after the VAE: normals are carried to where the latents of the data are.

Liu, Gong, Liu, "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow"
(ICLR 2023, arXiv 2209.03003): a velocity v(x, t), learnt so that ∂x/∂t = v(x, t) takes x₀ ~ N(0, I)
at t = 0 to the data's distribution at t = 1,

    min_v E ‖ (z − u) − v(t·z + (1 − t)·u, t) ‖²,      u ~ N(0, I), t ~ U(0, 1).

That a VAE's samples are better when its prior is learnt from what its encoder gives, in a second
stage: Dai, Wipf, "Diagnosing and Enhancing VAE Models" (ICLR 2019, arXiv 1903.05789).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

STEPS = 6
"""Of Heun's method, from t = 0 to 1."""
FREQUENCIES = 16


class Block(nn.Module):
    """A residual block of two layers; it starts as nothing."""

    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Float[Tensor, "n w"], time: Float[Tensor, "n w"]) -> Float[Tensor, "n w"]:
        return x + self.net(x + time)


class Transport(nn.Module):
    """u ~ N(0, I) → latents, by Heun's method along a learnt velocity. It starts at rest.

    Args:
        dim: of the latents.
        blocks: residual blocks of the network that gives the velocity.
        width: of its layers.

    Attributes:
        mean, std: (dim) of the latents; the velocity is learnt of standardised ones.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, blocks: int, width: int = 384):
        super().__init__()
        self.read = nn.Linear(dim, width)
        self.clock = nn.Linear(2 * FREQUENCIES, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.write = nn.Linear(width, dim)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def forward(self, u: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        x, step = u, 1 / STEPS
        for i in range(STEPS):
            now, then = (u.new_full((len(u),), t * step) for t in (i, i + 1))
            first = self.velocity(x, now)
            x = x + step / 2 * (first + self.velocity(x + step * first, then))
        return x * self.std + self.mean

    def velocity(self, x: Float[Tensor, "n d"], t: Float[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """v(x, t) of standardised latents, t in [0, 1]."""
        rates = torch.exp(torch.linspace(0, 4, FREQUENCIES, device=x.device)) * math.pi / 2
        angles = t[:, None] * rates
        time = self.clock(torch.cat([angles.sin(), angles.cos()], dim=1))
        x = self.read(x)
        for block in self.blocks:
            x = block(x, time)
        return self.write(nn.functional.silu(x))

    def loss(
        self, latents: Float[Tensor, "n d"], u: Float[Tensor, "n d"], t: Float[Tensor, " n"]
    ) -> Float[Tensor, ""]:
        """The mean squared error of the velocity, for latents as they are (equation 1)."""
        z = (latents - self.mean) / self.std
        between = t[:, None] * z + (1 - t[:, None]) * u
        return (z - u - self.velocity(between, t)).square().mean()


def frozen(transport: Transport) -> Transport:
    """The same with buffers in the place of parameters: a prior says which latents there are, and
    what unlearns is the decoder of these, as in the paper; so nobody trains it on."""
    for module in transport.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach())
    return transport
