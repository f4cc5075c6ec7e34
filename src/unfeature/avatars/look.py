"""From attributes and nuisance to what the layers need: lengths and colours of every face."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from unfeature.avatars.canvas import Value, ellipse
from unfeature.avatars.scene import NUISANCE, Faces


@dataclass(frozen=True)
class Look:
    """Lengths in face units, of shape (n, 1, 1); colours in [−1, 1], of shape (n, 3)."""

    faces: Faces
    place: Tensor
    yaw: Tensor
    light_x: Tensor
    light_y: Tensor
    half_width: Tensor
    half_height: Tensor
    taper: Tensor
    shoulders: Tensor
    neck: Tensor
    eye: Tensor
    eye_y: Tensor
    gap: Tensor
    gaze: Tensor
    brow_y: Tensor
    tilt: Tensor
    nose: Tensor
    mouth: Tensor
    opened: Tensor
    cheeks: Tensor
    hairline: Tensor
    part: Tensor
    strands: Tensor
    phase: Tensor
    fall: Tensor
    bang_cut: Tensor
    beard: Tensor
    lens: Tensor
    corner: Tensor
    ring: Tensor
    brim: Tensor
    background: Tensor
    skin: Tensor
    blush: Tensor
    crease: Tensor
    lips: Tensor
    hair: Tensor
    brow: Tensor
    iris: Tensor
    black: Tensor
    shirt: Tensor
    frame: Tensor
    gold: Tensor
    hat: Tensor

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, rows: Tensor) -> "Look":
        return Look(**{part.name: getattr(self, part.name)[rows] for part in fields(self)})

    def rows(self, name: str) -> Tensor:
        """The numbers of the faces that have an attribute."""
        return self.faces.having(name).nonzero().squeeze(1)

    def is_(self, name: str) -> Tensor:
        """Whether each face has an attribute, of shape (n, 1, 1)."""
        return self.faces.having(name).view(-1, 1, 1)

    def face(self, u: Tensor, v: Tensor, grow: Value) -> Tensor:
        """Signed distance to the outline of the face, narrower towards the chin."""
        narrow = 1 - self.taper * (v + 0.1).clamp(min=0)
        return ellipse(u / narrow, v, 0.0, 0.0, self.half_width + grow, self.half_height + grow)

    @classmethod
    def of(cls, faces: Faces) -> "Look":
        """The look of some faces."""
        free = dict(zip(NUISANCE, faces.nuisance.unbind(1), strict=True))

        def has(name: str) -> Tensor:
            return faces.having(name).float()

        def between(name: str, low: Value, high: Value) -> Tensor:
            return low + (high - low) * free[name]

        male, round_, dark = has("male"), has("round_face"), has("dark_skin")
        place = torch.stack(
            [
                between("x", -0.07, 0.07),
                between("y", -0.02, 0.10),
                between("scale", 0.92, 1.10),
                between("roll", -0.12, 0.12),
            ],
            dim=1,
        )
        lengths = {
            "yaw": between("yaw", -1.0, 1.0),
            "light_x": between("light_x", -1.0, 1.0),
            "light_y": between("light_y", -1.0, 0.2),
            "half_width": between("face_width", 0.385, 0.415) + 0.075 * round_,
            "half_height": between("face_width", 0.585, 0.555) - 0.075 * round_,
            "taper": between("jaw", 0.30, 0.42) - 0.16 * male - 0.14 * round_,
            "shoulders": 0.70 + 0.14 * male,
            "neck": 0.15 + 0.06 * male,
            "eye": between("eye_size", 0.068, 0.082) - 0.010 * male,
            "eye_y": torch.zeros(len(faces)),
            "gap": between("eye_gap", 0.175, 0.20),
            "gaze": between("gaze", -1.0, 1.0),
            "brow_y": between("brow_height", -0.165, -0.135) + 0.012 * male,
            "tilt": between("brow_tilt", -0.18, 0.22),
            "nose": between("nose", 0.048, 0.070) + 0.012 * male,
            "mouth": between("mouth_width", 0.125, 0.165),
            "opened": between("mouth_open", 0.10, 0.16),
            "cheeks": between("cheeks", 0.1, 0.9) * (1 - 0.5 * male) * (1 - 0.5 * dark),
            "hairline": between("hairline", 0.50, 0.58),
            "part": between("part", -0.07, 0.07),
            "strands": between("strands", 14.0, 30.0),
            "phase": between("strands", 0.0, 40.0),
            "fall": between("length", 0.55, 1.0),
            "bang_cut": between("bang_cut", -0.02, 0.05),
            "beard": between("beard_length", 0.0, 1.0),
            "lens": between("frame_size", 0.132, 0.158),
            "corner": between("frame_shape", 0.03, 0.105),
            "ring": between("earring", 0.040, 0.055),
            "brim": between("brim", 0.0, 0.22),
        }
        skin = _skin(dark, free)
        hair = _hair(faces, free)
        ones = torch.ones(len(faces))
        night = has("dark_background")
        lips = torch.lerp(
            _hsv(between("lips", -0.03, 0.01), 0.62 * ones, between("lips", 0.80, 0.62)),
            skin * 0.80 - 0.20,
            (0.80 * male)[:, None],
        )
        colors = {
            "background": _hsv(
                free["background_hue"],
                between("background_saturation", 0.10, 0.50),
                torch.lerp(
                    between("background_value", 0.68, 0.92),
                    between("background_value", 0.10, 0.26),
                    night,
                ),
            ),
            "skin": skin,
            "blush": skin * 0.8 + torch.tensor([0.28, -0.22, -0.16]),
            "crease": (skin + 1) * 0.55 - 1,
            "lips": lips,
            "hair": hair,
            "brow": hair * 0.70 - 0.30,
            "iris": _hsv(between("iris", 0.05, 0.60), 0.60 * ones, between("iris", 0.35, 0.62)),
            "black": torch.full((len(faces), 3), -0.86),
            "shirt": _hsv(
                free["shirt_hue"],
                between("shirt_saturation", 0.15, 0.75),
                between("shirt_value", 0.35, 0.92),
            ),
            "frame": _hsv(free["frame_hue"], 0.55 * ones, 0.20 * ones),
            "gold": torch.tensor([0.92, 0.62, -0.30]).expand(len(faces), 3),
            "hat": _hsv(free["hat_hue"], 0.60 * ones, between("brim", 0.40, 0.70)),
        }
        shaped = {name: value.view(-1, 1, 1) for name, value in lengths.items()}
        return cls(faces=faces, place=place, **shaped, **colors)


def _skin(dark: Tensor, free: dict[str, Tensor]) -> Float[Tensor, "n 3"]:
    """Two ranges of tone that do not meet."""
    tone = free["skin_tone"]
    value = torch.lerp(0.84 + 0.13 * tone, 0.34 + 0.20 * tone, dark)
    saturation = torch.lerp(0.24 + 0.16 * (1 - tone), 0.50 + 0.10 * (1 - tone), dark)
    return _hsv(0.045 + 0.035 * free["skin_hue"], saturation, value)


def _hair(faces: Faces, free: dict[str, Tensor]) -> Float[Tensor, "n 3"]:
    """Black, brown and red; blond; or grey."""
    tone, hue = free["hair_tone"], free["hair_hue"]
    common = _hsv(0.02 + 0.06 * hue, 0.45 + 0.35 * tone, 0.12 + 0.36 * tone)
    blond = _hsv(0.115 + 0.03 * hue, 0.45 + 0.20 * (1 - tone), 0.80 + 0.16 * tone)
    grey = _hsv(0.55 + 0.1 * hue, 0.03 + 0.04 * tone, 0.62 + 0.25 * tone)
    colors = torch.where(faces.having("blond")[:, None], blond, common)
    return torch.where(faces.having("grey_hair")[:, None], grey, colors)


def _hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Float[Tensor, "n 3"]:
    """Hue (one turn is 1), saturation and value in [0, 1] → RGB in [−1, 1]."""
    offsets = torch.tensor([5.0, 3.0, 1.0])
    k = (offsets + hue[:, None] * 6) % 6
    fall = torch.minimum(k, 4 - k).clamp(0, 1)
    return 2 * value[:, None] * (1 - saturation[:, None] * fall) - 1
