"""How close unlearning comes to the perfect picture, which is known for avatars.

An avatar x with the feature has a counterfactual x′, the same face without it. Inversion finds the
latent z* from which the original draws x as nearly as it can; a perfect unlearned generator would
draw x′ from it just as nearly.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from unfeature.avatars import Faces, Table, draw, sample
from unfeature.errors import UserError
from unfeature.generator import Generator
from unfeature.generator import draw as generate
from unfeature.invert import invert

FIRST = 40_000_000
"""The number of the first avatar looked at, far beyond those anything was trained on."""


@dataclass(frozen=True)
class Counterfactuals:
    """Pictures of the same faces, and mean L1 distances between them; images in [−1, 1].

    Attributes:
        faces: x, avatars that have the feature.
        without: x′, the same ones without it.
        before: f(z*), the original's nearest pictures to x.
        after: g(z*), what the unlearned generator draws instead.
        floor: |f(z*) − x|, what inversion cannot reach.
        unchanged: |f(z*) − x′|, the distance if nothing were unlearned.
        reached: |g(z*) − x′|.
    """

    faces: Float[Tensor, "n c h w"]
    without: Float[Tensor, "n c h w"]
    before: Float[Tensor, "n c h w"]
    after: Float[Tensor, "n c h w"]
    floor: Float[Tensor, " n"]
    unchanged: Float[Tensor, " n"]
    reached: Float[Tensor, " n"]

    def summary(self) -> dict[str, float | int]:
        """The means over all faces, and how many of them came nearer."""
        return {
            "n": len(self.floor),
            "floor": self.floor.mean().item(),
            "unchanged": self.unchanged.mean().item(),
            "reached": self.reached.mean().item(),
            "nearer": int((self.reached < self.unchanged).sum()),
        }


def having(name: str, n: int, *, seed: int = 0, table: Table | None = None) -> Faces:
    """The first `n` fresh avatars with an attribute."""
    found = sample(range(FIRST, FIRST + 50 * n), seed=seed, table=table)
    rows = found.having(name).nonzero().squeeze(1)
    if len(rows) < n:
        raise UserError(
            f"only {len(rows)} of {50 * n} avatars have '{name}'; ask for fewer than {n}"
        )
    return found[rows[:n]]


def require_faces(original: Generator) -> None:
    """Raise where a generator draws other pictures than avatars are."""
    channels, height, width = original.image_shape
    if channels != 3 or height != width or height < 16 or height & (height - 1):
        raise UserError(
            "evaluate.counterfactual is for avatars, which are RGB and square, their side a power "
            f"of two from 16 on; the generator draws {list(original.image_shape)}"
        )


def counterfactuals(
    original: Generator, unlearned: Generator, name: str, *, n: int = 64, steps: int = 150
) -> Counterfactuals:
    """Compare g with the perfect pictures of `n` avatars that have the attribute.

    Raises:
        UserError: no such attribute, or generators of other pictures than square RGB.
    """
    require_faces(original)
    height = original.image_shape[1]
    faces = having(name, n)
    shown = draw(faces, size=height).to(original.device)
    without = draw(faces.counterfactual(**{name: False}), size=height).to(original.device)
    found = invert(original, shown, steps=steps)
    after = generate(unlearned, found.latents)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))

    return Counterfactuals(
        shown,
        without,
        found.images,
        after,
        found.l1,
        distance(found.images, without),
        distance(after, without),
    )
