"""The loop we are compared with: the paper followed line by line, with a library's MS-SSIM."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from unfeature.generator import Generator
from unfeature.msssim import choose_scales
from unfeature.seeds import rng
from unfeature.target import TargetVector


@dataclass
class PlainLoop:
    """f(z), f(ẑ) and g(z) for every latent of a fresh batch; Adam; nothing else.

    The library's MS-SSIM gets the scales that fit the images, which are ours.
    """

    original: Generator
    target: TargetVector
    threshold: float
    batch_size: int
    learning_rate: float
    alpha: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        plain = torch.contiguous_format  # ours lays weights out for convolutions
        self.original = self.original.copy()
        self.original.module.to(memory_format=plain)  # type: ignore[call-overload]
        self.student = self.original.copy().requires_grad(True)
        self.optimizer = torch.optim.Adam(self.student.module.parameters(), self.learning_rate)
        self.scales = choose_scales(min(self.original.image_shape[1:]))

    def run(self, steps: int) -> Iterator[int]:
        for index in range(steps):
            z = self.original.sample_latents(self.batch_size, rng(self.seed, "plain", index))
            score = self.target.score(z)
            sim = (score > self.threshold).float()
            excess = (score - self.threshold).clamp(min=0)
            erased = z - excess[:, None] * self.target.direction
            with torch.no_grad():
                f_z, f_erased = self.original(z), self.original(erased)
            g_z = self.student(z)
            recon = ((1 - sim) * (g_z - f_z).abs().flatten(1).mean(1)).mean()
            unlearn = (sim * (g_z - f_erased).abs().flatten(1).mean(1)).mean()
            percep = (sim * (1 - self._msssim(g_z, f_erased))).mean()
            loss = self.alpha * (unlearn + percep) + recon
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            yield index + 1

    def _msssim(self, a: Tensor, b: Tensor) -> Tensor:
        value: Tensor = multiscale_structural_similarity_index_measure(
            a,
            b,
            sigma=self.scales.sigma,
            kernel_size=self.scales.window,
            betas=self.scales.weights,
            data_range=2.0,
            reduction="none",
        )
        return value
