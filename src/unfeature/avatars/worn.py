"""The layers round and on the face: hair, bangs, glasses, earrings, hat."""

import torch
from torch import Tensor

from unfeature.avatars.canvas import Canvas, box, ellipse
from unfeature.avatars.face import HEAD, SIDES
from unfeature.avatars.look import Look
from unfeature.avatars.shade import lit, strands


def hair(canvas: Canvas, look: Look) -> None:
    """The cap of hair round the face."""

    def cap(u: Tensor, v: Tensor) -> Tensor:
        around = ellipse(u, v, 0.0, -0.06, look.half_width + 0.085, look.half_height + 0.075)
        middle = 0.05 * look.yaw + look.part
        opening = ellipse(u, v, middle, 0.16, look.half_width * 0.95, look.hairline)
        end = v - torch.where(look.is_("long_hair"), 0.30, 0.02)
        return torch.maximum(torch.maximum(around, -opening), end)

    canvas.paint(HEAD, cap, lambda u, v: strands(look.hair, u, v, look, 1.0))


def bangs(canvas: Canvas, look: Look) -> None:
    """Hair over the forehead, down to the brows."""
    rows = look.rows("bangs")
    cut = look[rows]

    def fringe(u: Tensor, v: Tensor) -> Tensor:
        crown = ellipse(u, v, 0.0, -0.06, cut.half_width + 0.06, cut.half_height + 0.06)
        ends = v + 0.225 + cut.bang_cut - 0.035 * (u * 17 + cut.phase).sin() + 0.3 * u * u
        return torch.maximum(crown, ends)

    canvas.paint(HEAD, fringe, lambda u, v: strands(cut.hair, u, v + 0.08, cut, 1.0), rows=rows)


def glasses(canvas: Canvas, look: Look) -> None:
    """Frames with clear lenses or, for sunglasses, with dark ones."""
    dark = look.faces.having("sunglasses")
    for tint, opacity, kind in ((0.75, 0.13, ~dark), (-0.80, 0.94, dark)):
        rows = (look.faces.having("glasses") & kind).nonzero().squeeze(1)
        _lenses(canvas, look[rows], rows, torch.full((len(rows), 3), tint), opacity)


def _lenses(canvas: Canvas, worn: Look, rows: Tensor, tint: Tensor, opacity: float) -> None:
    area = (-0.75, -0.45, 0.75, 0.42)
    middle = worn.gap + 0.015
    inner, outer = middle - worn.lens, middle + worn.lens
    temple = worn.half_width + 0.03

    def lens(across: Tensor, v: Tensor) -> Tensor:
        return box(across, v, middle, 0.0, worn.lens, worn.lens * 0.80, worn.corner)

    def frame(u: Tensor, v: Tensor) -> Tensor:
        across = (u - 0.09 * worn.yaw).abs()
        bridge = box(across, v, 0.0, -0.03, inner, 0.022, 0.01)
        arm = box(across, v, (outer + temple) / 2, -0.045, (temple - outer) / 2, 0.022, 0.01)
        return torch.minimum(torch.minimum(lens(across, v).abs() - 0.026, bridge), arm)

    canvas.paint(
        area,
        lambda u, v: lens((u - 0.09 * worn.yaw).abs(), v),
        tint,
        rows=rows,
        opacity=opacity,
    )
    canvas.paint(area, frame, worn.frame, rows=rows)


def earrings(canvas: Canvas, look: Look) -> None:
    """A golden drop below each ear, in front of long hair."""
    rows = look.rows("earrings")
    for side in SIDES:
        _drop(canvas, look[rows], rows, side)


def _drop(canvas: Canvas, worn: Look, rows: Tensor, side: int) -> None:
    at = side * (worn.half_width + 0.02) - 0.03 * worn.yaw
    canvas.paint(
        (-0.8, 0.0, 0.8, 0.55),
        lambda u, v: ellipse(u, v, at, 0.24, worn.ring, worn.ring * 1.25),
        lambda u, v: lit(worn.gold, torch.zeros_like(u), (v - 0.22) * 8, worn, 0.2),
        rows=rows,
    )


def hat(canvas: Canvas, look: Look) -> None:
    """A dome and a brim."""
    rows = look.rows("hat")
    worn = look[rows]
    wide = worn.half_width + 0.10
    canvas.paint(
        (-0.8, -1.0, 0.8, -0.05),
        lambda u, v: torch.maximum(ellipse(u, v, 0.0, -0.33, wide, 0.48), v + 0.33),
        lambda u, v: lit(worn.hat, u / 0.6, (v + 0.55) * 2, worn, 0.22),
        rows=rows,
    )
    canvas.paint(
        (-0.95, -0.75, 0.95, 0.0),
        lambda u, v: box(u, v - 0.10 * u * u, 0.0, -0.36, wide + worn.brim, 0.055, 0.05),
        worn.hat * 0.72 - 0.22,
        rows=rows,
    )
