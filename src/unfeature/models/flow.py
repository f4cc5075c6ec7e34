"""A normalising flow as a VAE's prior, learnt with it.

Where the latents of the data do not fill a Gaussian prior, samples from it decode to blurs. A flow
F turns u ~ N(0, I) into latents z = F(u) that are distributed as those of the data are, and its
density stands in the evidence lower bound in the place of the Gaussian's: Chen et al., "Variational
Lossy Autoencoder" (ICLR 2017, arXiv 1611.02731), section 3.2, with the affine coupling layers of
Dinh, Sohl-Dickstein, Bengio, "Density Estimation Using Real NVP" (ICLR 2017, arXiv 1605.08803).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

LARGEST = 2.0
"""A coupling's log-scales lie in [−LARGEST, LARGEST]."""


class Coupling(nn.Module):
    """z_b = u_b · exp(s(u_a)) + t(u_a), z_a = u_a: one half moved as the other says.

    It starts as the identity.

    Args:
        dim: of the latents; an even number.
        width: of the two hidden layers.
        second: whether the second half says how the first is moved.
    """

    def __init__(self, dim: int, width: int, *, second: bool):
        super().__init__()
        half = dim // 2
        self.second = second
        self.net = nn.Sequential(
            nn.Linear(half, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 2 * half),
        )
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, u: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        still, moved = self._halves(u)
        log_scale, shift = self._said(still)
        return self._joined(still, moved * log_scale.exp() + shift)

    def inverse(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """u with z = F(u), and log |det ∂u/∂z|."""
        still, moved = self._halves(z)
        log_scale, shift = self._said(still)
        return self._joined(still, (moved - shift) * (-log_scale).exp()), -log_scale.sum(1)

    def _said(self, still: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.net(still).chunk(2, dim=1)
        return LARGEST * torch.tanh(log_scale / LARGEST), shift

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.chunk(2, dim=1)
        return (second, first) if self.second else (first, second)

    def _joined(self, still: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, still] if self.second else [still, moved], dim=1)


class Flow(nn.Module):
    """u ~ N(0, I) → z: `couplings` layers, each of which moves the other half.

    Raises:
        ValueError: an odd `dim`.
    """

    def __init__(self, dim: int, couplings: int, width: int = 128):
        super().__init__()
        if dim % 2:
            raise ValueError(f"a flow needs an even number of latents, not {dim}")
        self.layers = nn.ModuleList(
            Coupling(dim, width, second=bool(i % 2)) for i in range(couplings)
        )

    def forward(self, u: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        for layer in self.layers:
            u = layer(u)
        return u

    def inverse(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """u with z = F(u), and log |det ∂u/∂z|."""
        total = z.new_zeros(len(z))
        for layer in reversed(self.layers):
            z, change = layer.inverse(z)  # type: ignore[operator]
            total = total + change
        return z, total

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """log p(z) of the latents that the flow draws."""
        u, change = self.inverse(z)
        return gaussian(u) + change


def gaussian(u: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """log N(u; 0, I)."""
    return -0.5 * (u.square().sum(1) + u.shape[1] * math.log(2 * math.pi))
