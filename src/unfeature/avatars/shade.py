"""How a colour changes over a surface: light and rim, strands of hair."""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.avatars.look import Look

Colors = Float[Tensor, "n 3"]
Field = Float[Tensor, "n h w"]


def lit(color: Colors, across: Tensor, down: Tensor, look: Look, strength: float) -> Tensor:
    """A colour on something round, brighter where it faces the light and darker at the rim."""
    light = strength * (across * look.light_x + down * look.light_y)
    rim = 0.10 * (across.square() + down.square()).clamp(max=1.5)
    return dimmed(color, 1.04 + light - rim)


def strands(color: Colors, u: Field, v: Field, look: Look, level: float) -> Tensor:
    """Hair: fine waves across, a shine near the top."""
    waves = 0.10 * (u * look.strands + 2.2 * (3 * v).sin() + look.phase).sin()
    shine = 0.20 * torch.exp(-((v + 0.42 - 0.25 * u * look.light_x) / 0.13).square())
    return dimmed(color, level * (0.96 + waves + shine))


def dimmed(color: Colors, factor: Field) -> Tensor:
    """A colour in [−1, 1] times a brightness, where 1 leaves it; (n, 3, h, w)."""
    return (color[:, :, None, None] + 1) * factor[:, None] - 1
