"""A batch of pictures that shapes are painted onto, one layer after another, with smooth edges.

A shape is a signed distance: negative inside, zero on the edge, in units of half the picture's
side. The share of a pixel that it covers is taken to be linear across the edge, one pixel wide.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Shape = Callable[[Tensor, Tensor], Tensor]
Paint = Tensor | Callable[[Tensor, Tensor], Tensor]
Value = float | Tensor


class Canvas:
    """`n` square pictures and, for every pixel, where it lies in its face's own coordinates.

    Face coordinates: the origin is the middle of the face, u points right and v down, and the
    picture's half side is 1 for a face of scale 1 that stands upright in the middle.

    Args:
        place: columns x, y, scale, roll (radians): where the face is, one row a picture.
    """

    def __init__(self, size: int, place: Float[Tensor, "n 4"]):
        self.size = size
        axis = (torch.arange(size) + 0.5) * (2 / size) - 1
        x, y, scale, roll = place.view(-1, 4, 1, 1).unbind(1)
        dx, dy = axis.view(1, 1, size) - x, axis.view(1, size, 1) - y
        cos, sin = roll.cos() / scale, roll.sin() / scale
        self.u, self.v = cos * dx + sin * dy, cos * dy - sin * dx
        self.edge = 0.5 * size * scale
        self.images = torch.zeros(len(place), 3, size, size)

    def paint(
        self,
        box: tuple[float, float, float, float],
        shape: Shape,
        color: Paint,
        *,
        rows: Tensor | None = None,
        opacity: float | Tensor = 1.0,
        soft: float = 0.0,
    ) -> None:
        """Paint one layer.

        Args:
            box: left, top, right, bottom in picture coordinates; nothing is painted outside it.
            shape: (u, v) → signed distance, each of shape (rows, h, w).
            color: one colour a picture, (rows, 3) in [−1, 1], or (u, v) → (rows, 3, h, w).
            rows: the pictures to paint, by number; all when not given.
            opacity: in [0, 1]; or one a picture, of shape (rows, 1, 1).
            soft: how wide the edge is, in face units; at least a pixel.
        """
        if rows is not None and len(rows) == 0:
            return
        left, top, right, bottom = (self._pixel(at) for at in box)
        area = (slice(None) if rows is None else rows, slice(top, bottom), slice(left, right))
        u, v = self.u[area], self.v[area]
        edge = self.edge if rows is None else self.edge[rows]
        if soft:
            edge = edge.clamp(max=1 / soft)
        cover = (0.5 - shape(u, v) * edge).clamp_(0, 1) * opacity
        paint = color(u, v) if callable(color) else color[:, :, None, None]
        picture = (area[0], slice(None), *area[1:])
        below = self.images[picture]
        painted = torch.lerp(below, paint.expand_as(below), cover[:, None].expand_as(below))
        self.images[picture] = painted

    def _pixel(self, at: float) -> int:
        return min(self.size, max(0, round((at + 1) * self.size / 2)))


def ellipse(u: Tensor, v: Tensor, x: Value, y: Value, rx: Value, ry: Value) -> Tensor:
    """Signed distance to an ellipse, exact along its axes."""
    radius = ((u - x) / rx).square_().add_(((v - y) / ry).square_()).sqrt_()
    return (radius - 1) * (torch.as_tensor(rx) * torch.as_tensor(ry)).sqrt()


def box(u: Tensor, v: Tensor, x: Value, y: Value, rx: Value, ry: Value, corner: Value) -> Tensor:
    """Signed distance to a rectangle of half sides rx, ry with rounded corners."""
    across, down = (u - x).abs() - (rx - corner), (v - y).abs() - (ry - corner)
    outside = (across.clamp(min=0).square_() + down.clamp(min=0).square_()).sqrt_()
    return outside + torch.maximum(across, down).clamp_(max=0) - corner


def stroke(
    u: Tensor, v: Tensor, x: Value, y: Value, half: Value, bend: Value, width: Value
) -> Tensor:
    """A brush stroke of half length `half` round (x, y), its ends `bend` lower than its middle."""
    along = (u - x) / half
    down = v - y - bend * along.square()
    sideways = (along.abs() - 1).clamp(min=0) * half
    return (down.square() + sideways.square()).sqrt_() - width
