"""Image sets from disk: MNIST's IDX files, an `.npz`, or a folder of pictures a class.

These are read only to train an original, a judge or an oracle; unlearning needs none.
"""

import gzip
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from unfeature.errors import UserError
from unfeature.seeds import rng

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


@dataclass(frozen=True)
class ImageSet:
    """Images in [−1, 1], each with its class and the name of every class."""

    images: Float[Tensor, "n c h w"]
    labels: Int[Tensor, " n"]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def where(self, keep: Tensor) -> "ImageSet":
        """The images that a boolean mask or an index tensor picks."""
        return type(self)(self.images[keep], self.labels[keep], self.classes)


@dataclass(frozen=True)
class AttributeSet:
    """Images in [−1, 1], each with several yes/no attributes that do not exclude each other."""

    images: Float[Tensor, "n c h w"]
    labels: Bool[Tensor, "n k"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def where(self, keep: Tensor) -> "AttributeSet":
        """The images for which the boolean `keep` holds."""
        return type(self)(self.images[keep], self.labels[keep], self.names)


def load_images(
    path: str | Path,
    *,
    split: str = "train",
    size: int | None = None,
    n: int | None = None,
) -> ImageSet:
    """Read an image set.

    Args:
        path: a folder with `train-images-idx3-ubyte[.gz]` and its like; an `.npz` with `x_train`,
            `y_train`, `x_test`, `y_test` (or a folder that holds one); or a folder with one folder
            of pictures for each class (a `train` and a `test` folder above them, if there are), or
            a folder of pictures alone: FFHQ's and CelebA's layouts are of this kind. Pictures of a
            folder, and others whose classes are in order, come in a mixed order, always the same.
        split: "train" or "test".
        size: height and width to resize pictures to, after the largest square in their middle is
            taken; only for folders of pictures.
        n: at most so many, at even distances, so that no class is left out where they are in order.

    Raises:
        UserError: nothing readable there, or what is there is malformed.
    """
    path = Path(path)
    if size is not None and size < 1:
        raise UserError(f"--size is {size}; give 1 or more")
    if path.is_file() and path.suffix == ".npz":
        return thinned(_npz(path, split), n)
    if not path.is_dir():
        raise UserError(f"there is no data at '{path}'; give a folder or an .npz file")
    stem = {"train": "train", "test": "t10k"}[split]
    found = [p for p in sorted(path.rglob(f"{stem}-images*idx3-ubyte*")) if p.is_file()]
    if found:
        name = found[0].name.replace("images", "labels").replace("idx3", "idx1")
        labels = found[0].with_name(name)
        return thinned(_grey(read_idx(found[0]), read_idx(labels), str(path)), n)
    archives = sorted(path.glob("*.npz"))
    if archives:
        return thinned(_npz(archives[0], split), n)
    if (path / "train").is_dir() and not (path / split).is_dir():
        raise UserError(f"'{path}' has a 'train' folder and no '{split}' beside it; add one")
    return _folder(path / split if (path / split).is_dir() else path, size, n)


def thinned(data: ImageSet, n: int | None) -> ImageSet:
    """At most n of them, and in a mixed order where their classes are in order."""
    data = data if n is None else data.where(evenly(len(data), n))
    in_order = bool((data.labels.diff() >= 0).all())
    return data.where(mixed(len(data))) if in_order else data


def evenly(count: int, n: int) -> Int[Tensor, " m"]:
    """At most `n` of so many rows, at even distances."""
    return torch.linspace(0, count - 1, min(n, count)).long()


def mixed(count: int) -> Int[Tensor, " n"]:
    """So many rows in a mixed order, always the same, so that the first of them, against which
    quality is measured, are of all classes."""
    return torch.randperm(count, generator=rng(0, "files"))


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes, gzipped or not (format: yann.lecun.com/exdb/mnist)."""
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read '{path}': {error}") from error
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or len(data) < 4 + 4 * data[3]:
        raise UserError(f"'{path}' is not an IDX file of unsigned bytes, or not a whole one")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if body.size != int(np.prod(shape)):
        raise UserError(f"'{path}' should hold {shape} bytes but holds {body.size}; copy it again")
    return body.reshape(shape)


def _npz(path: Path, split: str) -> ImageSet:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _grey(archive[f"x_{split}"], archive[f"y_{split}"], str(path))
    except Exception as error:  # of a damaged file, of many kinds
        raise UserError(f"'{path}' cannot be read as an image archive: {error}") from error


def _grey(pixels: NDArray[Any], labels: NDArray[Any], where: str) -> ImageSet:
    good = pixels.dtype == np.uint8 and pixels.ndim == 3 and labels.shape == (len(pixels),)
    if not good or not len(pixels):
        raise UserError(
            f"'{where}': expected n×h×w bytes and n labels, n at least 1, found {pixels.shape} and "
            f"{labels.shape}"
        )
    images = torch.from_numpy(pixels.astype(np.float32)).unsqueeze(1) / 127.5 - 1
    classes = torch.from_numpy(labels.astype(np.int64))
    return ImageSet(images, classes, tuple(str(i) for i in range(int(classes.max()) + 1)))


def _folder(path: Path, size: int | None, n: int | None) -> ImageSet:
    folders = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    held = {p.name: found for p in folders if (found := _pictures(p))}
    alone = _pictures(path)
    if held and alone:
        raise UserError(
            f"'{path}' has {len(alone)} pictures of its own beside folders of pictures "
            f"({', '.join(sorted(held))}); keep either, or name a folder inside it"
        )
    held = held or {".": alone}
    classes = tuple(sorted(held))
    files = [(picture, label) for label, name in enumerate(classes) for picture in held[name]]
    if not files:
        raise UserError(
            f"no data in '{path}': expected IDX files, an .npz, pictures, or one folder of "
            "pictures a class"
        )
    if n is not None:
        files = [files[i] for i in evenly(len(files), n).tolist()]
    files = [files[i] for i in mixed(len(files)).tolist()]
    images = read_pictures([file for file, _ in files], size=size)
    return ImageSet(images, torch.tensor([label for _, label in files]), classes)


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)


def read_pictures(files: Sequence[Path], *, size: int | None) -> Float[Tensor, "n c h w"]:
    """Pictures of one size, or made so: grey if the file is grey, else RGB.

    Args:
        size: height and width to resize to, after the largest square in the middle is taken.
    """
    first = _picture(files[0], size)
    images = torch.empty(len(files), *first.shape)
    for row, file in zip(images, files, strict=True):
        image = _picture(file, size)
        if image.shape != row.shape:
            raise UserError(
                f"the pictures in '{file.parent}' have different sizes or numbers of channels "
                f"({list(first.shape)}, {list(image.shape)}); give --size, and grey or RGB alone"
            )
        row.copy_(image)
    return images


def _picture(path: Path, size: int | None) -> Float[Tensor, "c h w"]:
    try:
        with Image.open(path) as opened:
            if opened.mode.startswith(("I", "F")):
                raise UserError(
                    f"'{path}' has more than 8 bits a channel; make it an 8-bit picture"
                )
            image = opened if opened.mode == "L" else opened.convert("RGB")
            if size is not None:
                image = ImageOps.fit(image, (min(image.size),) * 2, Image.Resampling.LANCZOS)
                image = image.resize((size, size), Image.Resampling.LANCZOS)
            pixels = np.asarray(image, dtype=np.float32)
    except OSError as error:
        raise UserError(f"'{path}' is not a readable picture: {error}") from error
    channels_last = pixels.reshape(*pixels.shape[:2], -1)
    return torch.from_numpy(channels_last.transpose(2, 0, 1).copy()) / 127.5 - 1
