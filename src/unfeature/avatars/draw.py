"""From faces to pictures: the layers of an avatar, from the background to the hat.

Everything is vectorised over a batch; a layer is painted only for the faces that have it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.avatars import face, worn
from unfeature.avatars.canvas import Canvas
from unfeature.avatars.look import Look
from unfeature.avatars.scene import Faces
from unfeature.errors import UserError

BATCH = 64
"""Faces painted at once: few enough for their pictures to stay in the processor's cache."""

LAYERS = (
    *(face.background, face.body, face.head, face.beard, face.age, face.mouth, face.nose),
    *(face.eyes, worn.hair, worn.bangs, worn.glasses, worn.earrings, worn.hat),
)


def draw(faces: Faces, *, size: int = 64) -> Float[Tensor, "n 3 s s"]:
    """Pictures in [−1, 1], one a face, the same whatever they are drawn together with.

    Raises:
        UserError: `size` is not a power of two of at least 16.
    """
    if size < 16 or size & (size - 1):
        raise UserError(f"avatars of {size}×{size}: the size must be a power of two from 16 on")
    images = torch.empty(len(faces), 3, size, size)
    for start in range(0, len(faces), BATCH):
        part = slice(start, start + BATCH)
        images[part] = _painted(faces[part], size)
    return images


def _painted(faces: Faces, size: int) -> Tensor:
    look = Look.of(faces)
    canvas = Canvas(size, look.place)
    for layer in LAYERS:
        layer(canvas, look)
    return canvas.images.clamp_(-1, 1)
