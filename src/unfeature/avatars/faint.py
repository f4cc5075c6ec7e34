"""Something worn of which only a rest is there: faint, in patches, or of another colour.

A classifier that has seen glasses and no glasses is sure that a rim a quarter as dark is none. An
unlearned generator may draw just that, and so may a search for pictures the classifier does not
mind. One that is to label or to judge such pictures must have seen rests.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unfeature.avatars.draw import draw
from unfeature.avatars.scene import Faces
from unfeature.seeds import rng

FAINTEST = 0.1
"""Of the difference it makes, what is left at least."""
PATCHES = 6
"""A side: so many numbers a side decide where patches are."""
SOLID = 0.25
"""Where it changes a picture, in [−1, 1], by so much, it is wholly there."""


def faint(faces: Faces, name: str, *, seed: int = 0, size: int = 64) -> Float[Tensor, "n 3 s s"]:
    """Pictures of the faces with a rest of the attribute, which all of them get.

    Between x, the face with it, and x′, without it: x′ + M·d, where M is 1 or a smooth random mask,
    and d is λ·(x − x′), with λ from 0.1 on and a little different in each channel, or, in two of
    five, any colour in its place. What the n faces get follows from the seed.

    Raises:
        UserError: no such attribute.
    """
    given = rng(seed, "faint", name)
    n = len(faces)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=given)

    without = draw(faces.counterfactual(**{name: False}), size=size)
    change = draw(faces.counterfactual(**{name: True}), size=size) - without
    left = FAINTEST + (1 - FAINTEST) * uniform(1, 1, 1) ** 1.5
    paler = (left * (0.75 + 0.5 * uniform(3, 1, 1))).clamp(0, 1) * change
    shape = (change.abs().mean(1, keepdim=True) / SOLID).clamp(0, 1)
    tinted = shape * (1.4 * uniform(3, 1, 1) - 0.7) * (0.3 + 0.7 * uniform(1, 1, 1))
    rest = torch.where(uniform(1, 1, 1) < 0.4, tinted, paler)
    spots = torch.randn(n, 1, PATCHES, PATCHES, generator=given) + 1.2 * uniform(1, 1, 1)
    mask = torch.sigmoid(6 * F.interpolate(spots, size, mode="bicubic"))
    patches = mask * rest
    whole = change.abs().sum((1, 2, 3), keepdim=True).clamp(min=1e-6)
    enough = patches.abs().sum((1, 2, 3), keepdim=True) >= FAINTEST * whole
    chosen = enough & (uniform(1, 1, 1) < 0.6)
    return (without + torch.where(chosen, patches, rest)).clamp(-1, 1)
