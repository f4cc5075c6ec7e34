"""MS-SSIM fast enough to train on: Wang, Simoncelli, Bovik, "Multi-scale structural similarity for
image quality assessment" (Asilomar 2003).

A Gaussian window is separable, and filtering a line of pixels with it is a product with a banded
matrix. So all windows of all images are two matrix products, which run at the machine's matmul
rate; a depth-wise convolution of the same window runs at a tenth of it on a CPU. Only positions
where the window lies wholly inside the image are used, as in the paper.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unfeature.errors import UserError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponents of the five scales (paper, section 3.2)."""
K1, K2, DATA_RANGE = 0.01, 0.03, 2.0
SMALLEST = 1e-6
"""Contrast terms are held above this, where a fractional power would have an endless slope."""


@dataclass(frozen=True)
class Scales:
    """Window width (odd, in pixels), its Gaussian's σ, and each scale's normalised exponent."""

    window: int
    sigma: float
    weights: tuple[float, ...]


def choose_scales(side: int) -> Scales:
    """The scales for images whose shorter side is `side` pixels.

    The paper's window of 11 (σ = 1.5) and five scales where five fit; else as many scales as fit,
    but at least three, for which the window shrinks (σ with it). The exponents left are
    renormalised to sum to one. 64 → 11, three scales; 28 → 7, three scales.

    Raises:
        UserError: images smaller than 12 pixels, on which no three scales fit.
    """
    for window in (11, 9, 7, 5, 3):
        fitting = [s for s in range(5, 2, -1) if side >> (s - 1) >= window]
        if fitting:
            kept = WEIGHTS[: fitting[0]]
            weights = tuple(weight / sum(kept) for weight in kept)
            return Scales(window, 0.15 * (window - 1), weights)
    raise UserError(
        f"images with a side of {side} pixels are too small for MS-SSIM; 12 is the least"
    )


def banded(size: int, scales: Scales, *, reflect: bool = False) -> Float[Tensor, "size out"]:
    """The matrix K for which `line @ K` filters a line of `size` pixels.

    Args:
        reflect: filter at all `size` positions, the line mirrored at its ends without repeating
            the end pixel; else only at those where the window lies inside.
    """
    reach = (scales.window - 1) // 2
    offsets = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-0.5 * (offsets.double() / scales.sigma) ** 2)
    kernel /= kernel.sum()
    centres = torch.arange(size) if reflect else torch.arange(reach, size - reach)
    matrix = torch.zeros(size, len(centres), dtype=torch.float64)
    for column, centre in enumerate(centres):
        pixels = (centre + offsets).abs()
        pixels = torch.where(pixels < size, pixels, 2 * (size - 1) - pixels)
        matrix[:, column].index_add_(0, pixels, kernel)
    return matrix.float()


def similarities(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], *, batch_size: int = 256
) -> Float[Tensor, " n"]:
    """MS-SSIM of many pairs of images in [−1, 1]."""
    msssim = MSSSIM(*x.shape[2:], device=x.device)
    parts = zip(x.split(batch_size), y.split(batch_size), strict=True)
    return torch.cat([msssim(a, b) for a, b in parts])


class MSSSIM:
    """MS-SSIM of pairs of images of one size, in [−1, 1]: 1 where they are equal.

    Args:
        height, width: of the images.
        scales: chosen from the shorter side when not given.
        reflect_last: treat the borders of the last scale's SSIM by reflection, as torchmetrics
            does, not by leaving them out, as the paper does.
        device: where the images will be.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        scales: Scales | None = None,
        reflect_last: bool = False,
        device: torch.device | str = "cpu",
    ):
        self.scales = scales or choose_scales(min(height, width))
        self._filters: list[tuple[Tensor, Tensor]] = []
        last = len(self.scales.weights) - 1
        for scale in range(last + 1):
            reflect = reflect_last and scale == last
            rows = banded(height >> scale, self.scales, reflect=reflect).T.contiguous()
            columns = banded(width >> scale, self.scales, reflect=reflect)
            self._filters.append((rows.to(device), columns.to(device)))

    def __call__(
        self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]
    ) -> Float[Tensor, " n"]:
        """One value for each pair; differentiable in both."""
        result = torch.ones(len(x), device=x.device)
        last = len(self.scales.weights) - 1
        for scale, weight in enumerate(self.scales.weights):
            luminance_contrast, contrast = self._ssim(x, y, *self._filters[scale])
            value = luminance_contrast if scale == last else contrast
            result = result * value.clamp(min=SMALLEST) ** weight
            if scale < last:
                x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return result

    def _ssim(self, x: Tensor, y: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """SSIM and its contrast-structure part, each averaged over an image's windows."""
        n, _, h, w = x.shape
        # σx² and σy² enter only as their sum, so four maps are enough.
        maps = torch.stack([x, y, x * x + y * y, x * y]).view(-1, h, w)
        mean_x, mean_y, squares, product = (rows @ (maps @ columns)).view(4, n, -1).unbind()
        c1, c2 = (K1 * DATA_RANGE) ** 2, (K2 * DATA_RANGE) ** 2
        mean_product = mean_x * mean_y
        mean_squares = mean_x * mean_x + mean_y * mean_y
        contrast = (2 * (product - mean_product) + c2) / (squares - mean_squares + c2)
        ssim = contrast * ((2 * mean_product + c1) / (mean_squares + c1))
        return ssim.mean(1), contrast.mean(1)
