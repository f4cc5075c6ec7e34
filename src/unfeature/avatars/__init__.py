"""Avatars: procedural faces with known attributes, known correlations, and known counterfactuals.

faces = avatars.sample(range(1000), seed=0)                  # who is in the pictures
images = avatars.draw(faces)                                 # (1000, 3, 64, 64) in [−1, 1]
bare = avatars.draw(faces.counterfactual(glasses=False))     # the same faces without glasses
"""

from unfeature.avatars.draw import draw
from unfeature.avatars.faint import faint
from unfeature.avatars.scene import Faces, sample
from unfeature.avatars.table import LIFE, NAMES, Chance, Table, index_of, read_table
from unfeature.datasets import AttributeSet

__all__ = [
    "LIFE",
    "NAMES",
    "Chance",
    "Faces",
    "Table",
    "dataset",
    "draw",
    "faint",
    "index_of",
    "read_table",
    "sample",
]


def dataset(
    n: int, *, seed: int = 0, start: int = 0, size: int = 64, table: Table | None = None
) -> AttributeSet:
    """Pictures `start` to `start + n` of a data set; picture i is a function of (seed, i)."""
    faces = sample(range(start, start + n), seed=seed, table=table)
    return AttributeSet(draw(faces, size=size), faces.attributes, NAMES)
