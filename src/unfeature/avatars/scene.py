"""What is in a picture: the attributes and the continuous rest of a face, from (seed, i) alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from unfeature.avatars.table import LIFE, NAMES, Table, index_of

NUISANCE = (
    *("x", "y", "scale", "roll", "yaw", "light_x", "light_y"),
    *("background_hue", "background_saturation", "background_value"),
    *("skin_tone", "skin_hue", "hair_tone", "hair_hue", "hairline", "part", "strands", "length"),
    *("face_width", "jaw", "eye_size", "eye_gap", "iris", "gaze", "brow_tilt", "brow_height"),
    *("nose", "mouth_width", "mouth_open", "lips", "shirt_hue", "shirt_saturation", "shirt_value"),
    *("frame_shape", "frame_hue", "frame_size", "hat_hue", "brim", "beard_length", "bang_cut"),
    *("earring", "cheeks"),
)
"""Continuous properties that vary in every picture, each uniform in [0, 1)."""


@dataclass(frozen=True)
class Faces:
    """What `draw` needs to know of `n` faces.

    Attributes:
        attributes: the columns are `NAMES`.
        nuisance: the columns are `NUISANCE`, each in [0, 1).
    """

    attributes: Bool[Tensor, "n k"]
    nuisance: Float[Tensor, "n m"]

    def __len__(self) -> int:
        return len(self.attributes)

    def __getitem__(self, rows: slice | Tensor) -> "Faces":
        return Faces(self.attributes[rows], self.nuisance[rows])

    def having(self, name: str) -> Bool[Tensor, " n"]:
        """Which faces have an attribute."""
        return self.attributes[:, index_of(name)]

    def counterfactual(self, **values: bool) -> "Faces":
        """The same faces with some attributes set, e.g. `glasses=False`; all else is equal, but
        that sunglasses are glasses."""
        attributes = self.attributes.clone()
        for name, value in values.items():
            attributes[:, index_of(name)] = value
        attributes[:, index_of("sunglasses")] &= attributes[:, index_of("glasses")]
        return replace(self, attributes=attributes)


def sample(indices: Sequence[int] | range, *, seed: int = 0, table: Table | None = None) -> Faces:
    """The faces of a data set; face i is a function of (seed, i) and the table, nothing else."""
    uniforms = _uniforms(np.asarray(indices, dtype=np.uint64), seed, len(NAMES) + len(NUISANCE))
    numbers = torch.from_numpy(uniforms)
    attributes = (table or LIFE).sample(numbers[:, : len(NAMES)])
    return Faces(attributes, numbers[:, len(NAMES) :].contiguous())


def _uniforms(indices: NDArray[np.uint64], seed: int, columns: int) -> NDArray[np.float32]:
    """Numbers in [0, 1) by a counter-based generator: a hash of (seed, index, column).

    The hash is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), applied to each part
    in turn.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        state = _mixed(np.array([seed % 2**64], dtype=np.uint64) * golden + golden)
        rows = _mixed(state ^ (indices * golden + np.uint64(1)))[:, None]
        cells = _mixed(rows + golden * np.arange(1, columns + 1, dtype=np.uint64))
    return (cells >> np.uint64(40)).astype(np.float32) / np.float32(2**24)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
