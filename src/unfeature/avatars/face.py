"""The layers of the face and what is behind it."""

import torch
from torch import Tensor

from unfeature.avatars.canvas import Canvas, box, ellipse, stroke
from unfeature.avatars.look import Look
from unfeature.avatars.shade import dimmed, lit, strands

HEAD = (-0.72, -0.82, 0.72, 0.80)
SIDES = (-1, 1)


def background(canvas: Canvas, look: Look) -> None:
    """A wall that gets darker downwards and towards its corners."""
    axis = torch.linspace(-1, 1, canvas.size)
    x, y = axis.view(1, -1), axis.view(-1, 1)
    glow = 1.06 - 0.10 * y - 0.12 * (y.square() + x.square())
    canvas.images = (look.background[:, :, None, None] + 1) * glow - 1


def body(canvas: Canvas, look: Look) -> None:
    """Shoulders, long hair that falls on them, the neck and the ears."""
    canvas.paint(
        (-1.0, 0.35, 1.0, 1.0),
        lambda u, v: ellipse(u, v, 0.0, 1.18, look.shoulders, 0.46),
        lambda u, v: lit(look.shirt, u * 0.9, v - 0.9, look, 0.22),
    )
    rows = look.rows("long_hair")
    long = look[rows]

    def mane(u: Tensor, v: Tensor) -> Tensor:
        half = long.half_width + 0.13 + 0.03 * (5 * v).sin()
        return box(u, v, 0.0, (long.fall - 0.5) / 2, half, (long.fall + 0.5) / 2, 0.30)

    canvas.paint(
        (-0.9, -0.75, 0.9, 1.0),
        mane,
        lambda u, v: strands(long.hair, u, v, long, 0.72),
        rows=rows,
    )
    canvas.paint(
        (-0.5, 0.2, 0.5, 1.0),
        lambda u, v: box(u, v, 0.0, 0.60, look.neck, 0.28, 0.12),
        lambda u, v: dimmed(look.skin, 0.70 + 0.35 * ((v - 0.45) * 3).clamp(0, 1)),
    )
    for side in SIDES:
        _ear(canvas, look, side)


def _ear(canvas: Canvas, look: Look, side: int) -> None:
    at = side * look.half_width - 0.03 * look.yaw
    canvas.paint(
        (-0.75, -0.35, 0.75, 0.45),
        lambda u, v: ellipse(u, v, at, 0.04, 0.075, 0.115),
        look.skin * 0.92 - 0.08,
    )


def head(canvas: Canvas, look: Look) -> None:
    """The face's outline, its light, and cheeks."""
    canvas.paint(
        HEAD,
        lambda u, v: look.face(u, v, 0.0),
        lambda u, v: lit(look.skin, u / look.half_width, v / look.half_height, look, 0.16),
    )
    for side in SIDES:
        _cheek(canvas, look, side)


def _cheek(canvas: Canvas, look: Look, side: int) -> None:
    canvas.paint(
        (-0.55, -0.2, 0.55, 0.5),
        lambda u, v: ellipse(u, v, side * 0.22 + 0.05 * look.yaw, 0.16, 0.10, 0.08),
        look.blush,
        soft=0.12,
        opacity=0.45 * look.cheeks,
    )


def age(canvas: Canvas, look: Look) -> None:
    """Lines on the forehead, beside the mouth and under the eyes."""
    rows = look.rows("old")
    old = look[rows]
    for y, half in ((-0.30, 0.20), (-0.235, 0.17), (-0.365, 0.15)):
        _wrinkle(canvas, old, rows, y, half)
    for side in SIDES:
        _folds(canvas, old, rows, side)


def _wrinkle(canvas: Canvas, old: Look, rows: Tensor, y: float, half: float) -> None:
    canvas.paint(
        (-0.5, -0.65, 0.5, 0.1),
        lambda u, v: stroke(u, v, 0.05 * old.yaw, y, half, -0.02, 0.017),
        old.crease,
        rows=rows,
        opacity=0.85,
    )


def _folds(canvas: Canvas, old: Look, rows: Tensor, side: int) -> None:
    eye, cheek = side * old.gap + 0.06 * old.yaw, 0.180 + 0.07 * side * old.yaw
    canvas.paint(
        (-0.6, -0.2, 0.6, 0.3),
        lambda u, v: stroke(u, v, eye, 0.115, 0.085, -0.035, 0.019),
        old.crease,
        rows=rows,
        opacity=0.85,
    )
    canvas.paint(
        (-0.6, -0.05, 0.6, 0.6),
        lambda u, v: stroke(v, u * side, 0.225, cheek, 0.105, 0.05, 0.021),
        old.crease,
        rows=rows,
        opacity=0.9,
    )


def beard(canvas: Canvas, look: Look) -> None:
    """The lower face and a moustache; the mouth is painted later."""
    rows = look.rows("beard")
    man = look[rows]

    def shape(u: Tensor, v: Tensor) -> Tensor:
        bare = ellipse(u, v, 0.05 * man.yaw, -0.02, man.half_width * 0.86, 0.25 - 0.05 * man.beard)
        jaw = torch.maximum(man.face(u, v, 0.02 + 0.05 * man.beard), -bare)
        return torch.maximum(jaw, -(v + 0.02))

    canvas.paint(
        (-0.7, -0.1, 0.7, 0.85),
        shape,
        lambda u, v: strands(man.hair, u, v, man, 0.85),
        rows=rows,
    )


def mouth(canvas: Canvas, look: Look) -> None:
    """Closed lips, or a smile that shows teeth."""
    area = (-0.5, 0.05, 0.5, 0.65)
    serious = (~look.faces.having("smile")).nonzero().squeeze(1)
    calm = look[serious]

    def closed(u: Tensor, v: Tensor, width: float) -> Tensor:
        return stroke(u, v, 0.08 * calm.yaw, 0.315, calm.mouth * 0.8, 0.012, width)

    seam = calm.lips * 0.6 - 0.4
    canvas.paint(area, lambda u, v: closed(u, v, 0.028), calm.lips, rows=serious)
    canvas.paint(area, lambda u, v: closed(u, v, 0.007), seam, rows=serious, opacity=0.8)
    rows = look.rows("smile")
    glad = look[rows]

    def crescent(u: Tensor, v: Tensor, grow: float) -> Tensor:
        along = (u - 0.08 * glad.yaw) / (glad.mouth * 1.25 + grow)
        bow = (1 - along.square()).clamp(min=-1)
        lower = v - 0.265 - (glad.opened + grow) * bow
        upper = 0.265 + 0.025 * bow - v - grow
        return torch.maximum(lower, upper) * 0.8

    inside = torch.tensor([0.25, -0.62, -0.60]).expand(len(rows), 3)
    teeth = torch.full((len(rows), 3), 0.93)
    canvas.paint(area, lambda u, v: crescent(u, v, 0.025), glad.lips, rows=rows)
    canvas.paint(area, lambda u, v: crescent(u, v, 0.0), inside, rows=rows)
    canvas.paint(
        area,
        lambda u, v: torch.maximum(crescent(u, v, -0.006), v - 0.275 - 0.5 * glad.opened),
        teeth,
        rows=rows,
    )


def nose(canvas: Canvas, look: Look) -> None:
    """A shadow below and light along the bridge."""
    area = (-0.4, -0.3, 0.4, 0.42)
    canvas.paint(
        area,
        lambda u, v: ellipse(u, v, 0.13 * look.yaw, 0.155, look.nose, 0.036),
        look.skin * 0.80 - 0.22,
        opacity=0.75,
    )
    canvas.paint(
        area,
        lambda u, v: ellipse(u, v, 0.12 * look.yaw, 0.06, 0.032, 0.11),
        look.skin * 0.88 + 0.14,
        soft=0.05,
        opacity=0.7,
    )


def eyes(canvas: Canvas, look: Look) -> None:
    """White, iris, pupil, lid and brow of both eyes."""
    for side in SIDES:
        _eye(canvas, look, side)


def _eye(canvas: Canvas, look: Look, side: int) -> None:
    area = (-0.56, -0.42, 0.56, 0.26)
    at, size = side * look.gap + 0.08 * look.yaw, look.eye
    brow = torch.where(look.is_("male"), 0.030, 0.017)
    lashes = torch.where(look.is_("male"), 0.009, 0.020)

    def white(u: Tensor, v: Tensor) -> Tensor:
        return ellipse(u, v, at, look.eye_y, size * 1.25, size * 0.86)

    def disc(u: Tensor, v: Tensor, radius: float) -> Tensor:
        middle = at + 0.02 * look.gaze
        return torch.maximum(ellipse(u, v, middle, look.eye_y, radius, radius), white(u, v))

    def lid(u: Tensor, v: Tensor) -> Tensor:
        return stroke(u, v, at, look.eye_y - size * 0.92, size * 1.3, size * 0.6, lashes)

    def eyebrow(u: Tensor, v: Tensor) -> Tensor:
        return stroke(u, v - look.tilt * side * (u - at), at, look.brow_y, 0.115, 0.03, brow)

    canvas.paint(area, white, torch.full((len(look), 3), 0.92))
    canvas.paint(area, lambda u, v: disc(u, v, 0.056), look.iris)
    canvas.paint(area, lambda u, v: disc(u, v, 0.028), look.black)
    canvas.paint(area, lid, look.black, opacity=0.9)
    canvas.paint(area, eyebrow, look.brow)
