"""Pictures with a table of yes/no attributes: CelebA's own, or an `attributes.csv`.

Which split a picture belongs to follows from its file name alone, so that no picture moves from
one to another when the table grows.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from unfeature.datasets import AttributeSet, read_pictures
from unfeature.errors import UserError
from unfeature.seeds import derive

CELEBA, CSV = "list_attr_celeba.txt", "attributes.csv"
CELEBA_PICTURES = "img_align_celeba"
VALUES = {CELEBA: {"1": True, "-1": False}, CSV: {"1": True, "0": False}}
Split = Literal["train", "calibrate", "test"]
Half = Literal["a", "b"]


@dataclass(frozen=True)
class Table:
    """A table's attributes, and the value of each for every file it names."""

    path: Path
    names: tuple[str, ...]
    rows: dict[str, tuple[bool, ...]]


def find_table(folder: Path) -> Path | None:
    """The table of attributes in a folder, if one is there."""
    found = (folder / name for name in (CSV, CELEBA))
    return next((path for path in found if path.is_file()), None)


def load_attributes(
    folder: str | Path,
    *,
    split: Split = "train",
    half: Half | None = None,
    size: int | None = None,
    limit: int | None = None,
) -> AttributeSet:
    """Read one split of the pictures in a folder that holds a table.

    Args:
        folder: holds `attributes.csv` (a line `file,name,name…`, then one a picture with 0 or 1)
            or `list_attr_celeba.txt` (the number of pictures; the names; then `file 1 −1 …`), and
            the pictures, CelebA's perhaps in `img_align_celeba/`.
        split: eight tenths of the pictures are for training, one to calibrate, one to test.
        half: of the pictures to train or calibrate with, the one half or the other, so that two
            judges share none; the test pictures are the same for both.
        size: crop to the middle square, and resize to this height and width.
        limit: take no more than so many pictures, the first in the table.

    Raises:
        UserError: no table, a malformed one, one that names absent files, or an attribute that
            all or none of the split's pictures have.
    """
    folder = Path(folder)
    path = find_table(folder)
    if path is None:
        raise UserError(f"'{folder}' has neither '{CSV}' nor '{CELEBA}'")
    table = read_table(path)
    pictures = folder / CELEBA_PICTURES
    if path.name == CSV or not pictures.is_dir():
        pictures = folder
    absent = [file for file in table.rows if not (pictures / file).is_file()]
    if absent:
        raise UserError(
            f"'{path}' names {len(absent)} files that are not in '{pictures}', '{absent[0]}' first"
        )
    picked = [file for file in table.rows if split_of(file) == split]
    if half is not None and split != "test":
        picked = [file for file in picked if half_of(file) == half]
    picked = picked[:limit]
    where = f"the {split} pictures{f' of half {half}' if half else ''} in '{folder}'"
    if not picked:
        raise UserError(f"there are no {where.removeprefix('the ')}; give more pictures")
    labels = torch.tensor([table.rows[file] for file in picked])
    require_both(labels, table.names, where)
    images = read_pictures([pictures / file for file in picked], size=size)
    return AttributeSet(images, labels, table.names)


def require_both(labels: Bool[Tensor, "n k"], names: tuple[str, ...], where: str) -> None:
    """Check that each attribute occurs and is absent; a judge can be trained on nothing less.

    Args:
        where: which pictures these are, for the error message.

    Raises:
        UserError: the first attribute that all or none have.
    """
    for name, share in zip(names, labels.float().mean(0).tolist(), strict=True):
        if share in (0.0, 1.0):
            raise UserError(
                f"{'all' if share else 'none'} of {where} ({len(labels)}) have the attribute "
                f"'{name}'; leave it out of the table, or give more pictures"
            )


def split_of(file: str) -> Split:
    """The split a file name belongs to."""
    place = derive(0, "split", file) % 10
    return "test" if place == 0 else "calibrate" if place == 1 else "train"


def half_of(file: str) -> Half:
    """The half a file name belongs to."""
    return "a" if derive(0, "half", file) % 2 == 0 else "b"


def read_table(path: Path) -> Table:
    """A table in either form, told by its file's name.

    Raises:
        UserError: it cannot be read; the line and what is wrong with it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' cannot be read as text: {error}") from error
    if path.name == CSV:
        lines = [(number, row) for number, row in enumerate(csv.reader(text.splitlines()), 1)]
        header = lines.pop(0)[1][1:] if lines else []
        count = None
    else:
        lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
        first = lines.pop(0)[1] if lines else []
        if len(first) != 1 or not first[0].isdecimal():
            raise UserError(f"'{path}', line 1: the number of pictures should stand there alone")
        count = int(first[0])
        header = lines.pop(0)[1] if lines else []
    names = tuple(name.strip() for name in header)
    if not names or not all(names) or len(set(names)) < len(names):
        raise UserError(f"'{path}' should name its attributes in its header, each once")
    rows: dict[str, tuple[bool, ...]] = {}
    for number, cells in lines:
        if cells:
            file = cells[0].strip()
            if file in rows:
                raise UserError(f"'{path}', line {number}: '{file}' has a line already")
            rows[file] = _values(cells[1:], names, f"'{path}', line {number}", VALUES[path.name])
    if not rows or count not in (None, len(rows)):
        raise UserError(f"'{path}' has lines for {len(rows)} pictures, not {count or 'some'}")
    return Table(path, names, rows)


def _values(
    cells: list[str], names: tuple[str, ...], where: str, known: dict[str, bool]
) -> tuple[bool, ...]:
    if len(cells) != len(names):
        raise UserError(f"{where}: {len(cells)} values for {len(names)} attributes")
    for cell, name in zip(cells, names, strict=True):
        if cell.strip() not in known:
            raise UserError(f"{where}: '{name}' is '{cell}'; write {' or '.join(known)}")
    return tuple(known[cell.strip()] for cell in cells)
