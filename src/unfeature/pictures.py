"""From image tensors to bytes, grids and PNG."""

import io

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def to_bytes(images: Float[Tensor, "n c h w"]) -> NDArray[np.uint8]:
    """Images in [−1, 1] → bytes of shape (n, h, w, c), for viewing only; values outside are cut."""
    scaled = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()


def grid(images: Float[Tensor, "n c h w"], columns: int, *, gap: int = 1) -> Image.Image:
    """Images laid out row by row, with white lines of `gap` pixels between them."""
    pixels = to_bytes(images)
    n, h, w, c = pixels.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, c), 255, np.uint8)
    for i, picture in enumerate(pixels):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = picture
    return Image.fromarray(sheet.squeeze() if c == 1 else sheet)


def png(image: Image.Image, *, zoom: int = 1) -> bytes:
    """A PNG file, each pixel repeated `zoom` times in both directions."""
    size = (image.width * zoom, image.height * zoom)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
